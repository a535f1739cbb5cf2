"""E2: which layers are zero decides what learns: every subset of four layers, four activations."""

from itertools import product

import numpy as np

from experiments.result import Result, of_size
from experiments.zeros import network, train, weights_of
from minicnn.lab.symmetry import gradient_front

TITLE = "E2: which weights ever get a gradient, by the layers that start at zero"
ACTIVATIONS = ("relu", "tanh", "prelu", "sigmoid")
LAYERS, WIDTH, CLASSES, SAMPLES = 4, 8, 4, 32
STEPS = {"full": 200, "quick": 100, "tiny": 20}


def run(size="full"):
    """Train every subset of zero layers, and compare with what the gradient front predicts.

    Returns
    -------
    Result
    """
    steps = of_size(STEPS, size)
    rows, maps, wrong = [], {}, []
    subsets = list(product((False, True), repeat=LAYERS))
    for activation in ACTIVATIONS:
        maps[activation] = np.zeros((len(subsets), LAYERS), bool)
        for number, zero in enumerate(subsets):
            model = network(zero, activation, WIDTH, CLASSES)
            found = gradient_front.verdict(model)
            said = [found.first_step[name] for name in found.weights]
            seen = learned(model, steps)
            maps[activation][number] = [step is not None for step in seen]
            if seen != said:
                wrong.append(f"{activation} {zero}: {seen} rather than {said}")
            if sum(zero) in (0, 1, LAYERS):
                rows.append([activation, _names(zero), found.kind, _steps(seen), _steps(said)])
    cases = len(ACTIVATIONS) * len(subsets)
    checks = [(f"all {cases} cases learn as predicted{'; but ' if wrong else ''}{'; '.join(wrong)}",
               not wrong)]  # fmt: skip
    dead = [bool(maps[a][-1].any()) for a in ("relu", "tanh", "prelu")]
    checks.append(("all zero: no weight of ReLU, tanh or PReLU ever learns", not any(dead)))
    checks.append(("all zero: every weight of sigmoid does", bool(maps["sigmoid"][-1].all())))
    header = ["activation", "zero layers", "verdict", "first gradient at step", "predicted"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, maps, subsets))


def learned(model, steps):
    """The step at which each weight first had a gradient, or None."""
    weights = weights_of(model)
    first = [None] * len(weights)
    for step in train(model, SAMPLES, surplus=2, steps=steps, lr=0.1):
        for number, weight in enumerate(weights):
            if first[number] is None and weight.grad.any():
                first[number] = step
    return first


def _names(zero):
    marked = [str(number + 1) for number, empty in enumerate(zero) if empty]
    return ", ".join(marked) or "none"


def _steps(steps):
    return " ".join("-" if step is None else str(step) for step in steps)


def draw(figure, maps, subsets):
    """A panel for each activation: a row for each subset, a column for each layer."""
    axes = figure.subplots(1, len(maps), sharey=True)
    for axis, (activation, learns) in zip(axes, maps.items()):
        axis.pcolormesh(learns, cmap="cividis", vmin=0, vmax=1, edgecolors="white")
        for row, zero in enumerate(subsets):
            for layer, empty in enumerate(zero):
                if empty:
                    colour = "black" if learns[row, layer] else "white"
                    place = {"ha": "center", "va": "center", "fontsize": 8}
                    axis.text(layer + 0.5, row + 0.5, "0", color=colour, **place)
        axis.set(title=activation, xlabel="layer", xticks=np.arange(LAYERS) + 0.5)
        axis.set_xticklabels(range(1, LAYERS + 1))
        axis.invert_yaxis()
    axes[0].set(ylabel="which layers start at zero (marked 0)", yticks=[])
    figure.suptitle("yellow: the weight learns; blue: its gradient is 0 for ever", fontsize=10)
