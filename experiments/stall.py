"""E7: He et al.'s figure 3: thirty layers that train from MSRA and stall completely from Xavier."""

import numpy as np

from experiments.result import Result, of_size
from experiments.trainings import (
    COLOURS,
    check_trains,
    draw_losses,
    draw_seeds,
    losses_near,
    of_arm,
    train,
)
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.measure.probes import probe, weight_of
from minicnn.lab.theory.prediction import predict, second_moments

TITLE = "E7: thirty layers from Xavier and from MSRA (SGD, momentum 0.9, learning rate 0.003)"
INITS = ("xavier", "msra")
BASE = {"model": "plain30", "lr": 0.003, "schedule": "constant"}
ENTROPY, NEAR = 2.301, 0.005  # of the classes, in nats
ACCURATE = 90  # per cent
SIZES = {
    "full": {
        "seeds": 5, "accurate": 4, "bar": ACCURATE, "processors": None,
        "epochs": 2, "limit": 30000, "images": 32,
    },
    "quick": {
        "seeds": 3, "accurate": 2, "bar": ACCURATE, "processors": None,
        "epochs": 2, "limit": 30000, "images": 32,
    },
    "tiny": {
        "seeds": 1, "accurate": 0, "bar": ACCURATE, "processors": 1,
        "epochs": 1, "limit": 640, "images": 8,
    },
}  # fmt: skip


def run(size="full"):
    """Train 27 convolutions and 3 dense layers, and look at delta before.

    From MSRA four seeds of five must have more than 90 % of the test set right; from Xavier all
    must predict one class, with the entropy of the classes as their loss.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    base = {**BASE, "epochs": form["epochs"], "limit": form["limit"]}
    grid = Grid({"init": INITS}, form["seeds"], base=base)
    deltas = {init: signals(grid, init, form["images"]) for init in INITS}
    found = train(grid, form["processors"])
    rows = []
    for init in INITS:
        for training, delta in zip(of_arm(found, init=init), deltas[init]["measured"]):
            rows.append([
                init, str(training.outcome.trial.seed), str(training), f"{training.loss:.4f}",
                str(training.classes), f"{delta[0] / delta[-1]:.1e}",
            ])  # fmt: skip
    xavier, msra = (of_arm(found, init=init) for init in INITS)
    checks = [("xavier: one class is predicted, by all seeds", all(t.classes == 1 for t in xavier))]
    if form["accurate"]:
        text, near = losses_near(xavier, ENTROPY, NEAR)
        checks += [(f"xavier: {text}", near), check_trains("msra", msra, form)]
    checks += [check_deltas(init, deltas[init]) for init in INITS]
    header = ["weights", "seed", "accuracy (%)", "training loss (nats)", "classes predicted"]
    header.append("delta, first / last layer")
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, found, deltas), (8.4, 4))


def signals(grid, init, images):
    """Rms of delta in each layer with weights before training, of every seed, and theory's.

    Parameters
    ----------
    grid : Grid
    init : str
    images : int
        On how many delta is measured and predicted.

    Returns
    -------
    dict of str to ndarray
        ``measured``, shape (seeds, layers); ``z``, of the same shape; ``predicted``, shape
        (layers,); ``interval``, shape (2, layers), the ends of the central 95 %.
    """
    arm, measured, z = {"init": init}, [], []
    dataset, *_ = grid.settings(arm, grid.first_seed).load_data()
    batch = dataset.normalized(range(images)), dataset.labels[:images]
    for seed in grid.all_seeds():
        model = grid.settings(arm, seed).make_model(dataset)
        if not measured:  # theory looks at no weights: one prediction is every seed's
            theory = second_moments(predict(model, *batch), "delta")
        weighted = [layer.name for layer in model.all_layers() if weight_of(layer) is not None]
        layers = probe(model, *batch, weighted).layers
        measured.append([layer.delta.rms for layer in layers])
        z.append([theory[layer.name].z(layer.delta.second_moment) for layer in layers])
    moments = [theory[layer.name] for layer in layers]
    return {
        "measured": np.array(measured),
        "z": np.array(z),
        "predicted": np.sqrt([moment.value for moment in moments]),
        "interval": np.sqrt([moment.interval for moment in moments]).T,
    }


def check_deltas(init, deltas):
    """That delta is what theory expects, within four of its standard errors."""
    worst = np.abs(deltas["z"]).max()
    return f"{init}: every layer's delta² is within {worst:.1f} errors of theory, 4", worst < 4


def draw(figure, trainings, deltas):
    """Left the loss over training, right delta by layer before."""
    left, right = figure.subplots(1, 2)
    for init, signal in deltas.items():
        runs = of_arm(trainings, init=init)
        draw_losses(left, runs, COLOURS[init], init)
        layers = np.arange(1, len(signal["predicted"]) + 1)
        draw_seeds(right, layers, signal["measured"], COLOURS[init], init)
        label = "theory, with 95 % of the draws" if init == INITS[-1] else None
        right.plot(layers, signal["predicted"], "k--", linewidth=1, label=label)
        right.fill_between(layers, *signal["interval"], color="black", alpha=0.1, lw=0)
    left.set(xlabel="images seen (thousands)", ylabel="training loss (nats)", ylim=(0, 2.6))
    right.set(xlabel="layer", ylabel="rms of delta before training", yscale="log")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=9)
