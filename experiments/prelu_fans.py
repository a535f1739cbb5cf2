"""E10: what the slope of a PReLU, a funnel of channels and a stride do to MSRA's variance."""

import numpy as np

from experiments.result import Result, of_size
from experiments.trainings import draw_seeds
from minicnn import Sequential, optimizers
from minicnn.data import load
from minicnn.lab.ablation.figures import COLOURS
from minicnn.lab.measure.probes import probe
from minicnn.layers import Conv2d, Dense, Flatten, PReLU, ReLU
from minicnn.models import zoo
from minicnn.training.trainer import Trainer

TITLE = "E10: slopes, funnels and strides before training; learned slopes (SGD, momentum 0.9)"
SLOPES = (0.0, 0.25, 1.0)
WIDTH, DEPTH = 256, 8  # of the dense networks
FUNNELS = {"8 to 64": (8, 16, 32, 64), "64 to 8": (64, 32, 16, 8)}
SIDES = (63, 31, 15, 7)  # of images that convolutions of stride 2 make, without padding
STRIDE = 2
SAMPLES = 64
LEARNER = {"lr": 0.01, "momentum": 0.9}
EXACT = 1e-3  # relative, of float32 after some layers
UNUSUAL = 4  # standard errors of the mean over seeds
ACCURATE = 90  # per cent
SIZES = {
    "full": {"seeds": 10, "trained": 3, "images": 20000},
    "quick": {"seeds": 5, "trained": 2, "images": 20000},
    "tiny": {"seeds": 3, "trained": 0, "images": 0},
}


def run(size="full"):
    """Measure E[z²] and E[δ²] in networks before training; train PReLU networks for their slopes.

    Weights of one seed differ from mode to mode by a factor only, and PReLU lets a positive
    factor through. So the ratios that theory promises must hold on every seed, not only in the
    mean: (1 + a²) a layer for a slope that is not corrected, c_2 / d_L for ``fan_out`` in a
    funnel, s² a layer for a stride. What each mode promises by itself holds in expectation, and
    is checked in the mean over the seeds. The images are noise of second moment 1, so that
    borders, which are never padded, take nothing away.

    Returns
    -------
    Result
    """
    form = of_size(SIZES, size)
    seeds = range(form["seeds"])
    parts = {"slopes": slopes(seeds), "funnels": funnels(seeds), "strides": strides(seeds)}
    if form["trained"]:
        parts["learned"] = learn(range(form["trained"]), form["images"])
    seen = {name: found for name, (found, _, _) in parts.items()}
    rows = [row for _, rows, _ in parts.values() for row in rows]
    checks = [check for *_, checks in parts.values() for check in checks]
    header = ["network", "weights", "what", "theory, a layer", "in all", "measured"]
    return Result(TITLE, header, rows, checks, lambda figure: draw(figure, seen), (9, 6.6))


def slopes(seeds):
    """Dense layers with PReLU: E[z²] by layer, with and without (1 + a²)."""
    seen, rows, checks = {}, [], []
    for slope in SLOPES:
        for init, kind, factor in (
            ("msra", "as for ReLU", 1 + slope**2), (f"msra:slope={slope}", "corrected", 1.0)
        ):  # fmt: skip
            pairs = [(Dense(WIDTH, init=init), PReLU(slope)) for _ in range(DEPTH)]
            moments = measure(pairs, "msra", (WIDTH,), seeds, "output")
            factors = np.full(DEPTH - 1, factor)
            seen[slope, kind] = moments, factors
            name = f"slope {slope:g}"
            rows.append(row(name, kind, "E[z²]", moments, factors))
            checks.append(keeps(f"{name}, {kind}: E[z²]", moments, factors))
        quotients = seen[slope, "as for ReLU"][0] / seen[slope, "corrected"][0]
        wanted = (1 + slope**2) ** np.arange(1, DEPTH + 1)
        checks.append(exactly(f"{name}: they differ by 1 + a² a layer", quotients, wanted))
    return seen, rows, checks


