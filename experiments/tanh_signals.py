"""E4: Glorot & Bengio's figures 6 to 8: what keeps its size over tanh layers, and what fades."""

import numpy as np

from experiments.result import Result, of_size
from minicnn import Sequential
from minicnn.data import load
from minicnn.lab.measure.jacobian import singular_values
from minicnn.lab.measure.probes import probe
from minicnn.layers import Dense, Flatten, Tanh

TITLE = "E4: activations, deltas and weight gradients over five tanh layers"
LAYERS = 5
# width, images, seeds
SIZES = {"full": (800, 500, 5), "quick": (800, 300, 3), "tiny": (400, 300, 2)}
SINGULAR = {"uniform": 8 / (3 * np.pi * 3**0.5), "xavier": 8 / (3 * np.pi)}


def run(size="full"):
    """Five hidden tanh layers at their start, under U(±1/√n) and under Xavier.

    Under U(±1/√n) delta must fade by 1/√3 a layer while the weight gradients stay flat, and
    the mean singular value of a layer's Jacobian be 8 / (3 π √3), as random matrix theory has
    it; under Xavier 8 / (3 π).

    Returns
    -------
    Result
    """
    width, images, seeds = of_size(SIZES, size)
    train, _ = load("mnist")
    chosen = np.arange(images)
    # In [0, 1], where tanh is nearly linear, as the theory wants it.
    images = train.images[chosen].reshape(-1, 1, 28, 28).astype(np.float32) / 255
    batch = images, train.labels[chosen]
    rows, checks, lines = [], [], {}
    for name in SINGULAR:
        runs = [signals(name, width, seed, batch) for seed in range(seeds)]
        lines[name] = {kind: np.array([run[kind] for run in runs]) for kind in runs[0]}
        mean = {kind: values.mean(axis=0) for kind, values in lines[name].items()}
        for layer in range(LAYERS):
            rows.append([
                name, str(layer + 1), f"{mean['activation'][layer]:.3g}",
                f"{mean['delta'][layer]:.3g}", f"{mean['dW'][layer]:.3g}",
            ])  # fmt: skip
        # of the hidden layers between two of equal width
        fade = float((mean["delta"][0] / mean["delta"][-1]) ** (1 / (LAYERS - 1)))
        flat = float(mean["dW"][1:].max() / mean["dW"][1:].min())
        singular = float(lines[name]["singular"].mean())
        if name == "uniform":
            fades = abs(fade - 3**-0.5) < 0.03
            checks.append((f"delta fades by {fade:.3f} a layer, 0.577 ± .03", fades))
            checks.append((f"dW's largest over smallest std is {flat:.2f}, below 1.2", flat < 1.2))
        wanted = SINGULAR[name]
        checks.append((
            f"{name}: mean singular value {singular:.3f}, theory {wanted:.3f} ± .05",
            abs(singular - wanted) < 0.05,
        ))  # fmt: skip
    header = ["weights", "layer", "activation std", "delta std", "dW std"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, lines))


def signals(name, width, seed, batch):
    """Std of each hidden layer's activation, delta (at z) and dW; singular values of one layer."""
    init = f"uniform:-{width**-0.5!r},{width**-0.5!r}" if name == "uniform" else "xavier"
    layers = []
    for _ in range(LAYERS):
        layers += [Dense(width, init=init), Tanh()]
    model = Sequential(Flatten(), *layers, Dense(10, init="xavier"))
    model.initialize((1, 28, 28), seed=seed)
    record = probe(model, *batch)
    dense, tanh = record.layers[1:-1:2], record.layers[2:-1:2]
    small = 1e-3 * batch[0][0]  # where tanh is linear: the Jacobian is the weights' alone
    return {
        "activation": [layer.output.std for layer in tanh],
        "delta": [layer.delta.std for layer in dense],
        "dW": [layer.gradient.std for layer in dense],
        "singular": [singular_values(model, small, layers=("5.dense", "6.tanh")).mean()],
    }


def draw(figure, lines):
    """Three panels, a line for each seed and a thick one for their mean."""
    colours = {"uniform": "#D55E00", "xavier": "#0072B2"}
    labels = {"uniform": "U(±1/√n)", "xavier": "Xavier"}
    titles = {"activation": "activations", "delta": "delta", "dW": "weight gradients"}
    axes = figure.subplots(1, 3)
    for axis, (kind, title) in zip(axes, titles.items()):
        for name, found in lines.items():
            layers = np.arange(1, LAYERS + 1)
            axis.semilogy(layers, found[kind].T, color=colours[name], alpha=0.35, linewidth=0.8)
            axis.semilogy(
                layers, found[kind].mean(axis=0), "o-", color=colours[name], label=labels[name]
            )
        axis.set(xlabel="hidden layer", title=title, xticks=range(1, LAYERS + 1))
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("standard deviation")
    axes[-1].legend(frameon=False)
