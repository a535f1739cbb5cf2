"""How often the theory is right: its second moments beside measured ones, over a grid of networks.

``python -m experiments.theory_evaluation`` predicts the second moments of the outputs, deltas and
weight gradients of networks of the zoo, with all activations and five initializers, measures them
on three draws of the weights, and counts how many z-scores are within ±4. That takes some ten
minutes; ``--quick`` takes each activation with each initializer on one of the networks, with one
draw. The exit code is 0 if 99 % are within, else 1.
"""

import math
import sys
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from minicnn.checks import (
    check_count,
    check_flag,
    check_items,
    check_numbers,
    check_text,
    list_of,
    takes,
)
from minicnn.cli.options import Parser
from minicnn.console.output import complain, say
from minicnn.console.table import as_text
from minicnn.data import load
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError, MinicnnError
from minicnn.lab.measure.comparison import UNUSUAL, scores
from minicnn.lab.measure.probes import probe
from minicnn.lab.theory.prediction import predict
from minicnn.layers.activations import ACTIVATIONS
from minicnn.models import zoo

NETWORKS = (
    "lenet5", "convnet", "mnist-example", "vgg-small", "quick", "plain10", "plain30", "resnet8",
    "mlp:100x3", "mlp:300,100",
)  # fmt: skip
INITIALIZERS = ("xavier", "msra", "lecun", "normal:0.05", "orthogonal")
IMAGES = 8  # the theory's time grows with their square
WANTED = 0.99


class Scored(NamedTuple):
    """A network and its z-scores.

    Attributes
    ----------
    network, activation, initializer : str
    z : ndarray, shape (statistics,)
        Of all draws, signals and layers.
    """

    network: str
    activation: str
    initializer: str
    z: np.ndarray


@takes(quick=check_flag)
def grid(quick=False):
    """The networks to look at, as a list of (network, activation, initializer)."""
    pairs = [(activation, init) for activation in ACTIVATIONS for init in INITIALIZERS]
    if not quick:
        return [(network, *pair) for network in NETWORKS for pair in pairs]
    # A shift with every activation, so that an initializer meets more than two of the networks.
    chosen = [NETWORKS[(i + i // len(INITIALIZERS)) % len(NETWORKS)] for i in range(len(pairs))]
    return [(network, *pair) for network, pair in zip(chosen, pairs)]


@takes(
    network=check_text, activation=check_text, init=check_text, dataset=Dataset,
    seeds=check_items,
)  # fmt: skip
def score(network, activation, init, dataset, seeds):
    """Predict one network's signals, and measure them on some draws of its weights.

    Layers that only reshape count not at all: they repeat the layer before.

    Parameters
    ----------
    network, activation, init : str
    dataset : Dataset
        Eight of its images are taken, others for each network.
    seeds : sequence of int

    Returns
    -------
    Scored

    Raises
    ------
    ArgumentError
        If the data set has fewer than eight images, or there is no network, activation or
        initializer of that name.
    """
    if len(dataset) < IMAGES:
        raise ArgumentError(f"the score takes {IMAGES} images, the data set has {len(dataset)}.")
    chosen = np.random.default_rng(list(f"{network} {activation} {init}".encode(errors="replace")))
    chosen = chosen.choice(len(dataset), IMAGES, replace=False)
    batch = dataset.normalized(chosen), dataset.labels[chosen]
    found, predictions = [], None
    for seed in seeds:
        model = zoo.build(network, dataset.classes, activation, init)
        model.initialize(dataset.shape, seed=seed)
        predictions = predictions or predict(model, *batch)  # no weight is looked at
        flat = {p.name for p in predictions if p.kind == "Flatten"}
        for by_layer in scores(probe(model, *batch), predictions).values():
            found += [z for name, z in by_layer.items() if name not in flat]
    return Scored(network, activation, init, np.array(found))


@takes(scored=list_of(Scored))
def report(scored):
    """A table of how many z-scores are within ±4, and the share of all.

    Parameters
    ----------
    scored : list of Scored

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
        raise ArgumentError("there are no z-scores to report on.")
    rows = []
    for what in ("network", "activation", "initializer"):
        for value in dict.fromkeys(getattr(one, what) for one in scored):
            z = np.concatenate([one.z for one in scored if getattr(one, what) == value])
            rows.append([what, value, str(len(z)), f"{within(z):.2%}", f"{rms(z):.2f}"])
    z = np.concatenate([one.z for one in scored])
    share = within(z)
    table = as_text(["", "", "statistics", f"within ±{UNUSUAL:g}", "rms of z"], rows)
    text = (
        f"{table}\n\n{len(z)} statistics of {len(scored)} networks: {share:.2%} within"
        f" ±{UNUSUAL:g}, root mean square {rms(z):.2f}."
    )
    return text, share


@takes(z=check_numbers)
def within(z):
    """The share of z-scores that are within ±4; what is not finite is not."""
    return float(np.mean(np.abs(z) <= UNUSUAL)) if z.size else math.nan


@takes(z=check_numbers)
def rms(z):
    """Root mean square of those that are finite; 1 if the intervals are neither wide nor narrow."""
    finite = z[np.isfinite(z)]
    return math.sqrt(np.mean(finite**2)) if len(finite) else math.nan


def main(argv=None):
    """Predict, measure, and report."""
    purpose = (__doc__ or "").partition("\n")[0]
    parser = Parser(prog="python -m experiments.theory_evaluation", description=purpose)
    parser.add_argument("--quick", action="store_true", help="50 networks, one draw of each")
    parser.add_argument("--seeds", metavar="N", type=int, help="draws of the weights (3; 1)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="the first (0)")
    try:
        options = parser.parse_args(argv)
        default = 1 if options.quick else 3
        count = default if options.seeds is None else check_count(options.seeds, "seeds")
        seeds = range(options.seed, options.seed + count)
        dataset, _ = load("mnist")
        networks = tqdm(grid(options.quick), unit="network", disable=sys.stderr is None or None)
        text, share = report([score(*one, dataset, seeds) for one in networks])
    except MinicnnError as error:
        complain(f"error: {error}")
        return error.exit_code
    say(text)
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
