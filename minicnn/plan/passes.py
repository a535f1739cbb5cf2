"""Passes of a model that are replayed where only the numbers are new.

The first pass of a kind is written down (:mod:`minicnn.plan.recording`), and the next ones replay
it: the same equations, on the same arrays, with the same bits, but no Python in between where a
layer needs none.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minicnn.checks import check_count, check_kind
from minicnn.lanes import are_lanes
from minicnn.layers.base import Layer
from minicnn.layers.context import Array
from minicnn.parameter import Parameter
from minicnn.plan.recording import Recording
from minicnn.plan.steps import NEVER, ONCE

if TYPE_CHECKING:
    from minicnn.models.sequential import Sequential

ATTEMPTS = 16  # passes that are written down, before it is clear that they never come again


class Recorded(NamedTuple):
    """What was captured of a forward pass, and of a backward pass in training, with its arrays.

    `allocations` is the number before the step: what was captured while arrays were made, when
    others may have gone, is never current.
    """

    x: np.ndarray
    samples: int
    scores: np.ndarray
    delta: np.ndarray
    dx: np.ndarray
    forward: Recording
    backward: Recording
    parameters: list  # each with its value and its gradient
    plan: object
    arrangement: int
    allocations: int


class Passes:
    """A model's passes, called as the model's own, and replayed where that is the same.

    That is so while the parameters' arrays and the plan's are those of the recorded step, for a
    batch of as many samples in the same place. All else is left to the model. What a layer does in
    Python (``Layer.in_python``), a user's among them, is called in every step. What the layers are
    (which there are, and their settings but for those of dropout and batch normalization) must not
    be changed while these passes are used.

    Parameters
    ----------
    model : Sequential
    """

    def __init__(self, model: "Sequential"):
        self.model = check_kind(model, Layer, "Passes: model")
        self._known: dict[Any, Recorded] = {}  # by the place of the batch
        self._same: dict[Any, Recorded] = {}  # by the very array
        self._attempts, self._changes = 0, Parameter.changes
        self._running: Recorded | None = None  # the step whose forward pass was replayed last
        self._begun: Any = None  # what is known of a step whose forward pass was captured last

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return type(self), (self.model,)  # a copy's arrays are others

    def knows(self, recorded: Recorded) -> bool:
        """Whether something captured may be replayed again, as far as these passes know."""
        return any(known is recorded for known in self._known.values())

    def forward(self, x: Array, training: bool = True, samples: int | None = None) -> np.ndarray:
        """The scores, as :meth:`Sequential.forward` gives them.

        After a pass of training one backward pass may follow, after one of evaluation none.

        Raises
        ------
        ArgumentError
            As there.
        """
        model = self.model
        self._running = self._begun = None
        if type(samples) is not int and samples is not None:
            samples = check_count(samples, "samples", least=0)
        if type(training) is not bool or type(x) is not np.ndarray:
            return model.forward(x, training, samples)  # which says what is wrong
        if training:
            model.lock.take()
            return self._forward(x, training, samples, ONCE)
        with model.lock.shared():
            return self._forward(x, training, samples, NEVER)

    def recorded(self, x: Array, samples: int | None, training: bool = True) -> Recorded | None:
        """What was captured of passes on a batch in this place, if it can be replayed."""
        known = samples is None or type(samples) is int
        if type(x) is not np.ndarray or type(training) is not bool or not known:
            return None
        step = self._same.get((id(x), samples, training))
        if step is None:
            step = self._known.get(_place(x, samples, training))
        return step if step is not None and self._is_current(step) else None

    def _forward(self, x, training, samples, backward):
        model = self.model
        step = self.recorded(x, samples, training)
        if step is not None:
            step.forward.replay()
            model.forget()
            self._running = step if training else None
            return step.scores
        if self._attempts >= ATTEMPTS or model.plan().observer is not None:
            return model.run(x, training, samples, backward=backward)
        recording, before = Recording(), (model.plan().memory.allocations, Parameter.changes)
        with recording:
            scores = model.run(x, training, samples, recording, backward)
        self._begun = x, samples, scores, recording, before
        if not training:
            self._attempts += 1
            self._remember(False, None, None, None)
        return scores

    def backward(self, dy: Array) -> Any:
        """Fill the parameters' gradients, as :meth:`Sequential.backward` does; once a forward pass.

        Raises
        ------
        ArgumentError
            As there.
        """
        model, step, self._running = self.model, self._running, None
        if step is not None:
            if are_lanes(dy, model.output_shape, step.delta.dtype) and len(dy) == len(step.delta):
                np.copyto(step.delta, dy)
                step.backward.replay()
                return step.dx
            model.run(step.x, True, step.samples, backward=ONCE)  # so that it says what is wrong
        if self._begun is None:
            dx = model.backward(dy)
        else:
            recording, delta = Recording(), dy
            if are_lanes(dy, model.output_shape, model.dtype):
                delta = dy.copy()  # the next one may stand elsewhere
            with recording:
                dx = model.backward(delta, recording)
            self._attempts += 1
            self._remember(True, recording, delta, dx)
        model.forget()
        return dx

    def _remember(self, training, backward, dy, dx):
        """Keep what was written down, if it can be replayed."""
        (x, samples, scores, forward, before), self._begun = self._begun, None
        plan, (allocations, changes) = self.model.plan(), before
        whole = forward.is_whole and (backward is None or backward.is_whole)
        if whole and changes == Parameter.changes:  # else an array may be another by now
            arrays = [(p, p.value, p.grad) for p in self.model.parameters()]
            self._known[_place(x, samples, training)] = self._same[id(x), samples, training] = (
                Recorded(
                    x, samples, scores, dy, dx, forward, backward, arrays,
                    plan, plan.arrangement, allocations,
                )
            )  # fmt: skip

    def _is_current(self, step):
        """Whether all arrays are still those that were captured."""
        plan = self.model.plan()
        if step.plan is not plan or step.allocations != plan.memory.allocations:
            return False
        plan.check()
        if plan.observer is not None or step.arrangement != plan.arrangement:
            return False
        if Parameter.changes != self._changes:
            self._known = {key: other for key, other in self._known.items() if _holds(other)}
            self._same = {key: other for key, other in self._same.items() if _holds(other)}
            self._changes = Parameter.changes
            return _holds(step)
        return True


def _holds(step):
    """Whether the parameters still have the arrays that were captured."""
    return all(p.value is value and p.grad is grad for p, value, grad in step.parameters)


def _place(array, *more):
    """What another view of the same numbers has in common with this one."""
    about = array.__array_interface__
    return about["data"], about["shape"], about["strides"], about["typestr"], *more
