"""Random networks against the reference: forward, loss and all gradients, in both dtypes.

The tolerance is measured, not guessed. The same network in float64, with relative noise of size
eps on all weights and on everything that passes between two layers, forwards and backwards,
shows by how much rounding errors of size eps move each result; those of float32 and float64
may do as much, times `ROOM`.
"""

import numpy as np

from minicnn import lanes
from minicnn import reference as ref
from minicnn.layers import BatchNorm
from minicnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from minicnn.models import Sequential
from tests.long import networks
from tests.long.figures import Figures
from tests.long.twin import Twin

TITLE = "Random networks: forward, loss and all gradients against the reference"
COUNT = 500
NOISE = 1e-9  # far above the rounding of float64, and too small to change a maximum
NOISY_RUNS = 4
# A sum of n terms may be off by n roundings, where the noise adds up to √n of them; the longest
# here has 2,673, whose root is 52; and several layers do that one after the other.
ROOM = 200.0
LEAST_MARGIN = 1e-5
LARGEST = 1e34  # what follows must fit into float32
DTYPES = (np.float32, np.float64)
SCORES = 1e4
KINDS = ("normal",) * 6 + ("huge", "tiny", "denormal", "constant", "zero", "wide")


def run(count, seed=0):
    """Compare `count` random networks, and as many batches of large scores."""
    failures, worst, kinds = [], {dtype: 0.0 for dtype in DTYPES}, {}
    passed = large = 0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        case = Case(rng)
        found = {dtype: case.compare(dtype) for dtype in DTYPES}
        wrong = [
            f"network {number} ({case}), {dtype.__name__}: {name} is {ratio:.3g} x its rounding"
            for dtype, ratios in found.items()
            for name, ratio in ratios.items()
            if not ratio <= ROOM
        ]
        failures += wrong
        passed += not wrong
        kinds[case.kind] = kinds.get(case.kind, 0) + 1
        for dtype, ratios in found.items():
            worst[dtype] = max(worst[dtype], *ratios.values())
        wrong = large_scores(rng)
        failures += [f"large scores {number}: {message}" for message in wrong]
        large += not wrong
    figures = {
        "networks within tolerance, forward, loss and all gradients": f"{passed} of {count}",
        "inputs": ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)),
        f"largest error, in roundings that the network passes on ({ROOM:g} allowed)": ", ".join(
            f"{dtype.__name__} {ratio:.0f}" for dtype, ratio in worst.items()
        ),
        "cross-entropy of scores to ±1e4 within rounding": f"{large} of {count}",
    }
    return Figures(failures, figures)