def funnels(seeds):
    """Convolutions whose channels double or halve: E[z²] by layer, with either fan."""
    seen, rows, checks = {}, [], []
    for name, channels in FUNNELS.items():
        for mode in ("fan_in", "fan_out"):
            pairs = [(Conv2d(count, 3, init=f"msra:{mode}"), ReLU()) for count in channels]
            moments = measure(pairs, "msra", (channels[0], 16, 16), seeds, "output")
            fans = np.divide(channels[:-1], channels[1:])  # n / n̂ from the second layer on
            factors = fans if mode == "fan_out" else np.ones(len(fans))
            seen[name, mode] = moments, factors
            rows.append(row(f"{name} channels", mode, "E[z²]", moments, factors))
            checks.append(keeps(f"{name}, {mode}: E[z²]", moments, factors))
        quotients = seen[name, "fan_out"][0] / seen[name, "fan_in"][0]
        end = channels[0] / channels[-1]
        text = f"{name}: they differ by c_2/d_L = {end:g} from layer 1 to {len(channels)}"
        checks.append(exactly(text, quotients[:, -1] / quotients[:, 0], end))
    return seen, rows, checks


def strides(seeds):
    """Convolutions of stride 2: E[δ²] on its way down, with fan_out and its effective form."""
    seen, rows, checks = {}, [], []
    for mode, fan in (("fan_out", 9), ("effective_fan_out", 9 / STRIDE**2)):
        settings = {"stride": STRIDE, "init": f"msra:{mode}"}
        pairs = [(Conv2d(32, 3, **settings), ReLU()) for _ in SIDES[1:]]
        # Scores near 0: p - y is then that of guessing, whatever the layers before have made.
        moments = measure(pairs, "normal:1e-05", (4, *SIDES[:1] * 2), seeds, "delta")[:, ::-1]
        # An axis of m outputs has 3 m links to its n inputs.
        links = np.array([(3 * m / n) ** 2 for n, m in zip(SIDES[1:], SIDES[2:])])
        factors = links[::-1] / fan
        seen[mode] = moments, factors
        rows.append(row(f"stride {STRIDE}", mode, "E[δ²]", moments, factors))
        checks.append(keeps(f"stride {STRIDE}, {mode}: E[δ²]", moments, factors))
    quotients = seen["effective_fan_out"][0] / seen["fan_out"][0]
    wanted = float(STRIDE**2) ** np.arange(len(SIDES) - 1)
    text = f"stride {STRIDE}: they differ by s² a layer"
    checks.append(exactly(text, quotients / quotients[:, :1], wanted))
    return seen, rows, checks


def measure(pairs, last, shape, seeds, of):
    """Second moments of one signal in the first layer of each pair, for images of noise.

    Parameters
    ----------
    pairs : list of (Layer, Layer)
        With weights, and an activation.
    last : str
        Initializer of the scores that follow.
    shape : tuple of int
        Of an image.
    seeds : sequence of int
    of : str
        ``output`` or ``delta``.

    Returns
    -------
    ndarray, shape (len(seeds), len(pairs))
    """
    flat = [Flatten()] if len(shape) > 1 else []
    model = Sequential(*(layer for pair in pairs for layer in pair), *flat, Dense(10, init=last))
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        images = rng.standard_normal((SAMPLES, *shape)).astype(np.float32)
        model.initialize(shape, seed=seed)
        names = [layer.name for layer, _ in pairs]
        record = probe(model, images, rng.integers(0, 10, SAMPLES), names)
        found.append([getattr(layer, of).second_moment for layer in record.layers])
    return np.array(found)


def row(network, init, what, moments, factors):
    """A line of the table: from the first layer to the last, beside what theory says."""
    mean, error = whole(moments)
    layers = " ".join(dict.fromkeys(f"{factor:.3g}" for factor in factors))
    return [network, init, what, layers, f"{np.prod(factors):.3g}", f"{mean:.3g} ± {error:.2g}"]


def whole(moments):
    """The last layer's over the first's, mean over seeds, and its standard error."""
    quotients = moments[:, -1] / moments[:, 0]
    return float(quotients.mean()), float(quotients.std(ddof=1) / len(quotients) ** 0.5)


