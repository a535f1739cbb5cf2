"""What a person sees while a model is trained."""

import math
from typing import Any

from minicnn.checks import check_count, check_dict, check_number, takes
from minicnn.console import terminal
from minicnn.console.bars import progress_bar
from minicnn.console.output import say
from minicnn.errors import ArgumentError
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer

FULL = 112  # characters that the longest line of an epoch needs
NAMES = "epoch", "train_loss", "train_accuracy", "seconds", "images_per_second"
TESTED = "test_loss", "test_accuracy"


class Progress(Callback):
    """A bar of the running epoch, and on stdout a line for each finished one.

    The bar shows the mean loss and accuracy of the epoch so far and the images a second; it
    appears only in a terminal or a notebook. Text is made only when the bar is redrawn, at most
    ten times a second.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Begin a bar."""
        self._bar = progress_bar(
            desc=f"epoch {trainer.epoch}/{trainer.epochs}",
            total=len(trainer.train),
            initial=trainer.totals.samples,
            bar_format="{desc} |{bar}| {n_fmt}/{total_fmt}  {rate_noinv_fmt}{postfix}",
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            leave=False,
        )

    def on_step_end(self, trainer: Trainer) -> None:
        """Move the bar."""
        if self._bar.update(trainer.batch.samples):
            totals = trainer.totals
            self._bar.set_postfix_str(
                f"loss {_short(totals.loss)}, accuracy {100 * totals.accuracy:.2f} %", refresh=False
            )

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Take the bar away and print the epoch's line."""
        self._bar.close()
        say(epoch_line(trainer.history[-1], trainer.epochs))

    def on_train_end(self, trainer: Trainer) -> None:
        """Take the bar away if training ended within an epoch."""
        if self._bar is not None:
            self._bar.close()


def _line(value, what):
    """`value` if it is a line of a history."""
    check_dict(value, what)
    names = (*NAMES, *(TESTED if any(name in value for name in TESTED) else ()))
    missing = [name for name in names if name not in value]
    if missing:
        raise ArgumentError(f"{what} must be one of trainer.history, got none of {missing}.")
    for name in names:
        check_number(value[name], f"{what}[{name!r}]")
    return value


@takes(line=_line, epochs=check_count)
def epoch_line(line: dict[str, Any], epochs: int) -> str:
    """One line of ``trainer.history`` as text; `epochs` is how many there will be.

    The accuracy in training and the loss on the test set are left out where a line of the
    terminal has no room for them.
    """
    number, loss = f"epoch {line['epoch']}/{epochs}", f"loss {_short(line['train_loss'])}"
    accuracy, seconds = _accuracy(line["train_accuracy"]), f"{line['seconds']:.1f} s"
    held = line.get("validation_accuracy")
    chosen = [] if held is None or math.isnan(held) else [f"validation {100 * held:.2f} %"]
    tested, test_loss = [], []
    if not math.isnan(line.get("test_accuracy", math.nan)):  # else it was not evaluated
        tested = [f"test {_accuracy(line['test_accuracy'])}"]
        test_loss = [f"test loss {_short(line['test_loss'])}"]
    words = [number, loss, *chosen, *tested, seconds]
    if terminal.width() >= FULL + len(*chosen or [""]):
        words = [number, loss, accuracy, *chosen, *test_loss, *tested, seconds]
    return "  ".join([*words, f"{line['images_per_second']:,.0f} images/s"])


def _accuracy(fraction):
    return f"accuracy {100 * fraction:.2f} %"


def _short(loss):
    """A loss in a few characters, however far it is from that of a network that learns."""
    return f"{loss:.4f}" if abs(loss) < 1e4 else f"{loss:.3g}"
