"""The command line: parse, build, run, report."""

import importlib
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from minicnn.cli.options import NO_SETTINGS, make_parser
from minicnn.console import terminal
from minicnn.console.output import complain, say, show_note
from minicnn.console.terminal import coloured
from minicnn.errors import ArgumentError, MinicnnError

INTERRUPTED = 130
CRASHED = 1
WILL_NOT_TRAIN = 1

#: What `minicnn` does besides training, each in a file of its own.
COMMANDS = ("predict", "evaluate", "show", "doctor")

OWN_INITIALIZER = "Settings follow a colon: msra:fan_out. Yours: './myinit.py:HalfXavier(0.5)'."

OWN_DATA = """\
Yours: a folder train/CLASS/image.png and test/CLASS/..., or CLASS/image.png alone;
a file data.npz with x_train, y_train, x_test and y_test; a folder of IDX files or of
CIFAR's; or a function that returns both sets: ./file.py:load."""

FORMS = """\
Where there is a small form, images of at most 64x64 get it."""

OWN_MODEL = """\
Yours is a function that returns a new Sequential at every call, in a file or
module: ./net.py:build or package.module:build. build(classes, activation, init,
width=8) gets what the run has of these, activation() makes a layer;
'./net.py:build(16)' sets width."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 finished, 2 bad arguments, 3 bad data, 4 diverged, 130 interrupted
        (143 by a termination signal). Of a comparison, 0 if every training finished or
        diverged, 1 if one crashed. Of a pre-flight, 0 if the network will train, 1 if not.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without the sign for "squared" gets "?"
            stream.reconfigure(errors="replace")
    try:
        return _main(argv)
    except SystemExit as end:  # argparse's own, after --help and --version
        code: Any = end.code
        return code or 0
    except MinicnnError as error:
        return _fail(error, error.exit_code)
    except MemoryError as error:
        return _fail(f"not enough memory: {error}. Use a smaller --model or --batch-size.", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing more was saved.", INTERRUPTED)


def _main(argv):
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in COMMANDS:
        return importlib.import_module(f"minicnn.cli.{argv[0]}").run(argv[1:])
    if argv and argv[0] == "train":
        argv = argv[1:]
    given = vars(make_parser().parse_args(argv))
    if "help" in (given.get("model"), given.get("init"), given.get("data")):
        say(_help(given))
        return 0
    # Not before they are needed: to load Numba takes longer than to answer --help.
    from minicnn.training.runs.settings import Settings

    chosen = {k: v for k, v in given.items() if k not in NO_SETTINGS}
    recipe = {}
    if "recipe" in given:
        from minicnn.cli import options

        recipe = options.recipe(given["recipe"])
    if given.keys() & {"ablate", "seeds", "baseline"}:
        return _compare(given, chosen, recipe)
    chosen = {**recipe, **chosen}
    if "preflight" in given:
        return _preflight(given, Settings(**chosen))
    if given.keys() & {"find_lr", "overfit_batch"}:
        from minicnn.cli import before

        return before.run(given, Settings(**chosen))
    if "resume" in given:
        return _resume(given, chosen)
    from minicnn.training.runs.run import EVERY, Run

    every = given.get("checkpoint_every", EVERY)
    return _train(given, Run(Settings(**chosen), given.get("out"), every))


def _resume(given, chosen):
    """Go on with a run."""
    from minicnn.training.runs.resume import resume

    folder = given["resume"]
    if "out" in given:
        raise ArgumentError("--resume writes into the run's own folder: leave --out out.")
    run = resume(folder, chosen, given.get("checkpoint_every"))
    if run is None:
        say(f"the run in {folder} has finished: nothing is left to do.")
        return 0
    return _train(given, run)


def _train(given, run):
    """Train a run that is ready, and report."""
    for note in run.notes:
        show_note(note)
    quiet = given.get("quiet", False)
    if not quiet:
        say(run.model.summary())
        if run.trainer.step:
            say(_position(run.trainer))
    callbacks = []
    if "profile" in given:
        from minicnn.training.callbacks.profile import Profile

        callbacks.append(Profile())
    run.train(quiet, callbacks)
    for profile in callbacks:
        say("", profile.table())
    say(_report(run))
    if run.error is not None:
        return _fail(run.error, run.error.exit_code)
    if run.summary["status"] == "interrupted":
        resumed = f"--resume {run.folder.path} goes on"
        return _fail(f"interrupted; what was done is saved, {resumed}.", 128 + (run.signal or 2))
    return 0


def _position(trainer):
    """Where a resumed run goes on."""
    epoch = f"epoch {min(trainer.epoch + 1, trainer.epochs)} of {trainer.epochs}"
    return f"\ngoing on after step {trainer.step:,} of {trainer.total_steps:,}, in {epoch}"


def _preflight(given, settings):
    """Judge the network that `settings` describe, and train nothing."""
    from minicnn.lab import advice

    for name in ("out", "profile", "resume", "checkpoint_every"):
        if name in given:
            raise ArgumentError(
                "--preflight trains nothing and writes nothing: leave"
                f" --{name.replace('_', '-')} out."
            )
    tables, sentence, trains = advice.report(settings, settings.load_data()[0])
    sentence = "\n".join(textwrap.fill(line, terminal.width()) for line in sentence.splitlines())
    say(sentence if given.get("quiet") else f"{tables}\n\n{sentence}")
    return 0 if trains else WILL_NOT_TRAIN


def _compare(given, chosen, recipe):
    """Train a grid and report."""
    from minicnn.lab.ablation import report
    from minicnn.lab.ablation.ablation import Ablation
    from minicnn.lab.ablation.baseline import Baseline
    from minicnn.lab.ablation.grid import Grid
    from minicnn.lab.ablation.results import DONE
    from minicnn.training.runs.settings import Settings

    for name in (
        "profile", "preflight", "resume", "checkpoint_every", "find_lr", "overfit_batch",
    ):  # fmt: skip
        if name in given:
            option = name.replace("_", "-")
            raise ArgumentError(f"--{option} is of a single run: leave it out of a comparison.")
    axes, quiet = given.get("ablate", []), given.get("quiet", False)
    threads = Settings(threads=chosen.pop("threads", None)).threads
    grid = Grid.from_strings(
        axes, _option_value, recipe, seeds=given.get("seeds", 3),
        first_seed=chosen.pop("seed", 0), base=chosen,
    )  # fmt: skip
    baseline = Baseline.from_strings(grid, given.get("baseline", []), _option_value)
    ablation = Ablation(grid, given.get("out"), threads)
    if not quiet:
        before = sum(outcome.status in DONE for outcome in ablation.outcomes)
        say(
            f"{len(grid.arms())} arms, {len(ablation.outcomes)} runs in {ablation.folder}"
            + (f", {before} of them done before" if before else "")
        )
    if ablation.note:
        show_note(ablation.note)
    outcomes = ablation.run(quiet)
    count = Counter(outcome.status for outcome in outcomes)
    done = f"{count['finished'] + count['diverged']} of {len(outcomes)} runs are done"
    if ablation.signal is not None:
        resumed = f"the same command with --out {ablation.folder} goes on"
        return _fail(f"interrupted; {done} and kept, {resumed}.", 128 + ablation.signal)
    missing = report.write(grid, outcomes, ablation.folder, baseline)
    shown = report.text(grid, outcomes, baseline, terminal.width())
    say(shown, "", f"written to {ablation.folder}")
    if missing:
        show_note(missing)
    if count["crashed"]:
        return _fail(f"{count['crashed']} of {len(outcomes)} runs crashed.", CRASHED)
    return 0


def _option_value(name, word):
    """What the command line makes of an option's word."""
    option = name.replace("_", "-")
    return vars(make_parser().parse_args([f"--{option}={word}"]))[name]


