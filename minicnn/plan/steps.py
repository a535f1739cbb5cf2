"""What a plan knows of each node, and what it keeps of a pass.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

from minicnn.plan.graph import Graph, Node

#: How often a backward pass follows a forward pass: what it reads is kept so long.
NEVER, ONCE, OFTEN = range(3)


def needs_gradients(layer: Any, whole: bool) -> bool:
    """Whether a layer has parameters with gradients to compute; frozen ones have if `whole`."""
    return layer.learns or whole and bool(layer.own_parameters())


class Step:
    """A node as the plan computes it.

    Attributes
    ----------
    inside : bool
        Whether another layer does its work.
    relu : bool
        Whether it does that of a ReLU.
    readers : int
        How many read the output going forwards, who called the model included.
    needs : tuple of bool
        For each input, whether somebody reads dE/dx.
    """

    def __init__(
        self, node: Node, graph: Graph, hosts: dict[Node, Node], needed: list[bool], whole: bool
    ):
        self.index, self.layer = node.index, node.layer
        self.inputs = tuple(before.index for before in node.inputs)
        self.shape, self.input_shapes = node.shape, tuple(before.shape for before in node.inputs)
        self.inside, self.relu = node in hosts, node in hosts.values()
        self.readers = len(node.consumers) + (node is graph.output)
        self.needs = tuple(needed[before] for before in self.inputs)
        self.has_work = any(self.needs) or needs_gradients(node.layer, whole)

    def is_view(self, training: bool) -> bool:
        """Whether the output is the input, perhaps in another shape."""
        return self.inside or (self.layer.is_view(training) and "forward" not in vars(self.layer))

    def reads(self, training: bool, recomputed: bool = False) -> set[str]:
        """Which of ``x`` and ``y`` the backward pass reads.

        In training a layer may save something in their place, but not if `y` is recomputed.
        """
        if not self.has_work:
            return set()
        reads = self.layer.backward_reads(training and not recomputed)
        return {*reads, "y"} if self.relu else {*reads}
