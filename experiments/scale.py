"""E9: how far off the scale of the weights may be, in a shallow network and in a deep one."""

import math

import numpy as np

from experiments.result import Result, of_size
from experiments.trainings import HELD, best, draw_seeds, in_words, mean, of_arm, train
from minicnn.lab.ablation.figures import COLOURS
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.measure.probes import probe

TITLE = "E9: MSRA's weights times a power of two (SGD, momentum 0.9)"
LAYERS = {"lenet5": 5, "plain18": 18}  # with weights
LEARNED = 0.5  # of the test set
IMAGES = 64  # on which the scores are looked at
NEAR = 1e-3  # relative
SIZES = {
    "full": {
        "powers": range(-4, 5), "lrs": (3e-6, 3e-5, 3e-4, 0.003, 0.03), "seeds": 3, "limit": 12000,
        "epochs": 2, "processors": None,
    },
    "quick": {
        "powers": (-4, -2, -1, 0, 1, 2, 4), "lrs": (0.0003, 0.003, 0.03), "seeds": 1,
        "limit": 12000, "epochs": 1, "processors": None,
    },
    "tiny": {
        "powers": (-4, 0, 4), "lrs": (0.01,), "seeds": 1, "limit": 640, "epochs": 1,
        "processors": 1,
    },
}  # fmt: skip


def run(size="full"):
    """Train LeNet-5 and a network of 15 convolutions from MSRA's weights times 1/16 to 16.

    Both networks are positively homogeneous while their biases are 0, so with s times the weights
    in L layers the scores must be s^L times as large, exactly. The range of scales that train must
    be narrower in the deeper network, each scale at the learning rate that is best for it.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    powers, inits = form["powers"], {power: scaled_msra(power) for power in form["powers"]}
    base = {**HELD, "schedule": "constant", "limit": form["limit"], "epochs": form["epochs"]}
    axes = {"model": list(LAYERS), "init": list(inits.values()), "lr": form["lrs"]}
    grid = Grid(axes, form["seeds"], base=base)
    stds = {model: logit_stds(grid, model, inits) for model in LAYERS}
    found = train(grid, form["processors"])
    chosen = {
        (model, power): best(of_arm(found, model=model, init=init))
        for model in LAYERS
        for power, init in inits.items()
    }
    rows = [
        [model, f"2^{power}", f"{np.mean(stds[model][power]):.2e}", f"{lr:g}", in_words(runs)]
        for (model, power), (lr, runs) in chosen.items()
    ]
    checks = [check_scores(model, stds[model]) for model in LAYERS]
    windows = {
        model: [power for power in powers if mean(chosen[model, power][1]) >= LEARNED]
        for model in LAYERS
    }
    if size != "tiny":
        shown = "; ".join(
            f"{model} {', '.join(f'2^{power}' for power in window) or 'none'}"
            for model, window in windows.items()
        )
        narrower = 0 < len(windows["plain18"]) < len(windows["lenet5"])
        checks.append((f"fewer scales train in the deeper network: {shown}", narrower))
    header = ["network", "MSRA's weights times", "std of scores before", "best lr"]
    header.append("accuracy (%)")
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, stds, chosen), (8.4, 4))


def scaled_msra(power):
    """The initializer of MSRA's weights times ``2^power``: the same numbers, scaled."""
    return f"variance-scaling:{2.0 * 4.0**power}"


def logit_stds(grid, model, inits):
    """Std of the scores over the images before training, by power: a list over the seeds."""
    arm = {"model": model, "lr": grid.axes["lr"][0]}
    dataset, *_ = grid.settings(arm, grid.first_seed).load_data()
    batch = dataset.normalized(range(IMAGES)), dataset.labels[:IMAGES]
    found = {}
    for power, init in inits.items():
        settings = [grid.settings({**arm, "init": init}, seed) for seed in grid.all_seeds()]
        models = [one.make_model(dataset) for one in settings]
        found[power] = [probe(network, *batch, []).logit_std for network in models]
    return found


def check_scores(model, stds):
    """That they are ``2^(power layers)`` times those of MSRA itself."""
    off = max(
        abs(math.log(std / (at_one * 2.0 ** (power * LAYERS[model]))))
        for power, seeds in stds.items()
        for std, at_one in zip(seeds, stds[0])
    )
    text = f"{model}: scores scale with the power {LAYERS[model]} of the weights' scale"
    return f"{text}, off by {off:.1e} at most, {NEAR:g}", off < NEAR


def draw(figure, stds, chosen):
    """Left the accuracy over the scale, right the std of the scores before training."""
    left, right = figure.subplots(1, 2)
    for model, colour in zip(LAYERS, COLOURS):
        powers = list(stds[model])
        runs = [chosen[model, power][1] for power in powers]
        seeds = np.array([[100 * t.accuracy for t in several] for several in runs]).T
        label, values = f"{model}, {LAYERS[model]} layers", np.array(list(stds[model].values()))
        draw_seeds(left, powers, seeds, colour, label, marker="o")
        draw_seeds(right, powers, values.T, colour, label, marker="o")
    left.set(ylabel="test accuracy (%) at the best rate, 0: diverged", ylim=(-2, 101))
    right.set(ylabel="std of the scores before training", yscale="log")
    for axis in (left, right):
        axis.set(xlabel="MSRA's weights times", xticks=powers)
        axis.set_xticklabels([f"$2^{{{power}}}$" for power in powers])
        axis.grid(alpha=0.3)
    right.legend(frameon=False, fontsize=9, loc="upper left")