def keeps(text, moments, factors):
    """That the whole factor is what theory says, in the mean over seeds."""
    (mean, error), wanted = whole(moments), np.prod(factors)
    told = f"{text} goes by {mean:.3g} ± {error:.2g} in all, theory {wanted:.3g}"
    return told, bool(abs(mean - wanted) < UNUSUAL * error)


def exactly(text, quotients, wanted):
    """That quotients are so on every seed."""
    worst = float(np.abs(quotients / wanted - 1).max())
    return f"{text}, on every seed to {worst:.0e} (at most {EXACT:g})", worst < EXACT


def learn(seeds, images):
    """Train plain10 from each slope, corrected; the slopes by layer at the end."""
    data, test = load("mnist")
    data, seen, rows, checks = data.subset(images), {}, [], []
    for slope in SLOPES:
        seen[slope], accuracies = [], []
        for seed in seeds:
            model = zoo.build("plain10", activation=f"prelu:{slope}", init=f"msra:slope={slope}")
            model.initialize(data.shape, seed=seed)
            optimizer = optimizers.create("sgd", model.parameters(), **LEARNER)
            trainer = Trainer(model, optimizer, data, test, epochs=1, seed=seed)
            accuracies.append(100 * trainer.fit()[-1]["test_accuracy"])
            found = [layer for layer in model.all_layers() if isinstance(layer, PReLU)]
            seen[slope].append([float(p.own_parameters()["weight"].value[0]) for p in found])
        text = ", ".join(f"{accuracy:.1f}" for accuracy in accuracies)
        ends = np.mean(seen[slope], axis=0)
        rows.append([
            "plain10, trained", f"slopes from {slope:g}", "slopes",
            "", "", f"{ends[0]:.2f} in the first layer, {ends[-1]:.2f} in the last",
        ])  # fmt: skip
        checks.append((f"plain10 from slope {slope:g} has {text} %, {ACCURATE} or more",
                       min(accuracies) >= ACCURATE))  # fmt: skip
    return seen, rows, checks


def draw(figure, seen):
    """Four panels: slopes, funnels, strides, learned slopes by layer; theory's lines dotted."""
    (first, second), (third, fourth) = figure.subplots(2, 2)
    for (slope, kind), found in seen["slopes"].items():
        plain = kind == "as for ReLU"
        look = COLOURS[SLOPES.index(slope)], "-" if plain else "--"
        curve(first, *found, *look, f"a = {slope:g}" if plain else None)
    first.set(title="slopes: Var w = 2/n (dashed: with 1 + a²)", ylabel="E[z²]", yscale="log")
    for (name, mode), found in seen["funnels"].items():
        look = COLOURS[list(FUNNELS).index(name)], "-" if mode == "fan_out" else "--"
        curve(second, *found, *look, f"{name}, {mode}")
    second.set(title="funnels of channels", ylabel="E[z²]", yscale="log")
    for colour, (mode, (moments, factors)) in zip(COLOURS, seen["strides"].items()):
        curve(third, moments / moments[:, :1], factors, colour, "-", mode)
    third.set(title="stride 2: the gradient on its way down", yscale="log", xlabel="layer")
    third.set_ylabel("E[δ²] / that of layer 3")
    third.set_xticks((1, 2, 3), ("3", "2", "1"))
    for colour, (slope, found) in zip(COLOURS, seen.get("learned", {}).items()):
        curve(fourth, np.array(found), None, colour, "-", f"started at {slope:g}")
    fourth.set(title="slopes that plain10 learned", ylabel="slope a of the PReLU")
    for axis in (first, second, third, fourth):
        axis.set_xlabel("layer")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if axis is not third:
            axis.xaxis.get_major_locator().set_params(integer=True)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=8)


def curve(axis, seeds, factors, colour, style, label):
    """A line for each seed and their mean, by layer; a dotted one for theory."""
    layers = np.arange(1, seeds.shape[1] + 1)
    draw_seeds(axis, layers, seeds, colour, label)
    for line in axis.lines[-1 - len(seeds) :]:
        line.set_linestyle(style)
    if factors is not None:
        theory = seeds[:, 0].mean() * np.cumprod([1, *factors])
        axis.plot(layers, theory, color="black", linestyle=":", linewidth=1)