def _help(given):
    if given.get("data") == "help":
        from minicnn.data import names

        return textwrap.fill(", ".join(names()), terminal.width()) + f"\n\n{OWN_DATA}"
    if given.get("model") == "help":
        from minicnn.models import zoo

        return f"{_hanging(zoo.help())}\n\n{FORMS}\n\n{OWN_MODEL}"
    from minicnn import initializers

    return f"{_hanging(initializers.help())}\n\n{OWN_INITIALIZER}"


def _hanging(table):
    """A table of names and what they are, its lines broken to the terminal's width."""
    lines = []
    for line in table.splitlines():
        begin = len(line) - len(line.partition("  ")[2].lstrip())
        lines += textwrap.wrap(line, terminal.width(), subsequent_indent=" " * begin)
    return "\n".join(lines)


def _report(run):
    """The block that ends a run."""
    summary = run.summary
    status = summary["status"]
    rows = [("status", coloured(status, "green" if status == "finished" else "red"))]
    if summary["test_accuracy"] is not None:
        best, epochs = summary["best_test_accuracy"], summary["epochs"]
        accuracy = f"{100 * summary['test_accuracy']:.2f} % after {epochs} epoch{'s'[: epochs - 1]}"
        if "best_epoch" in summary:
            held, chosen = (summary[f"{n}validation_accuracy"] for n in ("", "best_"))
            last, most = f"{100 * held:.2f} %", f"{100 * chosen:.2f} %"
            epoch = f"in epoch {summary['best_epoch']}"
            rows.append(("validation accuracy", f"{last}, at best {most} {epoch}"))
            there = f"{100 * summary['test_accuracy_of_best']:.2f} % in the epoch chosen so"
            rows.append(("test accuracy", f"{accuracy}, {there}"))
        else:
            rows.append(("test accuracy", f"{accuracy}, at best {100 * best:.2f} %"))
    if summary["images_per_second"] is not None:
        speed = f"{summary['images_per_second']:,.0f} images/s"
        rows.append(("training", f"{summary['train_seconds']:.1f} s, {speed}"))
    rows.append(("written to", str(run.folder.path)))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    if run.explanation:
        lines += ["", textwrap.fill(run.explanation, terminal.width())]
    return "\n".join(["", *lines])


def _fail(error, code):
    complain(f"{coloured('error:', 'red', sys.stderr)} {error}")
    return code


if __name__ == "__main__":
    sys.exit(main())
