"""The forward and backward pass of training, replayed where only the numbers are new.

In training the same kernels run on the same arrays in every step. For a small batch Python takes
as long to find them as they take to run. So the first step of a kind is captured
(:mod:`minicnn.kernels.replay`), and the next ones replay it: layer by layer the same equations, on
the same arrays, with the same bits, but no Python in between.
"""

from typing import NamedTuple

import numpy as np

from minicnn.checks import check_kind, is_foreign
from minicnn.kernels.replay import Captured
from minicnn.model import Sequential

ATTEMPTS = 16  # steps that are captured, before it is clear that they never come again


class _Step(NamedTuple):
    """What was captured of a step, and the arrays that it needs.

    `allocations` is the number before the step: what was captured while buffers were made, when
    others may have gone, is never current.
    """

    x: np.ndarray
    samples: int
    scores: np.ndarray
    delta: np.ndarray
    dx: np.ndarray
    forward: Captured
    backward: Captured
    parameters: list  # each with its value and its gradient
    workspace: object
    allocations: int


class Passes:
    """A model's passes in training: called as the model's own, and replayed where that is the same.

    That is so for layers that say it of themselves (``Layer.replayable``), while the parameters'
    arrays and the layers' buffers are those of the captured step, for a batch of as many samples
    in the same place. All else is left to the model. What the layers are (their settings, or which
    there are) must not be changed while these passes are used.

    Parameters
    ----------
    model : Sequential
    """

    def __init__(self, model):
        self._model = check_kind(model, Sequential, "Passes: model")
        self._steps, self._same = {}, {}  # by the place of the batch, and by the very array
        self._attempts = 0
        self._running = None  # the step whose forward pass was replayed last
        self._begun = None  # what is known of a step whose forward pass was captured last
        self._possible = _is_replayable(model)

    def forward(self, x, training=True, samples=None):
        """The scores, as :meth:`Sequential.forward` gives them.

        Raises
        ------
        ArgumentError
            As there.
        """
        model = self._model
        self._running = self._begun = None
        if not (self._possible and training):
            return model.forward(x, training, samples)
        model.workspace.holder.take()
        step = self._same.get((id(x), samples)) or self._steps.get(_place(x, samples))
        if step is not None and self._is_current(step):
            step.forward.replay()
            model.forget()
            self._running = step
            return step.scores
        if self._attempts >= ATTEMPTS:
            return model.forward(x, training, samples)
        captured, allocations = Captured(), model.workspace.allocations
        with captured.capture():
            scores = model.forward(x, training, samples)
        self._begun = x, samples, scores, captured, allocations
        return scores

    def backward(self, dy):
        """Fill the parameters' gradients, as :meth:`Sequential.backward` does.

        Raises
        ------
        ArgumentError
            As there.
        """
        model, step, self._running = self._model, self._running, None
        if step is not None:
            if dy is step.delta or _place(dy) == _place(step.delta):
                step.backward.replay()
                return step.dx
            model.forward(step.x, True, step.samples)  # so that the layers know of this step
        if self._begun is None:
            return model.backward(dy)
        (x, samples, scores, forward, allocations), self._begun = self._begun, None
        backward, workspace = Captured(), model.workspace
        with backward.capture():
            dx = model.backward(dy)
        self._attempts += 1
        if forward and backward:
            arrays = [(p, p.value, p.grad) for p in model.parameters()]
            self._steps[_place(x, samples)] = self._same[id(x), samples] = _Step(
                x, samples, scores, dy, dx, forward, backward, arrays, workspace,
                allocations,
            )  # fmt: skip
        return dx

    def _is_current(self, step):
        """Whether all arrays are still those that were captured."""
        workspace = self._model.workspace
        if step.workspace is not workspace or step.allocations != workspace.allocations:
            return False
        for p, value, grad in step.parameters:
            if p.value is not value or p.grad is not grad:
                return False
        return True


def _is_replayable(layer):
    """Whether a layer and those inside say so, and nobody has put other code in their place."""
    methods = [getattr(type(layer), name) for name in ("forward", "backward")]
    own = layer.replayable and not {"forward", "backward"} & vars(layer).keys()
    ours = not any(is_foreign(method) for method in methods)
    return own and ours and all(_is_replayable(child) for child in layer.children())


def _place(array, *more):
    """What another view of the same numbers has in common with this one."""
    about = array.__array_interface__
    return about["data"], about["shape"], about["strides"], about["typestr"], *more