class Case:
    """A network with a batch, what the reference makes of them, and how rounding moves that.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides everything.
    """

    def __init__(self, rng):
        while not self._drawn(rng):
            pass
        scale = [self._noisy(np.random.default_rng([self.seed, n])) for n in range(NOISY_RUNS)]
        self.rounding = {
            name: max(np.abs(noisy[name] - self.exact[name]).max(initial=0) for noisy in scale)
            / NOISE
            for name in self.exact
        }

    def __str__(self):
        kind = "training" if self.training else "evaluation"
        shape = "x".join(map(str, self.x.shape))
        names = " ".join(type(layer).__name__ for layer in self.model().all_layers())
        return f"{kind} of {shape} {self.kind}: {names}"

    def _drawn(self, rng):
        """Draw network, input and targets; whether float32 can be asked for the same."""
        self.training, self.seed = bool(rng.random() < 0.7), int(rng.integers(2**31))
        self.fuse = bool(rng.random() < 0.7)
        self.values = self.running = None
        model = self.model()
        self.values = [
            (p.value + 0.1 * rng.standard_normal(p.value.shape)).astype(np.float32)
            for p in model.parameters()
        ]
        self.running = [
            (rng.normal(0, 0.5, mean.shape), rng.uniform(0.3, 2, mean.shape))
            for mean, _ in _running(model)
        ]
        least = (
            2 if self.training and any(layer.mixes_samples for layer in model.all_layers()) else 1
        )
        samples = max(least, int(rng.choice(networks.SAMPLES)))
        outputs = model.output_shape[0]
        self.kind = KINDS[rng.integers(len(KINDS))]
        self.loss = SoftmaxCrossEntropy(float(rng.choice([0, 0.1])))
        self.targets = rng.integers(0, outputs, samples)
        # A single class is certain, whatever its score; squares of huge scores overflow.
        if self.kind != "huge" and (outputs == 1 or rng.random() < 0.25):
            self.loss = MeanSquaredError()
            self.targets = rng.normal(size=(samples, outputs))
        self.x = inputs(self.kind, rng, (samples, *model.input_shape))
        return self._expected()

    def _expected(self):
        twin = Twin(self.model(), self.training)
        scores = twin.forward(self.x)
        if twin.margin < LEAST_MARGIN or np.abs(scores).max() > LARGEST:
            return False
        value, delta = reference_loss(self.loss, scores, self.targets)
        dx = twin.backward(delta)
        self.exact = {"scores": scores, "loss": value, "d input": dx}
        self.largest = max(1.0, twin.largest)
        self.exact |= dict(enumerate(twin.gradients[p.name] for p in twin.model.parameters()))
        return True

    def model(self, dtype=np.float64, noise=None):
        """The network, with its weights; with noise in and between its layers if asked for."""
        shape, layers = networks.layers(np.random.default_rng(self.seed), self.training)
        networks.set_algorithms(layers, dtype)
        if noise is not None:
            layers = networks.with_noise(layers, NOISE, noise)
        model = Sequential(*layers)
        model.initialize(shape, self.seed, dtype, input_gradient=True, fuse=self.fuse)
        for parameter, value in zip(model.parameters(), self.values or ()):
            parameter.value[...] = value
            if noise is not None:
                parameter.value *= 1 + NOISE * noise.uniform(-1, 1, value.shape)
        for arrays, values in zip(_running(model), self.running or ()):
            for array, value in zip(arrays, values):
                array[...] = value
        return model

    def compare(self, dtype):
        """The error of every result, as a multiple of what rounding alone may do."""
        found = self._computed(self.model(dtype), np.array(self.x, dtype))
        about = np.finfo(dtype)
        # What is lost where a delta falls below the least number is multiplied by inputs.
        unit, floor = about.eps / 2, 4096 * float(about.smallest_subnormal) * self.largest
        ratios = {}
        for name, exact in self.exact.items():
            error = np.abs(found[name] - exact).max(initial=0)
            size = max(self.rounding[name], np.abs(exact).max(initial=0))
            ratios[name] = float(error / (unit * size + floor))
        return ratios

    def _noisy(self, rng):
        def noisy(delta):
            # Probabilities and targets are numbers up to 1: that is what rounding is relative to.
            return delta + NOISE / len(self.x) * rng.uniform(-1, 1, delta.shape)

        return self._computed(self.model(noise=rng), np.array(self.x, float), noisy)

    def _computed(self, model, x, noisy=lambda delta: delta):
        """What a model computes, in float64, by the names of `exact`."""
        packed = lanes.pack(x, model.dtype)
        scores = model.forward(packed, self.training, len(x))
        value, delta = self.loss(scores, self.targets)
        delta = lanes.unpack(delta, len(x))
        found = {"scores": lanes.unpack(scores, len(x)), "loss": value}
        dx = model.backward(lanes.pack(noisy(delta), model.dtype))
        found["d input"] = lanes.unpack(dx, len(x))
        found |= dict(enumerate(p.grad.copy() for p in model.parameters()))
        return {name: np.asarray(array, np.float64) for name, array in found.items()}


def inputs(kind, rng, shape):
    """Numbers of a kind, as float32 has them."""
    x = rng.normal(size=shape)
    scale = {"huge": 1e30, "tiny": 1e-30, "denormal": 1e-40, "zero": 0.0}.get(kind, 1.0)
    if kind == "constant":
        x = np.full(shape, rng.normal())
    if kind == "wide":
        x *= 10 ** rng.uniform(-6, 6, shape)
    return (scale * x).astype(np.float32)


def reference_loss(loss, scores, targets):
    """Value and dE/ds of a batch, in float64."""
    if isinstance(loss, MeanSquaredError):
        value, gradient, rest = ref.mean_squared_error, ref.mean_squared_error_gradient, ()
    else:
        value, gradient = ref.cross_entropy, ref.cross_entropy_gradient
        rest = (loss.label_smoothing,)
    pairs = list(zip(scores, targets))
    values = [value(s, t, *rest) for s, t in pairs]
    return np.mean(values), np.stack([gradient(s, t, *rest) for s, t in pairs]) / len(scores)


def large_scores(rng):
    """Cross-entropy of scores to ±1e4 against the reference; what is wrong, as a list."""
    samples, classes = int(rng.choice(networks.SAMPLES)), int(rng.integers(1, 12))
    scores = (SCORES * rng.uniform(-1, 1, (samples, classes))).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = rng.choice([-SCORES, SCORES])
    labels = rng.integers(0, classes, samples)
    loss = SoftmaxCrossEntropy(float(rng.choice([0, 0.1])))
    value, gradient = reference_loss(loss, scores.astype(np.float64), labels)
    wrong = []
    for dtype in DTYPES:
        found, delta = loss(lanes.pack(scores, dtype), labels)
        # Sums of differences of scores, up to 2e4; p and q are up to 1.
        unit = np.finfo(dtype).eps
        if not abs(found - value) <= 16 * unit * 2 * SCORES:
            wrong.append(f"{dtype.__name__}: loss {found}, expected {value}")
        error = np.abs(lanes.unpack(delta, samples) - gradient).max() * samples
        if not error <= 64 * unit:
            wrong.append(f"{dtype.__name__}: a gradient is off by {error}")
    return wrong


def _running(model):
    """Running mean and variance of each normalization, in order."""
    norms = [layer for layer in model.all_layers() if isinstance(layer, BatchNorm)]
    return [tuple(layer.state().values()) for layer in norms]
