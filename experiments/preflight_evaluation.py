"""How often pre-flight is right: its verdicts beside real trainings, over a grid.

``python -m experiments.preflight_evaluation --out FOLDER`` trains the grid, which takes some five
minutes on two processors and goes on where it was interrupted, judges every configuration before
its training, and prints the confusion table with every miss. A training counts as successful if
half of the test set is right at its end; one that diverged does not. The exit code is 0 if 95 % of
the verdicts are right, else 1.

The limits of pre-flight were set on two such grids, with seeds 0 and 1; so seed 2 is the default.
With ``--rates`` the grid is one of learning rates from far too low to far too high.
"""

import sys
from dataclasses import dataclass

from minicnn.checks import list_of, takes
from minicnn.cli.options import Parser
from minicnn.console.output import complain, say
from minicnn.console.table import as_text
from minicnn.errors import ArgumentError, MinicnnError
from minicnn.lab import preflight
from minicnn.lab.ablation.ablation import Ablation
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.ablation.results import check_outcomes
from minicnn.training.runs.settings import Settings

LEARNED = 0.5  # test accuracy from which a training counts as successful
WANTED = 0.95
GRID = {
    "model": ["lenet5", "plain8", "plain16", "plain24", "mlp:200x4"],
    "activation": ["relu", "tanh", "sigmoid"],
    "init": [
        "zeros", "constant:0.1", "normal:0.01", "normal:0.1", "normal:1", "xavier", "msra",
        "lecun", "orthogonal",
    ],
}  # fmt: skip
RATES = {
    "model": ["lenet5", "plain8", "plain30", "mlp:200x2"],
    "activation": ["relu", "tanh"],
    "optimizer": ["sgd", "adam"],
    "lr": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0],
}


@dataclass(frozen=True)
class Scored:
    """A verdict and what became of the training.

    Attributes
    ----------
    arm : dict
        The settings that differ.
    found : Preflight
    accuracy : float or None
        On the test set at the end; None if it diverged.
    """

    arm: dict
    found: preflight.Preflight
    accuracy: float | None

    @property
    def learned(self):
        """Whether the training succeeded."""
        return self.accuracy is not None and self.accuracy >= LEARNED

    @property
    def right(self):
        """Whether the verdict says so."""
        return self.found.trains == self.learned


@takes(grid=Grid, outcomes=check_outcomes)
def score(grid, outcomes):
    """Judge every finished or diverged run of a grid.

    Parameters
    ----------
    grid : Grid
    outcomes : list of Outcome

    Returns
    -------
    list of Scored
    """
    scored, data = [], {}
    for outcome in outcomes:
        if outcome.status in ("finished", "diverged"):
            settings = grid.settings(outcome.trial.arm, outcome.trial.seed)
            key = settings.data, settings.limit
            if key not in data:
                data[key] = settings.load_data()[0]
            accuracy = outcome.final("test_accuracy") if outcome.status == "finished" else None
            found = preflight.of_settings(settings, data[key])
            scored.append(Scored(outcome.trial.arm, found, accuracy))
    return scored


@takes(scored=list_of(Scored))
def report(scored):
    """The confusion table, the misses, and the share of right verdicts.

    Returns
    -------
    text : str
    share : float

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if not scored:
        raise ArgumentError("there is no verdict to report on: no training has ended.")
    count = {(said, was): 0 for said in (True, False) for was in (True, False)}
    for one in scored:
        count[one.found.trains, one.learned] += 1
    rows = [
        ["will train", str(count[True, True]), str(count[True, False])],
        ["will not train", str(count[False, True]), str(count[False, False])],
    ]
    share = sum(one.right for one in scored) / len(scored)
    lines = [
        as_text(["verdict", "trained", "did not train"], rows),
        "",
        f"{sum(one.right for one in scored)} of {len(scored)} verdicts are right, {share:.1%}.",
    ]
    for one in scored:
        if not one.right:
            end = "diverged" if one.accuracy is None else f"ended at {one.accuracy:.1%}"
            words = ", ".join(f"{k} {v}" for k, v in one.arm.items())
            lines.append(f"miss: {words}: {one.found} It {end}.")
    return "\n".join(lines), share


def main(argv=None):
    """Train, judge, and report.

    Returns
    -------
    int
        The exit code: 0 if the share of right verdicts is large enough, 1 if not; that of the
        error, or 128 and the signal's number if training was interrupted.
    """
    purpose = (__doc__ or "").partition("\n")[0]
    parser = Parser(prog="python -m experiments.preflight_evaluation", description=purpose)
    parser.add_argument("--out", default="runs/scoring", help="folder of the grid (runs/scoring)")
    parser.add_argument("--rates", action="store_true", help="score learning rates")
    parser.add_argument("--limit", metavar="N", type=int, default=12000, help="images (12000)")
    parser.add_argument("--epochs", metavar="N", type=int, default=2, help="passes (2)")
    parser.add_argument("--seed", metavar="N", type=int, default=2, help="(2)")
    parser.add_argument("--threads", metavar="N", type=int, help="processors to use (all)")
    try:
        options = parser.parse_args(argv)
        base = {"limit": options.limit, "epochs": options.epochs}
        grid = Grid(RATES if options.rates else GRID, 1, first_seed=options.seed, base=base)
        ablation = Ablation(grid, options.out, Settings(threads=options.threads).threads)
        outcomes = ablation.run()
        if ablation.signal is not None:
            complain("error: interrupted; the same command goes on.")
            return 128 + ablation.signal
        text, share = report(score(grid, outcomes))
    except MinicnnError as error:
        complain(f"error: {error}")
        return error.exit_code
    say(text)
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
