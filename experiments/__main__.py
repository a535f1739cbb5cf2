"""The experiments' command line."""

import sys
import time

from experiments import EXPERIMENTS
from minicnn.cli.options import Parser
from minicnn.console.output import complain, say
from minicnn.errors import MinicnnError, unknown
from minicnn.paths import expand
from minicnn.training.runs.files import make_folder

INTERRUPTED = 130


def main(argv=None):
    """Run experiments, print what they found, and draw their figures.

    Returns
    -------
    int
        0 if every prediction held, 1 if one did not, 2 for bad arguments, 130 if interrupted.
    """
    parser = Parser(
        prog="python -m experiments",
        description="Run experiments, and fail where a prediction of theirs does.",
        epilog="; ".join(e.TITLE for e in EXPERIMENTS.values()) + ".",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--quick", action="store_true", help="smaller and with fewer seeds")
    parser.add_argument("--out", metavar="FOLDER", help="draw the figures into this folder")
    try:
        options = parser.parse_args(argv)
        names = list(EXPERIMENTS) if options.all else options.names
        if not names:
            parser.error(f"name an experiment, of {', '.join(EXPERIMENTS)}, or give --all")
        for name in names:
            if name not in EXPERIMENTS:
                raise unknown("experiment", name, EXPERIMENTS)
        return max([_run(name, options) for name in names])
    except MinicnnError as error:
        complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        complain("error: interrupted.")
        return INTERRUPTED


def _run(name, options):
    start = time.perf_counter()
    folder = None if options.out is None else expand(options.out, "--out")
    if folder is not None:
        make_folder(folder)
    result = EXPERIMENTS[name].run("quick" if options.quick else "full")
    say(result, f"{time.perf_counter() - start:.1f} s", "")
    if folder is not None:
        result.save(folder / f"{name}.svg")
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
