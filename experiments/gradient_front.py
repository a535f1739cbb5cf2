"""E3: with sigmoids and all weights zero, a gradient reaches one more layer with every step."""

import numpy as np

from experiments.result import Result, of_size
from experiments.zeros import network, train, weights_of
from minicnn.lab.symmetry import gradient_front
from minicnn.lab.symmetry.certificate import numerical_rank

TITLE = "E3: the gradient front of a sigmoid network with zero weights"
DEPTHS = {"full": (3, 4, 5, 6), "quick": (3, 4, 5, 6), "tiny": (3, 4)}  # weight layers
WIDTH, CLASSES, SAMPLES, STEPS = 12, 5, 48, 12


def run(size="full"):
    """Train networks of 3 to 6 layers for some steps, in float64.

    Layer l of L must have its first gradient that is not 0 at step L - l + 1, as
    :func:`minicnn.lab.symmetry.verdict` predicts, and every W stays of rank 1.

    Returns
    -------
    Result
    """
    rows, checks, norms = [], [], {}
    for depth in of_size(DEPTHS, size):
        model = network([True] * depth, "sigmoid", WIDTH, CLASSES)
        predicted = gradient_front.verdict(model).first_step
        norms[depth], ranks = follow(model)
        first = [int(np.argmax(column > 0)) + 1 for column in norms[depth].T]
        wanted = [depth - layer for layer in range(depth)]
        said = [predicted[p.name] for p in weights_of(model)]
        rows.append([str(depth), *(", ".join(map(str, steps)) for steps in (first, said))])
        checks.append((f"{depth} layers: the front arrives at steps {wanted}", first == wanted))
        checks.append((f"{depth} layers: the prediction says so", said == wanted))
        checks.append((f"{depth} layers: every W has rank 1", ranks == [1] * depth))
    header = ["layers", "first gradient at step, layer by layer", "predicted"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, norms))


def follow(model):
    """The norm of every weight's gradient in each step, and each weight's rank at the end."""
    weights, norms = weights_of(model), []
    for _ in train(model, SAMPLES, surplus=3, steps=STEPS, lr=1.0):
        norms.append([np.linalg.norm(w.grad) for w in weights])
    return np.array(norms), [numerical_rank(w.value) for w in weights]


def draw(figure, norms):
    """A panel for each depth: the norms over the steps, a line for each layer."""
    colours = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]
    axes = figure.subplots(1, len(norms), sharey=True, squeeze=False)[0]
    for axis, (depth, values) in zip(axes, norms.items()):
        steps = np.arange(1, len(values) + 1)
        for layer, column in enumerate(values.T):
            seen = column > 0
            axis.semilogy(
                steps[seen], column[seen], "o-", markersize=3, color=colours[layer],
                label=f"layer {layer + 1}",
            )  # fmt: skip
        axis.set(xlabel="step", title=f"{depth} layers")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("norm of dE/dW")
    axes[-1].legend(fontsize=8, frameon=False, loc="upper right")
