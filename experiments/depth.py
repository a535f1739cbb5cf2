"""E6: how deep a plain ReLU network still trains from Xavier and from MSRA."""

import numpy as np

from experiments.result import Result, of_size
from experiments.trainings import (
    COLOURS,
    HELD,
    best,
    draw_seeds,
    in_words,
    mean,
    of_arm,
    train,
    validation_mean,
)
from minicnn.data import load
from minicnn.data.batches import Batches
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.measure.signals import Signals
from minicnn.lab.theory.maps import asymptotic_box_factor
from minicnn.layers import Conv2d
from minicnn.models import zoo

TITLE = "E6: depth that Xavier and MSRA reach without shortcuts (SGD, momentum 0.9)"
INITS = ("xavier", "msra")
DEEPEST = 30  # weight layers; the signal at the start is looked at in this network
SETTLED = 6  # convolutions, until the map of E[z²] over the smallest image is steady
SIDE = 7  # of the images there
LEARNED = 0.5  # of the test set
NEAR = 0.05  # relative, of the factor a layer
IMAGES = 32
DRAWN = 20  # of the draws, in the picture
SIZES = {
    "full": {
        "draws": 400, "depths": (5, 12, 18, 24, 30), "lrs": (0.003, 0.01, 0.03), "seeds": 3,
        "limit": 30000, "epochs": 2, "processors": None,
    },
    "quick": {
        "draws": 200, "depths": (5, 18, 30), "lrs": (0.003, 0.01), "seeds": 2,
        "limit": 20000, "epochs": 2, "processors": None,
    },
    "tiny": {
        "draws": 40, "depths": (5,), "lrs": (0.01,), "seeds": 1,
        "limit": 640, "epochs": 1, "processors": 1,
    },
}  # fmt: skip


def run(size="full"):
    """The second moment of every layer at the start, and what training makes of it.

    Between 3×3 convolutions of equal width E[z²] must be multiplied by the factor of the zero
    padding a layer under MSRA, and by half of that under Xavier; and MSRA must train deeper, each
    initialization at the learning rate that is best for it at that depth.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    moments = {init: second_moments(init, form["draws"]) for init in INITS}
    checks = [check_factor(init, moments[init]) for init in INITS]
    models = [f"plain{depth}" for depth in form["depths"]]
    base = {**HELD, "schedule": "constant", "limit": form["limit"], "epochs": form["epochs"]}
    axes = {"model": models, "init": INITS, "lr": form["lrs"]}
    found = train(Grid(axes, form["seeds"], base=base), form["processors"])
    rows, reached, chosen = [], dict.fromkeys(INITS, 0), {}
    for depth, model in zip(form["depths"], models):
        for init in INITS:
            arm = of_arm(found, model=model, init=init)
            lr, chosen[init, depth] = best(arm)
            if mean(chosen[init, depth]) >= LEARNED:
                reached[init] = depth
            others = [f"{100 * validation_mean(of_arm(arm, lr=lr)):.2f}" for lr in form["lrs"]]
            rows.append([str(depth), init, *others, f"{lr:g}", in_words(chosen[init, depth])])
    if size != "tiny":
        text = f"the deepest of {form['depths']} with half of the test set right:"
        text += f" xavier {reached['xavier']}, msra {reached['msra']}"
        checks.append((text, reached["msra"] > reached["xavier"]))
    header = ["weight layers", "weights", *(f"lr {lr:g}: validation (%)" for lr in form["lrs"])]
    header += ["best lr", "test accuracy there (%)"]
    return Result(
        TITLE, header, rows, checks, lambda figure: draw(figure, moments, chosen), (8.4, 4)
    )


def second_moments(init, draws):
    """E[z²] behind each convolution of the deepest network, shape (draws, convolutions)."""
    train_set, _ = load("mnist")
    few = train_set.subset(IMAGES)
    batch = next(iter(Batches(few, IMAGES, None, np.float32)))
    model = zoo.build(f"plain{DEEPEST}", init=init)
    model.initialize(few.shape)
    signals, found = Signals(model), []

    def visit(layer, z):
        if isinstance(layer, Conv2d):
            found.append(np.mean(np.square(z, dtype=np.float64)))

    for seed in range(draws):
        model.initialize(few.shape, seed=seed)
        signals.outputs(batch, visit)
    return np.reshape(found, (draws, -1))


def wanted(init):
    """The factor a layer: Var w n / 2 is ½ under Xavier, whose fans are equal here, and 1."""
    return asymptotic_box_factor((SIDE, SIDE), (3, 3)) * (0.5 if init == "xavier" else 1.0)


def check_factor(init, moments):
    """That the mean over draws and layers of E[z²] over that of the layer before is as wanted.

    Not the mean of logarithms: the expectation is what theory has, and single draws scatter.
    """
    factor = np.mean(moments[:, SETTLED:] / moments[:, SETTLED - 1 : -1])
    near = abs(factor / wanted(init) - 1) < NEAR
    text = f"{init}: E[z²] times {factor:.3f} a layer, theory {wanted(init):.3f} ± {NEAR:.0%}"
    return text, near


def draw(figure, moments, chosen):
    """Left the second moments at the start, right the accuracy over depth."""
    left, right = figure.subplots(1, 2)
    for init, values in moments.items():
        layers = np.arange(1, values.shape[1] + 1)
        left.semilogy(layers, values[:DRAWN].T, color=COLOURS[init], linewidth=0.5, alpha=0.5)
        mean_of = f"{init}, mean of {len(values)} draws"
        left.semilogy(layers, values.mean(axis=0), color=COLOURS[init], label=mean_of)
        expected = values[:, SETTLED - 1].mean() * wanted(init) ** (layers - SETTLED)
        label = "theory's slope" if init == INITS[-1] else None
        left.semilogy(layers[SETTLED - 1 :], expected[SETTLED - 1 :], "k--", label=label)
        depths = [depth for name, depth in chosen if name == init]
        seeds = np.array([[100 * t.accuracy for t in chosen[init, depth]] for depth in depths]).T
        draw_seeds(right, depths, seeds, COLOURS[init], init, marker="o")
    left.set(xlabel="convolution", ylabel="E[z²] before training")
    right.set(
        xlabel="weight layers", ylabel="test accuracy (%), best learning rate", xticks=depths,
        ylim=(0, 101),
    )  # fmt: skip
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=9, loc="lower left")
