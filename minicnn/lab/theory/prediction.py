"""The second moments that an initialization promises: activations, gradients, weight gradients.

Weights count by the mean and variance that their initializers promise, never by their values;
images and labels count as they are. What travels is a :class:`minicnn.lab.theory.maps.Field`, with
a prediction interval by :mod:`minicnn.lab.theory.finite_width`.

Exact, in expectation over weights of mean 0
    Second moments behind the first layer of weights, at any padding, stride, dilation and groups,
    for each sample and position; behind every further one, given those of its input, and if these
    are branches side by side, that of each. Dropout; upsampling forwards.
    dE/d(scores) given Gaussian scores, but for 256 draws.

Exact for many units, asymptotic in 1 / width
    Sums of branches, which count as independent but for their means. Activations, whose inputs
    count as Gaussian, and with them average pooling, which hangs on the products of positions: for
    all pairs of samples where the cost that :mod:`minicnn.lab.theory.pooled_pairs` states is below
    its BUDGET (within 1e-6 of neural-tangents in all 93 layers of twelve networks, see
    ``tests/lab/theory/neural_tangents.py``; 1e-11 with ReLU), else for each sample alone.
    Gradients, which count as independent of what they are multiplied by (what hangs on the same
    weights is added to first order); batch normalization's division; all intervals.

Approximate, which the intervals allow for
    Max pooling, by one fixed simulation; average pooling behind it or behind batch normalization
    (off by up to 20 % for samples as unlike as a constant image and noise), and of activations
    beyond the BUDGET even for each sample alone (10 %); products of two *samples* behind max
    pooling, and behind average pooling beyond the BUDGET, where they are scaled (40 %); an
    activation of a mean of another's numbers (37 % for tanh of means of ReLU). On the way back,
    overlapping max pooling, whose windows count as independent (deltas of inception below it are up
    to 2 times the predicted ones); how overlapping average pooling shares gradients among samples;
    products of two positions in the gradients of weights, where the class of a sample is lost (the
    first layer of convnet has 2.5 times the predicted dW); batch normalization's gradients, in the
    lowest layers of resnet8 predicted up to 2 times too large for deltas and up to 6 times for
    weights, in the first of densenet7 2 times too small for deltas; the biases' gradients in deep
    narrow networks. Means over channels only are kept. An activation or a max pooling right on the
    images takes them for Gaussian.

Nothing is promised, NaN given, and the reason said in `Prediction.reason`: from a layer on whose
weights have a mean (constant, identity) or whose kind is not known, as softmax; from a sum on of
two branches that hang on the same numbers, as ``x + tanh(x)``; from a convolution in groups on
whose channels come from several branches; and for all gradients then. Gradients of batch
normalization's and PReLU's own parameters are not predicted.

Measured on MNIST: z-scores by `Moment.z`, 8 to 64 images, three seeds of each of 170 networks
(lenet5, convnet, plain6, plain10, plain30, resnet8, quick, vgg-small and two of dense layers; the
ten activations that there were then, without celu, gelu-tanh, silu, mish, softplus, relu6,
hardswish and hardsigmoid, each with one or two of xavier, msra, lecun, normal:0.05 and orthogonal),
with seeds and images other than those on which the intervals were adjusted. Of 21,930 statistics
99.91 % were within ±4, their root mean square was 1.03; the worst activation had 99.7 %, the worst
initializer 99.8 %, the worst network 99.4 %. A later count over ten networks with these ten
activations and five initializers each, three draws of 8 images, which
``python -m experiments.theory_evaluation`` repeats: 99.79 % of 61,650, root mean square 1.18.
Statistics of one network vary together, so that a network that misses, misses often.

It breaks where depth over width is about 1 for ReLU: of `mlp:5x10` with msra 75 % of the scores are
within ±4, of `mlp:5x3` 97 %, `mlp:10x10` 96 %, `mlp:20x10` 99.2 %, `mlp:50x10` and `mlp:50x20`
100 % (20 seeds each). With tanh `mlp:5x10` still has 100 %. The intervals of narrow and deep
networks are as wide as the prediction itself (an error of 1 at plain10's scores), so that they say
little of one draw; and the plain ratio ``(measured - value) / (error value)`` is not normal there,
22 where `Moment.z` is below 4.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from minicnn import allocation
from minicnn.checks import check_flag, check_numbers, check_text, list_of, takes
from minicnn.errors import ArgumentError, unknown
from minicnn.lab.theory import backward as back
from minicnn.lab.theory import weight_gradients
from minicnn.lab.theory.finite_width import UNKNOWN, Moment
from minicnn.lab.theory.forward import SUMS, forward
from minicnn.lab.theory.joins import handed_back, joined, merged, widths
from minicnn.lab.theory.signal import NoPromiseError, from_batch
from minicnn.losses import check_labels
from minicnn.models.sequential import NOT_INITIALIZED, Sequential, initialized
from minicnn.plan import trace

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
    reason : str
        Why nothing is promised of the output, or else of the gradients, in a sentence; else empty.
    """

    name: str
    kind: str
    output: Moment = UNKNOWN
    delta: Moment = UNKNOWN
    gradients: dict[str, Moment] = field(default_factory=dict)
    reason: str = ""


