"""``--find-lr`` and ``--overfit-batch``: what to know before a training begins."""

from pathlib import Path
from typing import Any

from minicnn.console import terminal
from minicnn.console.output import say
from minicnn.console.table import as_text
from minicnn.errors import ArgumentError
from minicnn.training.lr_finder import find_lr, overfit_batch
from minicnn.training.runs.files import write_atomically
from minicnn.training.runs.settings import Settings
from minicnn.views import canvas, learning_rates

LINES = 12  # of a table of losses
LEARNED = 0.1  # of the first loss, below which a batch is learned
WILL_NOT_LEARN = 1


def run(given: dict[str, Any], settings: Settings) -> int:
    """Carry out what is `given` for these settings; returns the exit code."""
    name = "find_lr" if "find_lr" in given else "overfit_batch"
    wrong = ["profile", "resume", "checkpoint_every", *(["out"] if name == "overfit_batch" else [])]
    for other in wrong:
        if other in given:
            raise ArgumentError(
                f"{_option(name)} trains nothing that is kept: leave {_option(other)} out."
            )
    out = canvas.check_ending(Path(given["out"])) if "out" in given else None
    train = settings.load_data().train
    model = settings.make_model(train)
    parts = model, settings.make_optimizer(model.parameters()), train
    shared: dict[str, Any] = {"loss": settings.make_loss(train), "batch_size": settings.batch_size}
    if name == "overfit_batch":
        return _overfit(overfit_batch(*parts, **shared))
    shared |= {"seed": settings.seed, "augmentation": settings.make_augmentation()}
    curve = find_lr(*parts, **shared)
    step = max(1, -(-len(curve.lrs) // LINES))
    rows = [[f"{lr:.2g}", f"{loss:.4f}"] for lr, loss in zip(curve.lrs, curve.smoothed)][::step]
    say(as_text(["learning rate", "smoothed loss"], rows, terminal.width(), keys=1), "")
    if curve.suggestion is None:
        say("the loss never falls: no learning rate can be suggested.")
    else:
        say(
            f"the loss is least at {curve.least:.2g}: try a third of it,"
            f" --lr {curve.suggestion:.2g}"
        )
    if out is not None:
        write_atomically(out, canvas.as_file(learning_rates(curve), out.suffix[1:]))
        say(f"written to {out}")
    return 0


def _overfit(losses):
    first, last, count = losses[0], losses[-1], len(losses)
    said = f"the loss of the first batch is {first:.4f}, and {last:.4f} after {count - 1} steps"
    if last < LEARNED * first:
        say(f"{said}: the network can learn it.")
        return 0
    say(
        f"{said}: the network does not learn it. Look at the labels, at --preflight, and for"
        " another learning rate by --find-lr."
    )
    return WILL_NOT_LEARN


def _option(name):
    return "--" + name.replace("_", "-")
