"""What a person sees while a model is trained."""

import sys

from tqdm import tqdm

from minicnn.output import say
from minicnn.training.callbacks import Callback


class Progress(Callback):
    """A bar of the running epoch on stderr, and on stdout a line for each finished one.

    The bar shows the mean loss and accuracy of the epoch so far and the images a second; it
    appears only if stderr is a terminal. Text is made only when the bar is redrawn, at most
    ten times a second.
    """

    def __init__(self):
        self._bar = None

    def on_epoch_begin(self, trainer):
        """Begin a bar."""
        self._bar = tqdm(
            desc=f"epoch {trainer.epoch}/{trainer.epochs}",
            total=len(trainer.train),
            initial=trainer.totals.samples,
            unit=" images",
            leave=False,
            disable=None,
            file=sys.stderr,
        )

    def on_step_end(self, trainer):
        """Move the bar."""
        if self._bar.update(trainer.batch.samples):
            totals = trainer.totals
            self._bar.set_postfix_str(
                f"loss {totals.loss:.4f}, accuracy {100 * totals.accuracy:.2f} %", refresh=False
            )

    def on_epoch_end(self, trainer):
        """Take the bar away and print the epoch's line."""
        self._bar.close()
        say(epoch_line(trainer.history[-1], trainer.epochs))

    def on_train_end(self, trainer):
        """Take the bar away if training ended within an epoch."""
        if self._bar is not None:
            self._bar.close()


def epoch_line(line, epochs):
    """One line of ``trainer.history`` as text; `epochs` is how many there will be."""
    return (
        f"epoch {line['epoch']}/{epochs}"
        f"  loss {line['train_loss']:.4f}  accuracy {100 * line['train_accuracy']:.2f} %"
        f"  test loss {line['test_loss']:.4f}  test accuracy {100 * line['test_accuracy']:.2f} %"
        f"  {line['seconds']:.1f} s  {line['images_per_second']:,.0f} images/s"
    )
