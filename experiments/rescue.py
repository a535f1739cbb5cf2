"""E11: what rescues the thirty layers that stall from Xavier."""

import numpy as np

from experiments.result import Result, of_size
from experiments.stall import ACCURATE, BASE, ENTROPY, NEAR
from experiments.trainings import check_trains, draw_losses, draw_seeds, losses_near, of_arm, train
from minicnn.lab.ablation.figures import COLOURS
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.preflight import of_settings
from minicnn.models.lsuv import lsuv
from minicnn.training.runs.makers import LSUV_IMAGES

TITLE = "E11: thirty layers rescued (SGD, momentum 0.9, learning rate 0.003)"
STALL = {"xavier": "Xavier", "orthogonal": "orthogonal"}  # E[z²] halves with every ReLU
RESCUE = {
    "lsuv": "LSUV", "orthogonal:gain=relu": "orthogonal, gain √2",
    "delta-orthogonal": "delta-orthogonal, tanh",
}  # fmt: skip
LABELS = STALL | RESCUE
TANH = "delta-orthogonal"
RESCALED = ("xavier", "orthogonal")  # what LSUV is tried on
PASSES, TOLERANCE = 5, 0.1
SIZES = {
    "full": {
        "arms": tuple(LABELS), "seeds": 5, "accurate": 4, "bar": ACCURATE, "processors": None,
        "epochs": 2, "limit": 30000,
    },
    "quick": {
        "arms": tuple(LABELS), "seeds": 3, "accurate": 2, "bar": 70, "processors": None,
        "epochs": 1, "limit": 30000,
    },
    "tiny": {
        "arms": ("xavier", "lsuv", TANH), "seeds": 1, "accurate": 0, "bar": 0, "processors": 1,
        "epochs": 1, "limit": 640,
    },
}  # fmt: skip


def run(size="full"):
    """Train the network of E7 from LSUV, orthogonal and delta-orthogonal weights.

    LSUV must bring each layer's variance to 1 ± .1 in at most 5 passes, from Xavier's draw and
    from orthogonal ones. Then the network must train; with orthogonal weights, if they have the
    gain of ReLU; with delta-orthogonal ones and tanh. Orthogonal weights of gain 1 must stall,
    as ReLU halves E[z²] in every layer. Pre-flight must say each before.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    base = {**BASE, "epochs": form["epochs"], "limit": form["limit"]}
    relu = [init for init in form["arms"] if init != TANH]
    grids = [
        Grid({"init": relu}, form["seeds"], base=base),
        Grid({"init": [TANH]}, form["seeds"], base={**base, "activation": "tanh"}),
    ]
    verdicts, scaled = before(grids)
    found = [training for grid in grids for training in train(grid, form["processors"])]
    rows = [
        [
            LABELS[init], str(t.outcome.trial.seed), f"{verdict.record.logit_std:.1e}",
            f"{verdict.record.delta_ratio:.1e}", verdict.kind, str(t), f"{t.loss:.4f}",
            str(t.classes),
        ]
        for init in form["arms"]
        for t, verdict in zip(of_arm(found, init=init), verdicts[init])
    ]  # fmt: skip
    checks = [check_scaled(init, reports) for init, reports in scaled.items()]
    checks += [check_verdicts(init, verdicts[init]) for init in form["arms"]]
    if form["accurate"]:
        checks += [check_stalls(label, of_arm(found, init=init)) for init, label in STALL.items()]
        checks += [check_trains(label, of_arm(found, init=init), form)
                   for init, label in RESCUE.items()]  # fmt: skip
    header = ["weights", "seed", "std of scores", "delta, first / last", "pre-flight"]
    header += ["accuracy (%)", "training loss (nats)", "classes predicted"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, found, scaled), (9, 4))


def before(grids):
    """What can be said without training: pre-flight's verdicts, and LSUV's reports.

    Returns
    -------
    verdicts, scaled : dict of str to list
        By the initializer, for each seed a Preflight, and a Report of LSUV.
    """
    data, *_ = grids[0].settings({}, 0).load_data()
    verdicts, scaled = {}, {}
    for grid in grids:
        for arm, seed, _ in grid.trials():
            init, settings = arm["init"], grid.settings(arm, seed)
            verdicts.setdefault(init, []).append(of_settings(settings, data))
            if init in RESCALED:
                scaled.setdefault(init, []).append(rescale(settings, data))
    return verdicts, scaled


def rescale(settings, data):
    """LSUV on the weights that another initializer has drawn; its report."""
    images = data.normalized(np.arange(LSUV_IMAGES))
    return lsuv(settings.make_model(data), images, TOLERANCE, PASSES)


def check_scaled(init, reports):
    """That every layer of every seed has variance 1 within the tolerance, in few passes."""
    layers = [layer for report in reports for layer in report]
    after = [layer.after for layer in layers]
    passes = max(layer.passes for layer in layers)
    text = (
        f"LSUV on {init}: {len(layers)} layers have variance {min(after):.3f} to {max(after):.3f}"
        f" (1 ± {TOLERANCE}) after at most {passes} of {PASSES} passes"
    )
    return text, all(abs(v - 1) <= TOLERANCE for v in after) and passes <= PASSES


def check_verdicts(init, verdicts):
    """That pre-flight is right about every seed."""
    what = "train" if init in RESCUE else "stall"
    right = all(verdict.trains == (init in RESCUE) for verdict in verdicts)
    return f"{LABELS[init]}: pre-flight says of every seed that it will {what}", right


def check_stalls(label, trainings):
    """That one class is predicted, with the entropy of the classes as the loss."""
    text, near = losses_near(trainings, ENTROPY, NEAR)
    return f"{label}: stalls, one class, {text}", near and all(t.classes == 1 for t in trainings)


def draw(figure, trainings, scaled):
    """Left the loss over training, right each layer's variance before and after LSUV."""
    left, right = figure.subplots(1, 2)
    for (init, label), colour in zip(LABELS.items(), COLOURS):
        runs = of_arm(trainings, init=init)
        if not runs:
            continue
        draw_losses(left, runs, colour, label)
        if init == "orthogonal":  # on top of Xavier's line
            left.lines[-1].set_linestyle((0, (4, 4)))
    for init, reports in scaled.items():
        colour = COLOURS[list(LABELS).index(init)]
        layers = np.arange(1, len(reports[0]) + 1)
        # What LSUV finds: all layers before are scaled already.
        before = [[layer.before for layer in report] for report in reports]
        after = [[layer.after for layer in report] for report in reports]
        draw_seeds(right, layers, before, colour, f"{LABELS[init]}, as drawn")
        draw_seeds(right, layers, after, "black", None)
    right.plot([], [], color="black", label="after LSUV")
    left.set(xlabel="images seen (thousands)", ylabel="training loss (nats)", ylim=(0, 2.6))
    right.set(xlabel="layer", ylabel="variance of the output", yscale="log")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
