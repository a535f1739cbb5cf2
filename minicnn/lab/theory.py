"""The second moments that an initialization promises: activations, gradients, weight gradients.

Weights count by the mean and variance that their initializers promise, never by their values;
images and labels count as they are. The way forwards is in :mod:`minicnn.lab.forward_theory`,
that back in :mod:`minicnn.lab.backward_theory` and :mod:`minicnn.lab.gradient_theory`; what
travels is a :class:`minicnn.lab.maps.Field`, with a prediction interval by
:mod:`minicnn.lab.spread`. Average pooling asks :mod:`minicnn.lab.positions` for the products of two
positions.

Exact, in expectation over weights of mean 0
    Second moments behind the first layer of weights, at any padding, stride, dilation and groups,
    for each sample and position; behind every further one, given those of its input. Dropout.
    dE/d(scores) given Gaussian scores, but for 256 draws.

Exact for many units, asymptotic in 1 / width
    Activations, whose inputs count as Gaussian, and with them average pooling, which hangs on the
    products of positions: for each sample and all pairs of them where the cost that
    :mod:`minicnn.lab.pooled_pairs` states is below its BUDGET (within 1e-6 of neural-tangents in
    all 93 layers of twelve networks, see ``tests/lab/neural_tangents.py``; 1e-11 with ReLU), else
    for each sample alone; gradients, which count as independent of what
    they are multiplied by (what hangs on the same weights is added to first order); batch
    normalization's division; all intervals.

Approximate
    Max pooling, by one fixed simulation; average pooling behind it or behind batch normalization
    (off by up to 20 % for samples as unlike as a constant image and noise), and of activations
    beyond the BUDGET even for each sample alone (10 %); products of two *samples* behind max
    pooling, and behind average pooling beyond the BUDGET, where they are scaled, off by up to 40 %;
    an activation of a mean of another's numbers (37 % for tanh of means of ReLU); on the way back,
    how overlapping average pooling shares gradients among samples; products of two positions in the
    gradients of weights, where the class of a sample is lost (the first layer of convnet has 2.5
    times the predicted dW); batch normalization's gradients, in the lowest layers of resnet8
    predicted up to 2 times too large for deltas and up to 6 times for weights; the biases'
    gradients in deep narrow networks. The intervals allow for it. Means over channels only are
    kept. An activation or a max pooling right on the images takes them for Gaussian.

Nothing is promised, and NaN given, from the first layer on whose weights have a mean (constant,
identity), and for all gradients then. Gradients of batch normalization's and PReLU's own
parameters are not predicted.

Measured on MNIST: z-scores by `Moment.z`, 8 to 64 images, three seeds of each of 170 networks
(lenet5, convnet, plain6, plain10, plain30, resnet8, quick, vgg-small and two of dense layers; all
ten activations, each with one or two of xavier, msra, lecun, normal:0.05 and orthogonal), with
seeds and images other than those on which the intervals were adjusted. Of 21,930 statistics
99.91 % were within ±4, their root mean square was 1.03; the worst activation had 99.7 %, the worst
initializer 99.8 %, the worst network 99.4 %. A later count over ten networks with all ten
activations and five initializers each, three draws of 8 images, which
``python -m minicnn.lab.theory_score`` repeats: 99.79 % of 61,650, root mean square 1.18.
Statistics of one network vary together, so that a network that misses, misses often.

It breaks where depth over width is about 1 for ReLU: of `mlp:5x10` with msra 75 % of the
scores are within ±4, of `mlp:5x3` 97 %, `mlp:10x10` 96 %, `mlp:20x10` 99.2 %, `mlp:50x10` and
`mlp:50x20` 100 % (20 seeds each). With tanh `mlp:5x10` still has 100 %. The intervals of narrow
and deep networks are as wide as the prediction itself (an error of 1 at plain10's scores), so
that they say little of one draw; and the plain ratio ``(measured - value) / (error value)`` is
not normal there, 22 where `Moment.z` is below 4.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from minicnn import memory
from minicnn.checks import check_flag, check_numbers, check_text, list_of, takes
from minicnn.errors import ArgumentError, unknown
from minicnn.lab import backward_theory as back
from minicnn.lab import gradient_theory
from minicnn.lab.forward_theory import NoPromiseError, added, forward, from_batch
from minicnn.lab.spread import UNKNOWN, Moment
from minicnn.layers import Conv2d, Dense, Residual
from minicnn.losses import check_labels
from minicnn.model import NOT_INITIALIZED, Sequential, initialized

ROUNDING = 1e-4  # relative error of what is exact, as float32 has it


@dataclass(frozen=True)
class Prediction:
    """What the theory says of one layer.

    Attributes
    ----------
    name, kind : str
        The layer's name in the model, and its class.
    output : Moment
        Of the layer's output, mean over samples, channels and positions.
    delta : Moment
        Of dE/d(output), E the batch's mean loss.
    gradients : dict of str to Moment
        Of dE/d(weight) and dE/d(bias), mean over elements; of convolutions and dense layers.
    """

    name: str
    kind: str
    output: Moment = UNKNOWN
    delta: Moment = UNKNOWN
    gradients: dict = field(default_factory=dict)


@takes(model=initialized, images=check_numbers, training=check_flag)
def predict(model, images, labels=None, training=True):
    """Second moments that the initializers promise, layer by layer.

    The weights themselves are not looked at.

    Parameters
    ----------
    model : Sequential
        Initialized: it knows its shapes.
    images : ndarray, shape (N, *input_shape)
        A batch as the model gets it, normalized. The time grows with N².
    labels : ndarray of int, shape (N,), optional
        Without, gradients are those of labels drawn evenly and independently of the images.
    training : bool
        Whether dropout drops and batch normalization takes the batch's statistics.

    Returns
    -------
    list of Prediction
        In the order of ``model.all_layers()``.

    Raises
    ------
    OutOfMemory
        If there are too many images for the products of all pairs.
    ArgumentError
        For a model that is not initialized or has a layer that the theory does not know,
        images or labels that do not fit, or scores that are no vector.
    """
    if model.output_shape is None:
        raise ArgumentError(NOT_INITIALIZED)
    images = np.asarray(images)
    if images.shape[1:] != model.input_shape or not len(images):
        raise ArgumentError(
            f"the theory needs images of shape (N, {', '.join(map(str, model.input_shape))}), at"
            f" least one, got {images.shape}."
        )
    if len(model.output_shape) != 1:
        raise ArgumentError(f"the theory needs a vector of scores, got {model.output_shape}.")
    if labels is not None:
        labels = check_labels(labels, model.output_shape[0])
        if len(labels) != len(images):
            raise ArgumentError(f"{len(images)} images came with {len(labels)} labels.")
    tape, pairs = _Tape(), (*images.shape[2:], len(images), len(images))
    with memory.asked(8 * math.prod(pairs), f"float64 of shape {pairs}, of all pairs of images,"):
        try:
            scores = tape.forward(model, from_batch(images, training))
            tape.backward(model, gradient_theory.at_scores(scores, model.output_shape[0], labels))
        except NoPromiseError:
            pass
    return [tape.prediction(layer) for layer in model.all_layers()]


@takes(predictions=list_of(Prediction), of=check_text)
def second_moments(predictions, of="output"):
    """One signal's predictions by layer, as :func:`minicnn.lab.records.z_scores` takes them.

    Parameters
    ----------
    predictions : list of Prediction
    of : str
        ``"output"``, ``"delta"`` or ``"gradient"``, which is that of the weight.

    Returns
    -------
    dict of str to Moment
        By the layer's name, of layers that have it and for which there is a promise.

    Raises
    ------
    ArgumentError
        For another signal.
    """
    if of not in ("output", "delta", "gradient"):
        raise unknown("signal", of, ("output", "delta", "gradient"))
    found = {
        p.name: p.gradients.get("weight") if of == "gradient" else getattr(p, of)
        for p in predictions
    }
    return {name: m for name, m in found.items() if m is not None and m != UNKNOWN}


class _Tape:
    """Goes through a model forwards and backwards, and keeps what it has seen of each layer."""

    def __init__(self):
        self._inputs, self._outputs, self._memories = {}, {}, {}
        self._gradients = {}

    def forward(self, layer, signal):
        self._inputs[layer] = signal
        if isinstance(layer, Sequential):
            for inner in layer.layers:
                signal = self.forward(inner, signal)
        elif isinstance(layer, Residual):
            signal = self._sum(layer, signal)
        else:
            signal, self._memories[layer] = forward(layer, signal)
        self._outputs[layer] = signal
        return signal

    def _sum(self, layer, signal):
        parts = [self.forward(inner, signal) for inner in layer.children()]
        if len(parts) == 1:
            parts.append(signal)
        return added(*parts)

    def backward(self, layer, gradient):
        self._gradients[layer] = gradient
        if isinstance(layer, Sequential):
            for inner in reversed(layer.layers):
                gradient = self.backward(inner, gradient)
            return gradient
        if isinstance(layer, Residual):
            parts = [self.backward(inner, gradient) for inner in layer.children()]
            body, around = parts if len(parts) == 2 else (*parts, gradient)
            return back.added(body, around)
        return back.backward(layer, self._memories[layer], gradient, self._inputs[layer])

    def prediction(self, layer):
        output, delta, gradients = UNKNOWN, UNKNOWN, {}
        if layer in self._outputs:
            output = _moment(self._outputs[layer])
        known = layer in self._gradients
        if known:
            delta = _moment(self._gradients[layer])
        if isinstance(layer, Conv2d | Dense):
            gradients["weight"] = gradients["bias"] = UNKNOWN
            if known:
                gradient, signal = self._gradients[layer], self._inputs[layer]
                gradients["weight"] = gradient_theory.weight_gradient(layer, gradient, signal)
                gradients["bias"] = gradient_theory.bias_gradient(gradient)
            if not layer.bias:
                del gradients["bias"]
        return Prediction(layer.name, type(layer).__name__, output, delta, gradients)


def _moment(part):
    return Moment(max(part.field.moment, 0.0), float(np.sqrt(part.variance + ROUNDING**2)))
