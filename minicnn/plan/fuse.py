"""Fusion: which layer does the work of a ReLU beside it.

The numbers are the same, it spares a pass over memory each way. The rule: a ReLU that one layer
alone reads goes into the max pooling behind it, else into what makes its input, if that can do it
(``Layer.fuses_relu``).

For the package itself: it checks nothing of what it is handed.
"""

from minicnn.layers.activations import ReLU
from minicnn.plan.graph import Graph, Node


def fuse(graph: Graph) -> dict[Node, Node]:
    """What does the work of which ReLU.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    dict of Node to Node
        The layer's node for each ReLU's that it does the work of.
    """
    hosts = {}
    for relu in graph.nodes[1:]:
        if type(relu.layer) is ReLU:
            host = _host(graph, relu)
            if host is not None:
                hosts[relu] = host
    return hosts


def _host(graph, relu):
    before = relu.inputs[0]
    if _is_read_once(graph, relu) and relu.consumers[0].layer.fuses_relu == "input":
        return relu.consumers[0]
    if before.layer is not None and _is_read_once(graph, before):
        return before if before.layer.fuses_relu == "output" else None
    return None


def _is_read_once(graph, node):
    return len(node.consumers) == 1 and node is not graph.output
