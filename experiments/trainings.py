"""What the experiments that train share: grids of watched runs, and how their seeds are drawn."""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial

import numpy as np

from minicnn.errors import MinicnnError
from minicnn.lab.ablation.ablation import Ablation
from minicnn.lab.ablation.grid import label
from minicnn.lab.ablation.results import Outcome
from minicnn.lab.ablation.workers import train_trial
from minicnn.lab.symmetry.certificate import certify
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.gradient_watch import GradientWatch
from minicnn.training.runs.files import json_file, write_atomically

WATCHED = "watched.json"
POINTS = 60  # of a curve
HELD = {"validation": 5000}  # images of the training set, for a grid that `best` chooses from
# Okabe & Ito's, which the colour-blind can tell apart.
COLOURS = {
    "zeros": "#000000", "constant:0.1": "#E69F00", "normal:0.01": "#CC79A7", "xavier": "#0072B2",
    "msra": "#D55E00",
}  # fmt: skip


class Curve(Callback):
    """Loss and accuracy in training, as means over some 60 stretches of batches.

    Each batch counts with the weights from before its update, so in the first pass over the data
    the accuracy is one on images never seen.

    Attributes
    ----------
    images : list of int
        Trained on until the end of each stretch.
    loss : list of float
        In nats.
    accuracy : list of float
        Fractions.
    """

    def __init__(self):
        self.images, self.loss, self.accuracy = [], [], []
        self._begin()

    def on_epoch_begin(self, trainer):
        """Forget the totals, as the trainer does."""
        self._before = 0

    def on_step_end(self, trainer):
        """Add a batch; end the stretch if it is long enough."""
        totals = trainer.totals
        correct = round(totals.accuracy * totals.samples)
        samples = len(trainer.batch.labels)
        self._samples += samples
        self._loss += trainer.loss_value * samples
        self._correct += correct - self._before
        self._before = correct
        length = -(-trainer.total_steps // POINTS)
        if trainer.step % length == 0 or trainer.step == trainer.total_steps:
            seen = self.images[-1] if self.images else 0
            self.images.append(seen + self._samples)
            self.loss.append(self._loss / self._samples)
            self.accuracy.append(self._correct / self._samples)
            self._begin()

    def _begin(self):
        self._samples, self._loss, self._correct = 0, 0.0, 0


def train_watched(settings, folder, certified=False):
    """Train one trial as `workers.train_trial`, whose arguments these are, and keep what was seen.

    `certified` says whether to look at the symmetry of the trained model, which takes a while.
    """
    curve, gradients = Curve(), GradientWatch()
    run = train_trial(settings, folder, [curve, gradients])
    first = run.model.parameters()[0].value
    seen = {
        "images": curve.images, "loss": curve.loss, "accuracy": curve.accuracy,
        "dead": gradients.steps > 0 and gradients.all_zero,
        "zero": not any(p.value.any() for p in run.model.parameters() if p.decay),
        "filters": first if first.ndim == 4 else [],
        "layers": _symmetry(run.model) if certified and run.error is None else [],
    }  # fmt: skip
    write_atomically(folder / WATCHED, json_file(seen))


def _symmetry(model):
    rows = [row for row in certify(model).layers if row.rank is not None]
    return [{"rank": row.rank, "distinct": row.distinct, "units": row.units} for row in rows]


@dataclass(frozen=True)
class Training:
    """A run of a grid and what was seen of it.

    Attributes
    ----------
    outcome : Outcome
    seen : dict
        ``images``, ``loss``, ``accuracy``: of a `Curve`. ``dead``: whether every weight gradient
        was exactly 0 in every step. ``zero``: whether every weight is 0 at the end. ``filters``:
        the first layer's weights then, if it is a convolution. ``layers``: of each layer with a
        matrix its ``rank``, ``distinct`` filters and ``units``, if it was certified and has not
        diverged.
    """

    outcome: Outcome
    seen: dict

    @property
    def accuracy(self):
        """On the test set at the end, as a fraction; 0 if the run diverged."""
        return self.outcome.final("test_accuracy") or 0.0

    @property
    def validation_accuracy(self):
        """On the validation set at the end, as a fraction; 0 if the run diverged."""
        return self.outcome.final("validation_accuracy") or 0.0

    @property
    def loss(self):
        """The mean over the last epoch's batches, in nats; infinite if the run diverged."""
        final = self.outcome.final("train_loss")
        return float("inf") if final is None else final

    @property
    def classes(self):
        """How many different classes are predicted on the test set; None if the run diverged."""
        return self.outcome.summary["predicted_classes"]

    @property
    def dead(self):
        """Whether nothing but the last bias learned: no gradient, no weight, one class."""
        return self.seen["dead"] and self.seen["zero"] and self.classes == 1

    def __str__(self):
        diverged = self.outcome.status == "diverged"
        return "diverged" if diverged else f"{100 * self.accuracy:.2f}"


def train(grid, processors=None, certified=False):
    """Train a grid in a temporary folder; progress goes to stderr if that is a terminal.

    Parameters
    ----------
    grid : Grid
    processors : int, optional
        As `Ablation` has it: as many runs at once.
    certified : bool
        As for `train_watched`.

    Returns
    -------
    list of Training
        In the order of ``grid.trials()``: the arms of the first seed come first.

    Raises
    ------
    KeyboardInterrupt
        If a signal ended it.
    MinicnnError
        If a run crashed.
    """
    with tempfile.TemporaryDirectory(prefix="minicnn-") as folder:
        ablation = Ablation(grid, folder, processors, partial(train_watched, certified=certified))
        with redirect_stdout(sys.stderr):
            outcomes = ablation.run(quiet=not sys.stderr.isatty())
        if ablation.signal is not None:
            raise KeyboardInterrupt(ablation.signal)
        for outcome in outcomes:
            if outcome.status == "crashed":
                trial = outcome.trial
                raise MinicnnError(f"{label(trial.arm)}, seed {trial.seed}: {outcome.error}")
        files = [ablation.folder / outcome.trial.name / WATCHED for outcome in outcomes]
        return [
            Training(outcome, json.loads(file.read_text("utf-8")))
            for outcome, file in zip(outcomes, files)
        ]


def of_arm(trainings, **settings):
    """Those whose arm has these settings, in the order of their seeds."""
    return [t for t in trainings if settings.items() <= t.outcome.trial.arm.items()]


def best(trainings, axis="lr"):
    """The value of an axis whose trainings have the greatest mean accuracy on validation sets.

    Parameters
    ----------
    trainings : list of Training
        Of a grid with the settings `HELD`.
    axis : str

    Returns
    -------
    value : object
    chosen : list of Training
        Those of that value.
    """
    values = dict.fromkeys(t.outcome.trial.arm[axis] for t in trainings)
    return max(
        ((value, of_arm(trainings, **{axis: value})) for value in values),
        key=lambda pair: validation_mean(pair[1]),
    )


def mean(trainings):
    """Mean test accuracy, as a fraction."""
    return float(np.mean([t.accuracy for t in trainings]))


def validation_mean(trainings):
    """Mean accuracy on the validation sets, as a fraction."""
    return float(np.mean([t.validation_accuracy for t in trainings]))


def in_words(trainings):
    """The test accuracy of every seed in per cent."""
    return ", ".join(map(str, trainings))


def losses_near(trainings, wanted, tolerance):
    """The losses at the end in words, and whether all are as wanted, within the tolerance."""
    losses = [t.loss for t in trainings]
    shown = ", ".join(f"{loss:.4f}" for loss in losses)
    held = all(abs(loss - wanted) < tolerance for loss in losses)
    return f"the loss ends at {shown} ({wanted} ± {tolerance})", held


def check_trains(label, trainings, form):
    """That as many seeds as ``form["accurate"]`` have more than ``form["bar"]`` per cent."""
    count = sum(100 * t.accuracy > form["bar"] for t in trainings)
    text = f"{label}: {count} of {len(trainings)} seeds above {form['bar']} %"
    return f"{text} ({in_words(trainings)}), {form['accurate']} or more", count >= form["accurate"]


def images_seen(trainings):
    """The images trained on until each point of the longest curve, in thousands."""
    return np.array(max((t.seen["images"] for t in trainings), key=len)) / 1000


def draw_losses(axis, trainings, colour, label=None, **look):
    """The losses of every seed over the images seen; see `draw_seeds`."""
    losses = [t.seen["loss"] for t in trainings]
    draw_seeds(axis, images_seen(trainings), losses, colour, label, **look)


def draw_seeds(axis, x, seeds, colour, label=None, **look):
    """A thin line for each seed, a band from the least to the greatest, and the mean in bold.

    Parameters
    ----------
    axis : matplotlib Axes
    x : sequence of float
    seeds : sequence of sequence of float
        A line for each seed. What a diverged run lacks at the end is left out of band and mean.
    colour, label : str
    **look
        Of the mean, such as a linestyle or a marker.
    """
    lines = np.full((len(seeds), len(x)), np.nan)
    for row, line in zip(lines, seeds):
        row[: len(line)] = [np.nan if value is None else value for value in line]
    lines = np.ma.masked_invalid(lines)
    axis.plot(x, lines.T, color=colour, linewidth=0.6, alpha=0.6)
    axis.fill_between(x, lines.min(axis=0), lines.max(axis=0), color=colour, alpha=0.15, lw=0)
    axis.plot(x, lines.mean(axis=0), color=colour, linewidth=1.8, label=label, **look)
