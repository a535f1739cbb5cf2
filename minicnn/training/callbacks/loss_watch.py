"""LossWatch: says why a training ended without having learned."""

import math
from typing import Any

import numpy as np

from minicnn import lanes
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.metrics import entropy, predicted_classes
from minicnn.plan import NEVER
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer

MARGIN = 0.05  # of the loss of guessing: what a network that learned is below it
LARGE = 10.0  # times the loss of guessing: an initial loss that the weights alone explain
GROWN = 1.5  # ‖w‖ after over before: without too large steps, what learns nothing stays near 1
RISEN = 1.2  # loss after over before
SHRUNK = 0.5  # ‖w‖ after over before
FEW = 100  # steps: after fewer it is no wonder
WEAK = 0.02  # std of a score over the images
LOST = 10.0  # that std before over after; training raises it, and steps too small leave it

BEGAN = ("first", "norm", "spread")


class LossWatch(Callback):
    """Keeps how a training began, and its worst loss.

    A step costs one comparison. Losses are those of single batches.

    Attributes
    ----------
    first : float or None
        The loss of the first batch, before any update.
    worst, worst_step : float, int
        The greatest loss of a batch, and its step, counted from 1.
    norm : float or None
        ‖w‖ over all weights (parameters with ``decay``) before any update.
    spread : float or None
        Std of a score over the images of a test batch before any update, as the root mean square
        over the classes.
    """

    STATE = {
        **dict.fromkeys(BEGAN, lambda number: None if number is None else float(number)),
        "worst": lambda loss: -math.inf if loss is None else float(loss),
        "worst_step": int,
    }

    def __init__(self) -> None:
        self.first: float | None = None
        self.norm: float | None = None
        self.spread: float | None = None
        self.worst, self.worst_step = -math.inf, 0

    def on_train_begin(self, trainer: Trainer) -> None:
        """Measure weights and scores, unless training goes on in its midst."""
        if trainer.step == 0:
            self.norm, self.spread = _norm(trainer.model), _spread(trainer)

    def on_step_end(self, trainer: Trainer) -> None:
        """Look at the loss that this step's gradient was taken of."""
        loss = trainer.loss_value
        if trainer.step == 1:
            self.first = float(loss)
        if loss > self.worst:
            self.worst, self.worst_step = float(loss), trainer.step

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far."""
        worst = self.worst if math.isfinite(self.worst) else None  # JSON has no infinity
        return {**super().state_dict(), "worst": worst}

    def explanation(self, trainer: Trainer) -> str | None:
        """Why the network did not learn, and what may help, at the end of training.

        None if the loss is below that of guessing, training was not seen from its start or too
        short to tell, or there is only one class. None, too, for a loss other than
        `SoftmaxCrossEntropy`, as what guessing costs is known only there.
        """
        seen = all(getattr(self, name) is not None for name in BEGAN) and trainer.history
        tested = seen and trainer.predicted is not None
        if not (tested and isinstance(trainer.loss, SoftmaxCrossEntropy)):
            return None
        guess = _guessing(trainer)
        last = trainer.history[-1]
        high = [last[name] > (1 - MARGIN) * guess for name in ("train_loss", "test_loss")]
        classes = predicted_classes(trainer.predicted)
        if guess == 0 or not (high[1] and (high[0] or classes == 1)):
            return None
        cause = self._cause(trainer, guess, max(last["train_loss"], last["test_loss"]))
        if cause is None:
            return None
        text = [
            f"The training loss began at {self.first:.3g} and is {last['train_loss']:.3g} in the"
            f" last epoch, the test loss is {last['test_loss']:.3g}; to guess by the classes'"
            f" frequencies costs {guess:.3g}."
        ]
        if classes == 1:
            text.append("On the test set the network predicts 1 class.")
        return " ".join([*text, cause])

    def _cause(self, trainer, guess, loss):
        """What was seen that tells causes apart, and what would help; None if nothing was yet."""
        optimizer, lr = trainer.optimizer, trainer.base_lr
        first, norm_before, spread_before = (getattr(self, name) for name in BEGAN)
        before, norm = max(first, guess), _norm(trainer.model)
        growth = norm / max(norm_before, _unit_norm(trainer.model))
        if first > LARGE * guess and self.worst <= LARGE * first:
            return (
                "The loss was far above that of guessing before the first step: the initial"
                " weights are too large. Try --init msra or --init xavier."
            )
        momentum = " or --momentum 0.9" if getattr(optimizer, "momentum", 0) > 0.95 else ""
        lower = (
            f"the learning rate is likely too high. Try --lr {lr / 10:g}{momentum}, or what"
            " --preflight proposes."
        )
        if growth > GROWN or growth > 1.1 and loss > RISEN * before:
            peak = f"The loss rose to {self.worst:.3g} in step {self.worst_step}, and the"
            return (
                f"{peak if self.worst > RISEN * before else 'The'} weights' norm grew from"
                f" {norm_before:.3g} to {norm:.3g}: {lower}"
            )
        if trainer.step < FEW:
            return None
        if norm < SHRUNK * norm_before and optimizer.weight_decay:
            return (
                f"The weights' norm shrank from {norm_before:.3g} to {norm:.3g}: the weight decay"
                f" is likely too strong. Try --weight-decay {optimizer.weight_decay / 100:g}."
            )
        spread = _spread(trainer)
        if spread < WEAK and spread_before > max(LOST * spread, WEAK / LOST):
            return (
                f"Scores varied by {spread_before:.2g} from image to image at the start and by"
                f" {spread:.2g} at the end, so too large steps have destroyed the signal: {lower}"
            )
        if spread < WEAK:
            return (
                f"Scores vary by only {spread:.2g} from image to image: the signal is too weak."
                " Try another --init or --activation; --preflight says where it is lost."
            )
        usual = getattr(type(optimizer), "default_lr", lr)
        return (
            f"Scores vary by {spread:.2g} from image to image, so there is a signal, but the"
            f" {trainer.step:,} steps were too small or too few. Try"
            f" --lr {usual if lr < usual else 3 * lr:g}, or more --epochs."
        )


def _guessing(trainer):
    """The least loss of scores that are the same for all images, 0 if no image counts.

    Without weights it is the entropy of the mean target, q_k = (1 - smoothing) f_k + smoothing / K.
    With weights w it is that of w q, made to add up to 1, times the sum of w q over that of w f.
    """
    labels, loss = trainer.train.labels, trainer.loss
    labels, smoothing = labels[labels != loss.ignore_index], loss.label_smoothing
    classes = trainer.model.output_shape[0]
    f = np.bincount(labels, minlength=classes) / max(len(labels), 1)
    q = (1 - smoothing) * f + smoothing / classes
    w = np.ones(classes) if loss.weight is None else loss.weight
    weight = float(w @ f)
    if weight == 0:
        return 0.0
    if loss.weight is None:
        return entropy(q)
    return float(w @ q) / weight * entropy(w * q / (w @ q))


def _norm(model):
    with np.errstate(over="ignore", invalid="ignore"):
        weights = [p.value.astype(np.float64).ravel() for p in model.parameters() if p.decay]
        return math.sqrt(sum(float(w @ w) for w in weights))


def _unit_norm(model):
    """‖w‖ if the weights of every unit had length 1, as with a variance of 1 / fan_in."""
    return math.sqrt(sum(p.value.shape[0] for p in model.parameters() if p.decay))


def _spread(trainer):
    """Std of a score over the images of a test batch, as the root mean square over classes."""
    model, batch = trainer.model, next(iter(trainer.test_batches))
    with model.lock.taken():
        scores = lanes.unpack(
            model.run(batch.x, False, batch.samples, backward=NEVER), batch.samples
        )
        return float(np.sqrt(np.mean(np.var(scores, axis=0, dtype=np.float64))))
