"""E8: what Adam can repair: thirty layers from Xavier perhaps, zeros never."""

from experiments.result import Result, of_size
from experiments.trainings import (
    HELD,
    best,
    draw_losses,
    in_words,
    mean,
    of_arm,
    train,
    validation_mean,
)
from minicnn.lab.ablation.figures import COLOURS, STYLES
from minicnn.lab.ablation.grid import Grid

TITLE = "E8: zeros, and thirty layers from Xavier and from MSRA, with Adam"
INITS = ("xavier", "msra")
BASE = {"optimizer": "adam", "schedule": "constant"}
ZEROS, LR_ZEROS = ("relu", "tanh"), 0.001
SIZES = {
    "full": {
        "lrs": (0.0003, 0.001, 0.003), "seeds": 5, "limit": 30000, "epochs": 2,
        "zeros": {"epochs": 3}, "processors": None,
    },
    "quick": {
        "lrs": (0.0003, 0.001), "seeds": 2, "limit": 20000, "epochs": 2,
        "zeros": {"epochs": 1}, "processors": None,
    },
    "tiny": {
        "lrs": (0.001,), "seeds": 1, "limit": 640, "epochs": 1,
        "zeros": {"epochs": 1, "limit": 1000}, "processors": 1,
    },
}  # fmt: skip


def run(size="full"):
    """Train LeNet-5 of zeros and thirty layers, both with Adam.

    No weight of zeros with ReLU or tanh must ever get a gradient or leave 0. Whether Adam, which
    divides each gradient by its own size, saves Xavier in thirty layers is no prediction: the
    table says.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    base = {**BASE, **form["zeros"], "init": "zeros", "lr": LR_ZEROS}
    zeros = train(Grid({"activation": ZEROS}, form["seeds"], base=base), form["processors"])
    base = {**BASE, **HELD, "model": "plain30", "limit": form["limit"], "epochs": form["epochs"]}
    axes = {"init": INITS, "lr": form["lrs"]}
    deep = train(Grid(axes, form["seeds"], base=base), form["processors"])
    rows, checks = [], []
    for activation in ZEROS:
        runs = of_arm(zeros, activation=activation)
        rows.append(row("lenet5", "zeros", activation, LR_ZEROS, runs, ["", ""]))
        checks.append((
            f"zeros, {activation}: every dE/dW is exactly 0 in every step, every W at the end, and"
            " one class is predicted", all(t.dead for t in runs),
        ))  # fmt: skip
    for init in INITS:
        arm = of_arm(deep, init=init)
        for lr in form["lrs"]:
            runs = of_arm(arm, lr=lr)
            mark = "best" if lr == best(arm)[0] else ""
            chosen_by = [f"{100 * validation_mean(runs):.2f}", mark]
            rows.append(row("plain30", init, "relu", lr, runs, chosen_by))
    header = ["network", "weights", "activation", "lr", "accuracy (%)", "mean (%)"]
    header += ["training loss (nats)", "classes predicted", "validation mean (%)", "of its rates"]
    return Result(
        TITLE, header, rows, checks, lambda figure: draw(figure, zeros, deep, form["lrs"]), (9.6, 4)
    )


def row(network, init, activation, lr, runs, chosen_by):
    """A row of the table."""
    return [
        network, init, activation, f"{lr:g}", in_words(runs), f"{100 * mean(runs):.2f}",
        ", ".join(f"{t.loss:.3f}" for t in runs), ", ".join(str(t.classes) for t in runs),
        *chosen_by,
    ]  # fmt: skip


def draw(figure, zeros, deep, lrs):
    """The loss over training: zeros, then thirty layers from either initialization."""
    axes = figure.subplots(1, 1 + len(INITS), sharey=True)
    for activation, colour, style in zip(ZEROS, COLOURS[3:], STYLES):  # one upon the other
        runs = of_arm(zeros, activation=activation)
        draw_losses(axes[0], runs, colour, activation, linestyle=style)
    axes[0].set(title="LeNet-5, zeros", ylabel="training loss (nats)", ylim=(0, 3.4))
    for axis, init in zip(axes[1:], INITS):
        for lr, colour in zip(lrs, COLOURS):
            draw_losses(axis, of_arm(deep, init=init, lr=lr), colour, f"lr {lr:g}")
        axis.set(title=f"plain30, {init}")
    for axis in axes:
        axis.set(xlabel="images seen (thousands)")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=9, loc="upper left")
