"""The gradient front: which parameters ever get a gradient, at which step, and what that means.

Training is followed with numbers replaced by "exactly 0" and "not 0", as in
:mod:`minicnn.lab.symmetry.zero_flow`: after each step what got a gradient is not 0 any more.
Nothing ever becomes 0 again, so this comes to rest, and what has no gradient then never gets one.
It holds for generic data and for every optimizer whose update is 0 while all gradients were. Units
that a normalization within samples sees together are taken to differ, unless they are tied.
"""

from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np

from minicnn.checks import check_finite, check_flag, takes
from minicnn.lab.symmetry.tied_units import Network
from minicnn.lab.symmetry.zero_flow import FREE, SAMPLES, Signal, added, derivative, rule_of
from minicnn.layers.group_norm import SampleNorm
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import trace


@takes(model=initialized, balanced=check_flag)
def first_steps(model: Sequential, balanced: bool = False) -> tuple[dict[str, int | None], bool]:
    """The step at which each parameter of a model first has a gradient that is not 0.

    `balanced` says whether every batch holds all classes equally often. Nothing changes the model.

    Returns
    -------
    steps : dict of str to int or None
        By parameter, counted from 1; None for never.
    sees : bool
        Whether the scores depend on the input, then or at some later step.
    """
    graph = trace(model)
    rules = {node: rule_of(node.layer) for node in graph.nodes[1:]}
    if any(isinstance(node.layer, SampleNorm) for node in rules):
        copies = Network(model).refine().copied_groups()
        for node in rules:
            if node.layer in copies:
                rules[node] = rule_of(node.layer, copies[node.layer])
    steps = dict.fromkeys(parameter.name for parameter in model.parameters())
    every = np.ones(model.input_shape[0], bool)

    def backward(node, d):
        found = rules[node].backward(d)
        return found if isinstance(found, list) else [found]

    step, moved = 0, True
    while moved:
        step += 1
        signals = graph.forward(
            Signal(*[every] * 5), lambda node, inputs: rules[node].forward(*inputs)
        )
        scores = signals[graph.output]
        level = SAMPLES if balanced and not scores.live.any() else FREE
        end = derivative(np.ones(len(scores.live), bool), level, flat=True)
        graph.backward(end, backward, added)
        moved = False
        for parameter, mask, gradient in chain(*(rule.gradients() for rule in rules.values())):
            if gradient.any() and steps[parameter.name] is None:
                steps[parameter.name] = step
            moved = moved or (gradient & ~mask).any()
            mask |= gradient
    return steps, bool(scores.depends.any())


@dataclass(frozen=True)
class Verdict:
    """Whether gradient descent can ever leave the symmetric subspace that a model is in.

    Attributes
    ----------
    kind : str
        ``dead``: no weight ever gets a gradient, at most biases do. ``blind``: the scores never
        depend on the input. ``tied``: weights learn, but some units stay copies of each other.
        ``free``: neither. The first that is true.
    first_step : dict of str to int or None
        The step at which each parameter first has a gradient, from 1; None for never.
    tied : dict of str to tuple of int
        By layer, the sizes of the classes of tied units that have more than one.
    collapsed : tuple of str
        The layers of several units that are all one class: of width one, whatever their size.
    weights : tuple of str
        The parameters of `first_step` that are weights.
    """

    kind: str
    first_step: dict[str, int | None]
    tied: dict[str, tuple[int, ...]]
    collapsed: tuple[str, ...]
    weights: tuple[str, ...]

    @property
    def asleep(self) -> tuple[str, ...]:
        """The weights that never get a gradient."""
        return tuple(name for name in self.weights if self.first_step[name] is None)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "asleep": self.asleep}

    def __str__(self) -> str:
        learning = [name for name, step in self.first_step.items() if step is not None]
        if self.kind == "dead":
            rest = f"what learns is {' and '.join(learning)}" if learning else "nothing learns"
            return f"dead: every weight gradient is exactly 0, for ever; {rest}."
        text = {
            "blind": "blind: weights learn, but the scores never depend on the input",
            "tied": "tied: weights learn, but some units stay copies of each other, for ever",
            "free": "free: weights learn and no two units are tied",
        }[self.kind]
        lines = [text + "."]
        for name, sizes in self.tied.items():
            lines.append(f"  {name}: tied units in classes of {', '.join(map(str, sizes))}")
        if self.asleep:
            lines.append(f"  never a gradient: {', '.join(self.asleep)}")
        if self.last_step > 1:
            lines.append(f"  the gradient front reaches the last weight at step {self.last_step}")
        return "\n".join(lines)

    @property
    def last_step(self) -> int:
        """The step at which the last of the weights that ever get a gradient first has one."""
        return max(self.first_step[name] or 0 for name in self.weights)


@takes(model=initialized, balanced=check_flag, tolerance=check_finite)
def verdict(model: Sequential, balanced: bool = False, tolerance: float = 0.0) -> Verdict:
    """What gradient descent can make of a model as it is now; nothing of it is changed.

    `balanced` says whether every batch holds all classes equally often: a zero network then has no
    gradient at all. The tolerance is as for `Network.refine` of
    :mod:`minicnn.lab.symmetry.tied_units`. ArgumentError for a model that is not initialized or
    has no weights.
    """
    labels = Network(model).refine(tolerance).units()
    steps, sees = first_steps(model, balanced)
    norms = [layer for layer in model.all_layers() if isinstance(layer, SampleNorm)]
    scales = {p.name for layer in norms for p in layer.parameters()}
    weights = tuple(p.name for p in model.parameters() if p.value.ndim > 1 and p.name not in scales)
    tied = {}
    for name in sorted(labels, key=[layer.name for layer in model.all_layers()].index):
        sizes = np.bincount(labels[name])
        if sizes.max() > 1:
            tied[name] = tuple(int(size) for size in sizes if size > 1)
    if all(steps[name] is None for name in weights):
        kind = "dead"
    elif not sees:
        kind = "blind"
    else:
        kind = "tied" if tied else "free"
    collapsed = tuple(name for name in tied if not labels[name].any())
    return Verdict(kind, steps, tied, collapsed, weights)
