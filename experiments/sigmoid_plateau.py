"""E5: Glorot & Bengio's figure 2: the top layer of a sigmoid network shuts first."""

import numpy as np

from experiments.result import Result, of_size
from experiments.trainings import draw_seeds
from minicnn import Sequential, optimizers
from minicnn.data import load
from minicnn.lab.ablation.figures import COLOURS
from minicnn.lab.measure.probes import Probes
from minicnn.layers import Dense, Flatten, Sigmoid
from minicnn.training.trainer import Trainer

TITLE = "E5: the plateau of a sigmoid network (SGD, lr 0.1, no momentum, batch 10)"
WIDTH, LR, BATCH = 200, 0.1, 10
PROBED = 300  # test images
SHUT, NEAR = 0.1, 0.2  # mean of the top layer; distance from .5 of the others
MOMENTS = 60  # measurements of a training
SIZES = {
    "full": {"depths": (4, 5), "seeds": 3, "images": 60000, "epochs": 3},
    "quick": {"depths": (4,), "seeds": 2, "images": 60000, "epochs": 2},
    "tiny": {"depths": (4,), "seeds": 1, "images": 20000, "epochs": 1},
}


def run(size="full"):
    """Train 4 and 5 sigmoid layers from U(±1/√n), and watch each layer's output.

    The mean of the top layer must fall below .1 while the layers below it are still near .5:
    its outputs say nothing of the image yet, so that they are noise to the scores, and the last
    weights and the top layer learn to be rid of them. When the mean is above .1 again, it has
    escaped; that is reported, and nothing is promised.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    data, test = load("mnist")
    data = data.subset(form["images"])
    rows, checks, seen = [], [], {}
    for depth in form["depths"]:
        runs = [watch(depth, seed, data, test, form["epochs"]) for seed in range(form["seeds"])]
        seen[depth] = runs
        shut = [shuts_at(run["mean"]) for run in runs]
        for seed, (run_, at) in enumerate(zip(runs, shut)):
            rows.append([str(depth), str(seed), *row(run_, at)])
        lowest = ", ".join(f"{run['mean'][:, -1].min():.3f}" for run in runs)
        checks.append((
            f"{depth} layers: the top one's mean falls below {SHUT}, to {lowest}",
            all(at is not None for at in shut),
        ))  # fmt: skip
        far = max((off(run["mean"][at]) for run, at in zip(runs, shut) if at is not None),
                  default=np.inf)  # fmt: skip
        checks.append((
            f"{depth} layers: then those below are within {NEAR} of .5, at most {far:.3f} off",
            far < NEAR,
        ))  # fmt: skip
    header = ["layers", "seed", "shut at step", "lower means then", "escaped at step", "loss"]
    header += ["test accuracy (%)"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, seen), (9, 5.4))


def network(depth, seed):
    """Dense sigmoid layers of 200 units and the scores, all weights of U(±1/√n), biases 0."""
    init = f"variance-scaling:{1 / 3!r},fan_in,uniform"
    layers = [layer for _ in range(depth) for layer in (Dense(WIDTH, init=init), Sigmoid())]
    model = Sequential(Flatten(), *layers, Dense(10, init=init))
    model.initialize((1, 28, 28), seed=seed)
    return model


def watch(depth, seed, data, test, epochs):
    """Train one network; each layer's mean and 98th percentile at some 60 moments.

    Returns
    -------
    dict
        ``steps``, ``loss``: arrays of shape (T,); ``mean``, ``high``: (T, depth); and
        ``accuracy`` on 1,000 test images at the end.
    """
    model = network(depth, seed)
    every = max(1, epochs * len(data) // BATCH // MOMENTS)
    sigmoids = [layer.name for layer in model.all_layers() if isinstance(layer, Sigmoid)]
    chosen = np.arange(PROBED)
    probes = Probes(test.normalized(chosen), test.labels[chosen], every=every, layers=sigmoids)
    optimizer = optimizers.create("sgd", model.parameters(), lr=LR)
    trainer = Trainer(
        model, optimizer, data, test.subset(1000), batch_size=BATCH, epochs=epochs, seed=seed,
        callbacks=[probes],
    )  # fmt: skip
    history = trainer.fit()
    outputs = [[layer.output for layer in record.layers] for record in probes.records]
    return {
        "steps": np.array([record.step for record in probes.records]),
        "loss": np.array([record.loss for record in probes.records]),
        "mean": np.array([[one.mean for one in layers] for layers in outputs]),
        "high": np.array([[one.quantiles["98"] for one in layers] for layers in outputs]),
        "accuracy": history[-1]["test_accuracy"],
    }


def shuts_at(means):
    """The first moment at which the top layer's mean is below .1, or None.

    Parameters
    ----------
    means : ndarray, shape (T, layers)
    """
    below = np.flatnonzero(means[:, -1] < SHUT)
    return int(below[0]) if len(below) else None


def escapes_at(means):
    """The first moment after that at which it is not any more, or None."""
    shut = shuts_at(means)
    if shut is None:
        return None
    above = np.flatnonzero(means[shut:, -1] >= SHUT)
    return shut + int(above[0]) if len(above) else None


def off(means):
    """How far the mean of a layer below the top one is from .5, at most."""
    return float(np.abs(means[:-1] - 0.5).max())


def row(run_, shut):
    """The table's line of one training."""
    steps, escape = run_["steps"], escapes_at(run_["mean"])
    then = "-" if shut is None else " ".join(f"{mean:.2f}" for mean in run_["mean"][shut, :-1])
    return [
        "-" if shut is None else str(steps[shut]), then,
        f"not by {steps[-1]}" if escape is None else str(steps[escape]),
        f"{run_['loss'][-1]:.2f}", f"{100 * run_['accuracy']:.1f}",
    ]  # fmt: skip


def draw(figure, seen):
    """A column for each depth: above the means of the layers, below their 98th percentiles."""
    axes = figure.subplots(2, len(seen), sharex=True, sharey=True, squeeze=False)
    for column, (depth, runs) in zip(axes.T, seen.items()):
        steps = runs[0]["steps"] / 1000
        for axis, kind in zip(column, ("mean", "high")):
            for layer in range(depth):
                label = f"layer {layer + 1}" + (" (top)" if layer == depth - 1 else "")
                colour = COLOURS[1 if layer == depth - 1 else (0, 2, 3, 4)[layer]]
                draw_seeds(axis, steps, [run[kind][:, layer] for run in runs], colour, label)
            axis.axhline(SHUT, color="black", linewidth=0.8, linestyle=":")
            axis.set_ylim(0, 1)
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        column[0].set_title(f"{depth} sigmoid layers")
        column[1].set_xlabel("step (thousands)")
        column[0].legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    axes[0, 0].set_ylabel("mean output")
    axes[1, 0].set_ylabel("98th percentile of outputs")
