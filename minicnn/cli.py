"""The command line: parse, build, run, report."""

import argparse
import sys
from collections import Counter

import minicnn
from minicnn.errors import ArgumentError, MinicnnError
from minicnn.parser import Parser

INTERRUPTED = 130
CRASHED = 1
WILL_NOT_TRAIN = 1
NOT_YET = ("resume",)
NO_SETTINGS = (
    "help", "version", "out", "quiet", "profile", "recipe", "ablate", "seeds",
    "preflight", *NOT_YET,
)  # fmt: skip


def make_parser():
    """The parser of all options; a setting that is not given is left out of the result."""
    parser = Parser(
        prog="minicnn",
        description="Train a convolutional network from scratch and write the run to a folder.",
        epilog="Exit codes: 0 finished, 1 an arm of a comparison crashed, 2 bad arguments, 3 bad"
        " data, 4 diverged, 130 interrupted.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    model = parser.add_argument_group("model")
    model.add_argument("--init", help="weights at the start (msra); 'help' lists all")
    model.add_argument("--model", help="architecture (lenet5); 'help' lists all")
    model.add_argument("--activation", help="nonlinearity of the hidden layers (relu)")
    model.add_argument(
        "--algorithm", help="of 3x3 convolutions: direct, winograd, or the faster of both (auto)"
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", help="data set, or folder of four IDX files (mnist)")
    data.add_argument("--limit", metavar="N", type=int, help="train on the first N images only")
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", metavar="N", type=int, help="passes over the data (5)")
    training.add_argument("--batch-size", metavar="N", type=int, help="images in a step (64)")
    training.add_argument("--optimizer", help="sgd, rmsprop, adam or adamw (sgd)")
    training.add_argument(
        "--lr", metavar="X", type=float, help="peak learning rate (depends on the optimizer)"
    )
    training.add_argument(
        "--momentum", metavar="X", type=float, help="of sgd and rmsprop, in [0, 1) (0.9)"
    )
    training.add_argument(
        "--betas", metavar="B1,B2", type=_numbers, help="of adam and adamw, in [0, 1) (0.9,0.999)"
    )
    training.add_argument(
        "--weight-decay", metavar="X", type=float, help="pull of weights towards zero (0)"
    )
    training.add_argument(
        "--label-smoothing", metavar="X", type=float, help="of the targets, in [0, 1) (0)"
    )
    training.add_argument(
        "--recipe", help="settings that go together, which the other options change: fastest"
    )
    training.add_argument("--schedule", help="of the learning rate, as step:0.5,0.75 (one-cycle)")
    run = parser.add_argument_group("run")
    run.add_argument("--seed", metavar="N", type=int, help="of all random numbers (0)")
    run.add_argument("--threads", metavar="N", type=int, help="processors to use (all)")
    run.add_argument("--out", metavar="FOLDER", help="new folder for the run (in runs)")
    run.add_argument("--quiet", action="store_true", help="print the result only")
    run.add_argument(
        "--profile", action="store_true", help="print time and GFLOP/s of every layer and pass"
    )
    run.add_argument(
        "--preflight",
        action="store_true",
        help="train nothing; say whether this network will train (exit code 0) or not (1), and why",
    )
    run.add_argument("--version", action="version", version=f"minicnn {minicnn.__version__}")
    compare = parser.add_argument_group("comparison")
    compare.add_argument(
        "--ablate",
        metavar="OPTION=A,B",
        action="append",
        help="train with each value of an option above; given again, all combinations; values that"
        " hold commas stand between semicolons: 'init=uniform:-0.05,0.05;msra'",
    )
    compare.add_argument(
        "--seeds", metavar="N", type=int, help="of every arm, counted from --seed (3)"
    )
    later = parser.add_argument_group("not in this version yet")
    later.add_argument("--resume", metavar="FOLDER", help="go on with a run")
    return parser


def _numbers(text):
    """Numbers between commas, as a tuple."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers between commas, as in 0.9,0.999, got {text!r}"
        ) from None


def main(argv=None):
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
        return end.code or 0
    except MinicnnError as error:
        return _fail(error, error.exit_code)
    except MemoryError:
        return _fail("not enough memory: use a smaller --model or --batch-size.", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing more was saved.", INTERRUPTED)


def _main(argv):
    given = vars(make_parser().parse_args(argv))
    for name in NOT_YET:
        if name in given:
            raise ArgumentError(f"--{name} is not possible in this version yet; leave it out.")
    if given.get("model") == "help" or given.get("init") == "help":
        print(_help(given))
        return 0
    # Not before they are needed: to load Numba takes longer than to answer --help.
    from minicnn.training.run import Run
    from minicnn.training.settings import Settings

    chosen = {k: v for k, v in given.items() if k not in NO_SETTINGS}
    recipe = {}
    if "recipe" in given:
        from minicnn.training import recipes

        recipe = recipes.recipe(given["recipe"])
    if "ablate" in given or "seeds" in given:
        return _compare(given, chosen, recipe)
    settings = Settings(**{**recipe, **chosen})
    if "preflight" in given:
        return _preflight(given, settings)
    run, quiet = Run(settings, given.get("out")), given.get("quiet", False)
    if not quiet:
        print(run.model.summary(), flush=True)
    callbacks = []
    if "profile" in given:
        from minicnn.training.profile import Profile

        callbacks.append(Profile())
    run.train(quiet, callbacks)
    for profile in callbacks:
        print("", profile.table(), sep="\n", flush=True)
    print(_report(run), flush=True)
    if run.error is not None:
        return _fail(run.error, run.error.exit_code)
    if run.summary["status"] == "interrupted":
        return _fail("interrupted; what was done is saved.", 128 + (run.signal or 2))
    return 0


def _preflight(given, settings):
    """Judge the network that `settings` describe, and train nothing."""
    from minicnn.lab import preflight

    for name in ("out", "profile"):
        if name in given:
            raise ArgumentError(
                f"--preflight trains nothing and writes nothing: leave --{name} out."
            )
    tables, sentence, trains = preflight.report(settings, settings.load_data()[0])
    print(sentence if given.get("quiet") else f"{tables}\n\n{sentence}", flush=True)
    return 0 if trains else WILL_NOT_TRAIN


def _compare(given, chosen, recipe):
    """Train a grid and report."""
    from minicnn.lab import report
    from minicnn.lab.ablation import Ablation
    from minicnn.lab.grid import Grid
    from minicnn.training.settings import Settings

    for name in ("profile", "preflight"):
        if name in given:
            raise ArgumentError(f"--{name} is of a single run: leave it out of a comparison.")
    axes, quiet = given.get("ablate", []), given.get("quiet", False)
    threads = Settings(threads=chosen.pop("threads", None)).threads
    grid = Grid.from_strings(
        axes, _option_value, recipe, seeds=given.get("seeds", 3),
        first_seed=chosen.pop("seed", 0), base=chosen,
    )  # fmt: skip
    ablation = Ablation(grid, given.get("out"), threads)
    if not quiet:
        total = len(ablation.outcomes)
        print(f"{len(grid.arms())} arms, {total} runs in {ablation.folder}", flush=True)
    outcomes = ablation.run(quiet)
    count = Counter(outcome.status for outcome in outcomes)
    done = f"{count['finished'] + count['diverged']} of {len(outcomes)} runs are done"
    if ablation.signal is not None:
        resumed = f"the same command with --out {ablation.folder} goes on"
        return _fail(f"interrupted; {done} and kept, {resumed}.", 128 + ablation.signal)
    missing = report.write(grid, outcomes, ablation.folder)
    print(report.text(grid, outcomes), "", f"written to {ablation.folder}", sep="\n", flush=True)
    if missing:
        print(f"note: {missing}", file=sys.stderr)
    if count["crashed"]:
        return _fail(f"{count['crashed']} of {len(outcomes)} runs crashed.", CRASHED)
    return 0


def _option_value(name, word):
    """What the command line makes of an option's word."""
    option = name.replace("_", "-")
    return vars(make_parser().parse_args([f"--{option}={word}"]))[name]


def _help(given):
    if given.get("model") == "help":
        from minicnn import zoo

        return zoo.help()
    from minicnn import initializers

    known = initializers.INITIALIZERS
    width = max(map(len, known))
    lines = [f"{name:<{width}}  {cls.__doc__.splitlines()[0]}" for name, cls in known.items()]
    return "\n".join([*lines, "", "Settings follow a colon, as in normal:0.01 or msra:fan_out."])


def _report(run):
    """The block that ends a run."""
    summary = run.summary
    rows = [("status", summary["status"])]
    if summary["test_accuracy"] is not None:
        best, epochs = summary["best_test_accuracy"], summary["epochs"]
        accuracy = f"{100 * summary['test_accuracy']:.2f} % after {epochs} epoch{'s'[: epochs - 1]}"
        rows.append(("test accuracy", f"{accuracy}, at best {100 * best:.2f} %"))
    if summary["images_per_second"] is not None:
        speed = f"{summary['images_per_second']:,.0f} images/s"
        rows.append(("training", f"{summary['train_seconds']:.1f} s, {speed}"))
    rows.append(("written to", str(run.folder.path)))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    if run.explanation:
        lines += ["", run.explanation]
    return "\n".join(["", *lines])


def _fail(error, code):
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