@takes(model=initialized, images=check_numbers, training=check_flag)
def predict(
    model: Sequential, images: np.ndarray, labels: np.ndarray | None = None, training: bool = True
) -> list[Prediction]:
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
        For a model that is not initialized, images or labels that do not fit, or scores that are
        no vector.
    """
    if model.output_shape is None:
        raise ArgumentError(NOT_INITIALIZED)
    images = np.asarray(images)
    if images.shape[1:] != model.input_shape or not len(images):
        raise ArgumentError(
            f"the theory needs images of shape (N, {', '.join(map(str, model.input_shape))}), at"
            f" least one, got {images.shape}."
        )
    if not np.isfinite(images).all():
        raise ArgumentError("the theory needs finite images, got some with NaN or infinity.")
    if len(model.output_shape) != 1:
        raise ArgumentError(f"the theory needs a vector of scores, got {model.output_shape}.")
    if labels is not None:
        labels = check_labels(labels, model.output_shape[0])
        if len(labels) != len(images):
            raise ArgumentError(f"{len(images)} images came with {len(labels)} labels.")
    graph, pairs = trace(model), (*images.shape[2:], len(images), len(images))
    tape = _Tape(graph)
    with allocation.asked(
        8 * math.prod(pairs), f"float64 of shape {pairs}, of all pairs of images,"
    ):
        tape.forward(from_batch(images, training))
        tape.backward(labels)
    return [tape.prediction(graph.of(layer)) for layer in model.all_layers()]


@takes(predictions=list_of(Prediction), of=check_text)
def second_moments(predictions: Iterable[Prediction], of: str = "output") -> dict[str, Moment]:
    """One signal's predictions by layer, as `minicnn.lab.measure.layer_stats.z_scores` takes them.

    Parameters
    ----------
    predictions : list of Prediction
    of : str
        ``"output"``, ``"delta"`` or ``"gradient"``, which is that of the weight; an ArgumentError
        for another.

    Returns
    -------
    dict of str to Moment
        By the layer's name, of layers that have it and for which there is a promise.
    """
    if of not in ("output", "delta", "gradient"):
        raise unknown("signal", of, ("output", "delta", "gradient"))
    found = {
        p.name: p.gradients.get("weight") if of == "gradient" else getattr(p, of)
        for p in predictions
    }
    return {name: m for name, m in found.items() if m is not None and m != UNKNOWN}


class _Tape:
    """What has gone through the nodes of a graph: parts of signals and of gradients, or a reason.

    A reason is a sentence: why nothing is promised here, as nothing was of what came in.
    """

    def __init__(self, graph):
        self._graph, self._memories, self._signals, self._gradients = graph, {}, {}, {}

    def forward(self, start):
        """Follow a signal; the parts, or the reason, of every node."""
        self._signals = self._graph.forward([start], self._forward)
        return self._signals

    def backward(self, labels):
        """Follow the gradient of the loss back from the scores."""
        scores = self._signals[self._graph.output]
        if not isinstance(scores, str):
            scores = merged(scores, widths(scores))
            classes = self._graph.output.shape[0]
            scores = [weight_gradients.at_scores(scores, classes, labels)]
        self._gradients = self._graph.backward(scores, self._backward, _added)

    def _forward(self, node, inputs):
        unknown = [reason for reason in inputs if isinstance(reason, str)]
        if unknown:
            return unknown[0]
        try:
            if len(inputs) > 1:
                return joined(node, inputs)
            parts = inputs[0]
            if isinstance(node.layer, SUMS):
                parts = [self._summed(node.layer, parts)]
            through = [forward(node.layer, part) for part in parts]
        except NoPromiseError as error:
            return str(error)
        signals, self._memories[node] = map(list, zip(*through))
        return signals

    def _summed(self, layer, parts):
        if len(parts) > 1 and getattr(layer, "groups", 1) > 1:
            raise NoPromiseError(
                f"{layer.name}: its groups see channels of different branches, so that its outputs"
                " are not alike."
            )
        return merged(parts, widths(parts))

    def _backward(self, node, gradients):
        inputs = [self._signals[before] for before in node.inputs]
        if isinstance(gradients, str):
            return [gradients] * len(inputs)
        if len(inputs) > 1:
            return handed_back(node, inputs, gradients, self._signals[node])
        memories = self._memories[node]
        if len(memories) < len(inputs[0]):  # a sum over all parts
            memories, gradients = (one * len(inputs[0]) for one in (memories, gradients))
        steps = zip(memories, gradients, inputs[0])
        try:
            return [[back.backward(node.layer, *step) for step in steps]]
        except NoPromiseError as error:
            return [str(error)]

    def prediction(self, node):
        """What is known of a node."""
        layer, signals = node.layer, self._signals[node]
        gradients = self._gradients.get(node, "")
        reason = next((one for one in (signals, gradients) if isinstance(one, str)), "")
        output = delta = UNKNOWN
        named = layer.own_parameters() if isinstance(layer, SUMS) else ()
        of = {name: UNKNOWN for name in ("weight", "bias") if name in named}
        if not isinstance(signals, str):
            output = _moment(merged(signals, widths(signals)))
        if not isinstance(gradients, str):
            delta = _moment(merged(gradients, widths(signals)))
            if of:
                inputs = self._signals[node.inputs[0]]
                source = merged(inputs, widths(inputs))
                of["weight"] = weight_gradients.weight_gradient(layer, gradients[0], source)
            if "bias" in of:
                of["bias"] = weight_gradients.bias_gradient(gradients[0])
        return Prediction(layer.name, type(layer).__name__, output, delta, of, reason)


def _added(first, second):
    unknown = [reason for reason in (first, second) if isinstance(reason, str)]
    return unknown[0] if unknown else [back.added(*parts) for parts in zip(first, second)]


def _moment(part):
    return Moment(max(part.field.moment, 0.0), float(np.sqrt(part.variance + ROUNDING**2)))
