"""One step of training: forward, loss, backward and update.

For a small batch Python takes as long as the kernels. So a step that has been made before is
replayed, all of its kernels in one call, with Python in between only where somebody wrote some: a
layer in NumPy, a loss, a callback that looks at the gradients, an optimizer. The bits are those of
the parts one after the other.

For the package itself: it checks nothing of what it is handed, but labels.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from minicnn.checks import is_third_party
from minicnn.losses import Buffers
from minicnn.models import Sequential
from minicnn.optimizers import Optimizer
from minicnn.plan import Passes, Recording
from minicnn.plan.passes import Recorded
from minicnn.training.gradients import compute_gradients

#: What a loss and an optimizer are made of, which somebody may have replaced.
METHODS = frozenset((
    "__call__", "compute", "load", "numbers", "rule", "step", "targets", "update", "write_settings",
))  # fmt: skip


class _Known(NamedTuple):
    """What gives the gradients of a batch in one place, replayed."""

    loss: Any
    recorded: Recorded
    buffers: Buffers
    targets: Any
    gradients: Recording
    in_one: bool  # without Python, which may change what the update reads


class TrainingStep:
    """Steps of one model, loss and optimizer.

    What the layers are must not change while it is used, as for :class:`minicnn.plan.Passes`;
    settings of the loss, which may be any callable, and of the optimizer may.
    """

    def __init__(self, model: Sequential, loss: Any, optimizer: Optimizer):
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.passes = Passes(model)
        self._known: dict[int, _Known] = {}  # by the identity of what is recorded
        self._runs: Any = None  # that `_update` changes
        self._update: Any = None
        self._whole: dict[int, Recording] = {}  # by the identity of gradients
        self._own_classes: dict[type, bool] = {}

    def __call__(
        self,
        x: np.ndarray,
        labels: np.ndarray,
        look: Callable[[np.ndarray, int], None] | None = None,
        between: Callable[[float], None] | None = None,
    ) -> float:
        """Make a step, and return the loss.

        `x`, `labels` and `look` are those of :func:`minicnn.training.gradients.compute_gradients`.
        `between` is called with the loss when the gradients are there, before the update.
        """
        known = self._gradients(x, labels)
        if known and known.in_one and between is None and self._is_ours(self.optimizer):
            self._replay_all(known)
            return self._end(known, look)
        if known is None:
            value = compute_gradients(self.model, self.loss, x, labels, look, self.passes)
        else:
            known.gradients.replay()
            value = self._end(known, look)
        if between is not None:
            between(value)
        if self._is_ours(self.optimizer):
            self._replay_update(self.optimizer.load())
        else:
            self.optimizer.step()
        return value

    def _gradients(self, x, labels):
        """How to replay forward, loss and backward for this batch, whose labels are loaded."""
        recorded = self.passes.recorded(x, len(labels)) if self._is_ours(self.loss) else None
        if recorded is None:
            return None
        self.model.lock.take()
        known = self._known.get(id(recorded))
        if known is not None and known.loss is self.loss:
            self.loss.load(known.buffers, labels)
            if known.buffers.targets is known.targets:
                return known
        buffers, loss = Buffers(recorded.scores, recorded.delta), Recording()
        self.loss.load(buffers, labels)
        with loss:
            loss.step(lambda: self.loss.compute(buffers), in_python=False)
        if not loss.is_whole:
            return None
        whole = Recording.joined([recorded.forward, loss, recorded.backward])
        known = _Known(self.loss, recorded, buffers, buffers.targets, whole, whole.is_kernels)
        kept = {key: old for key, old in self._known.items() if self.passes.knows(old.recorded)}
        self._known, self._whole = {**kept, id(recorded): known}, {}
        return known

    def _end(self, known, look):
        """What follows a replay: the loss, and a look at the scores."""
        self.model.forget()
        if look is not None:
            look(known.recorded.scores, known.recorded.samples)
        return float(known.buffers.value[0])

    def _replay_all(self, known):
        """Gradients and update in one."""
        runs = self.optimizer.load()
        try:
            if runs is not self._runs:
                known.gradients.replay()
                self._replay_update(runs)
                return
            whole = self._whole.get(id(known.gradients))
            if whole is None:
                whole = Recording.joined([known.gradients, self._update])
                self._whole[id(known.gradients)] = whole
            whole.replay()
        except BaseException:
            self.optimizer.steps -= 1  # it has not been made
            raise

    def _replay_update(self, runs):
        """Update; for the first time on these arrays it is written down."""
        if runs is self._runs:
            self._update.replay()
            return
        update = Recording()
        with update:
            update.step(self.optimizer.update, in_python=False)
        if update.is_whole:
            self._runs, self._update, self._whole = runs, update, {}

    def _is_ours(self, part):
        """Whether a loss or an optimizer is the package's own, so that kernels do all its work."""
        if not METHODS.isdisjoint(getattr(part, "__dict__", ())):
            return False
        cls = type(part)
        if cls not in self._own_classes:
            own = [getattr(cls, name, None) for name in METHODS]
            functions = [method for method in own if isinstance(method, FunctionType)]
            replaced = any(is_third_party(f) or hasattr(f, "__wrapped__") for f in functions)
            self._own_classes[cls] = not (replaced or is_third_party(cls))
        return self._own_classes[cls]
