"""E1: LeNet-5 on MNIST from five initializations, with three activations."""

import numpy as np

from experiments.result import Result, of_size
from experiments.trainings import (
    COLOURS,
    draw_losses,
    draw_seeds,
    images_seen,
    in_words,
    losses_near,
    mean,
    of_arm,
    train,
)
from minicnn.lab.ablation.grid import Grid

TITLE = "E1: LeNet-5 from five initializations (SGD, momentum 0.9)"
# How they are drawn; the lines of the first three lie on each other.
STYLES = {"zeros": "-", "constant:0.1": ":", "normal:0.01": "--", "xavier": "-", "msra": "-"}
INITS = tuple(STYLES)
MOST = 4  # nats, to the top of the picture
LR, LR_ZEROS = 0.05, 0.01  # at the lower one the loss of a network of zeros settles
ENTROPY, NEAR = 2.3012, 0.005  # of MNIST's classes, in nats
APART = 0.5  # points of accuracy
SIZES = {
    "full": {
        "activations": ("relu", "tanh", "sigmoid"), "seeds": 3, "processors": None,
        "base": {"epochs": 3}, "accurate": 98.5,
    },
    "quick": {
        "activations": ("relu", "tanh", "sigmoid"), "seeds": 3, "processors": None,
        "base": {"epochs": 1}, "accurate": 98.0,
    },
    "tiny": {
        "activations": ("relu",), "seeds": 1, "processors": 1,
        "base": {"epochs": 1, "limit": 1000}, "accurate": None,
    },
}  # fmt: skip


def run(size="full"):
    """Train every initialization with every activation, with a one-cycle schedule.

    From zeros with ReLU or tanh no weight must ever get a gradient, one class be predicted, and
    the loss tend to the entropy of the classes. A constant must keep every W at rank 1. Xavier
    and MSRA with ReLU must both be accurate, and not half a point apart.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    activations, processors = form["activations"], form["processors"]
    axes = {"init": INITS, "activation": activations}
    grid = Grid(axes, form["seeds"], base={**form["base"], "lr": LR})
    found = train(grid, processors, certified=True)
    dead = [activation for activation in activations if activation != "sigmoid"]
    axes = {"init": ("zeros",), "activation": dead, "lr": (LR_ZEROS,)}
    zeros = train(Grid(axes, form["seeds"], base=form["base"]), processors, certified=True)
    rows = [row("zeros", zeros, activations, LR_ZEROS)]
    rows += [row(init, of_arm(found, init=init), activations, LR) for init in INITS]
    checks = [check_zeros(zeros, name, size != "tiny") for name in dead]
    tied = of_arm(found, init="constant:0.1")
    ranks = {layer["rank"] for training in tied for layer in training.seen["layers"]}
    checks.append(("constant: every W of every run has rank 1", ranks == {1}))
    if form["accurate"] is not None:
        checks += check_accurate(found, form["accurate"])
    header = ["weights", "lr", *(f"{name}: accuracy (%)" for name in activations)]
    header += ["distinct filters", "classes predicted"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, found), (11, 5.2))


def row(init, trainings, activations, lr):
    """The accuracies of each activation, and the fewest and the most filters and classes."""
    distinct = [hidden_filters(t)[0] for t in trainings]
    classes = [t.classes for t in trainings]
    return [
        init, f"{lr:g}", *(in_words(of_arm(trainings, activation=a)) for a in activations),
        f"{_span(distinct)} of {hidden_filters(trainings[0])[1]}", _span(classes),
    ]  # fmt: skip


def _span(numbers):
    """The least and the greatest, or the only one."""
    known = sorted({number for number in numbers if number is not None})
    return " to ".join(map(str, dict.fromkeys(known[:1] + known[-1:]))) or "-"


def hidden_filters(training):
    """How many different filters the hidden layers have, and how many there could be."""
    hidden = training.seen["layers"][:-1]
    return sum(layer["distinct"] for layer in hidden), sum(layer["units"] for layer in hidden)


def check_zeros(trainings, activation, settled):
    """That nothing but the last bias learned, which finds the frequencies of the classes."""
    runs = of_arm(trainings, activation=activation)
    held = all(t.dead for t in runs)
    text = f"zeros, {activation}: every dE/dW is 0 in every step, one class is predicted"
    if settled:
        losses, near = losses_near(runs, ENTROPY, NEAR)
        text, held = f"{text}, {losses}", held and near
    return text, held


def check_accurate(trainings, accurate):
    """That Xavier and MSRA with ReLU both are, and which is better cannot be said."""
    runs = {init: of_arm(trainings, init=init, activation="relu") for init in ("xavier", "msra")}
    checks = [
        (f"{init}, relu: every seed has {accurate} % or more ({in_words(found)})",
         all(100 * t.accuracy >= accurate for t in found))
        for init, found in runs.items()
    ]  # fmt: skip
    apart = 100 * abs(mean(runs["xavier"]) - mean(runs["msra"]))
    text = f"xavier and msra, relu: {apart:.2f} points apart, less than {APART}"
    return [*checks, (text, apart < APART)]


def draw(figure, trainings):
    """Loss and accuracy for each activation; beside them the first layer's filters with ReLU."""
    activations = list(dict.fromkeys(t.outcome.trial.arm["activation"] for t in trainings))
    curves, pictures = figure.subfigures(1, 2, width_ratios=(2.7, 1))
    axes = curves.subplots(2, len(activations), sharex=True, sharey="row", squeeze=False)
    for (loss, accuracy), activation in zip(axes.T, activations):
        for init, style in STYLES.items():
            runs = of_arm(trainings, init=init, activation=activation)
            draw_losses(loss, runs, COLOURS[init], linestyle=style)
            percent = [100 * np.array(t.seen["accuracy"]) for t in runs]
            draw_seeds(accuracy, images_seen(runs), percent, COLOURS[init], linestyle=style)
        loss.set(title=activation, yscale="log", ylim=(0.01, MOST))
        accuracy.set(xlabel="images seen (thousands)", ylim=(0, 101))
        for axis in (loss, accuracy):
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("training loss (nats)")
    axes[1, 0].set_ylabel("training accuracy (%)")
    draw_filters(pictures, trainings)


def draw_filters(figure, trainings):
    """A row for each initialization: the first layer's filters after training with ReLU."""
    runs = [of_arm(trainings, init=init, activation="relu")[0] for init in INITS]
    figure.suptitle("first layer after training with ReLU", fontsize=10)
    for part, init, run in zip(figure.subfigures(len(INITS), 1), INITS, runs):
        filters = np.array(run.seen["filters"])[:, 0]
        limit = np.abs(filters).max() or 1.0
        distinct = len(np.unique(filters, axis=0))
        words = f"{init}: {distinct} distinct of {len(filters)} filters"
        part.suptitle(words, color=COLOURS[init], fontsize=10, fontweight="bold")
        for axis, picture in zip(part.subplots(1, len(filters)), filters):
            axis.imshow(picture, cmap="gray", vmin=-limit, vmax=limit)
            axis.set(xticks=[], yticks=[])
