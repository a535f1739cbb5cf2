"""Models of one layer: what its kernels could not read is refused in a sentence."""

import inspect

import numpy as np
import pytest

from minicnn import Sequential, lanes, layers
from minicnn.errors import ArgumentError
from minicnn.layers import Dense, Layer, MaxPool2d
from minicnn.layers.scalars import Scale, Shift
from tests.layers.cases import CASES, Case

EVERY = {**CASES, "gate": Case(Scale, (3, 2)), "shift": Case(Shift, (3, 2))}
SAMPLES = 20
every_layer = pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)

WRONG = {
    "ordinary": lambda x: lanes.unpack(x, SAMPLES),
    "float64": lambda x: x.astype(np.float64),
    "integers": lambda x: x.astype(np.int32),
    "big-endian": lambda x: x.astype(">f4"),
    "one axis less": lambda x: x[0],
    "one axis more": lambda x: x[None],
    "fewer lanes": lambda x: np.ascontiguousarray(x[..., :8]),
    "larger": lambda x: np.concatenate([x, x], axis=1),
    "no group": lambda x: x[:0],
    "not contiguous": lambda x: np.concatenate([x, x])[::2],
    "Fortran's order": np.asfortranarray,
    "masked": np.ma.masked_array,
    "a list": lambda x: x.tolist(),
    "a number": lambda x: np.float32(3),
    "None": lambda x: None,
}  # fmt: skip


def built(case):
    model = Sequential(case.make())
    model.initialize(case.shape, 0, input_gradient=True)
    return model


def packed(shape):
    return lanes.pack(np.random.default_rng(1).standard_normal((SAMPLES, *shape)), np.float32)


def test_every_layer_is_tried():
    tried = {type(case.make()) for case in EVERY.values()}
    public = [cls for _, cls in inspect.getmembers(layers, inspect.isclass)]
    bases = {Layer, layers.Activation, layers.NumpyLayer}
    assert {cls for cls in public if issubclass(cls, Layer)} - bases <= tried


@every_layer
def test_a_layer_alone_works_on_what_it_is_for(case):
    layer = built(case)
    y = layer.forward(packed(case.shape), True)
    assert y.shape == (2, *layer.output_shape, 16)
    assert layer.backward(y.copy()).shape == (2, *case.shape, 16)


@every_layer
@pytest.mark.parametrize("wrong", WRONG)
def test_what_kernels_could_not_read_is_refused(case, wrong):
    layer = built(case)
    expected = r"expected samples in lanes, float32 of shape \(G, .*16\).*got .*lanes.pack"
    x = packed(case.shape)
    with pytest.raises(ArgumentError, match=expected):
        layer.forward(WRONG[wrong](x))
    dy = layer.forward(x, True).copy()
    with pytest.raises(ArgumentError, match=expected):
        layer.backward(WRONG[wrong](dy))


@every_layer
def test_backward_needs_a_forward_pass_of_as_many_samples(case):
    layer = built(case)
    dy = packed(layer.output_shape)
    with pytest.raises(ArgumentError, match="2 groups .* none to go back through: call forward"):
        layer.backward(dy)
    layer.forward(packed(case.shape)[:1], True)
    with pytest.raises(ArgumentError, match="2 groups .* 1 groups: call forward"):
        layer.backward(dy)
    layer.initialize(case.shape, 0, input_gradient=True)
    with pytest.raises(ArgumentError, match="none to go back through"):
        layer.backward(dy[:1])


@every_layer
def test_a_layer_without_shapes_says_what_is_missing(case):
    layer, x = Sequential(case.make()), packed(case.shape)
    for call in (layer.forward, layer.backward):
        with pytest.raises(ArgumentError, match="initialize"):
            call(x)


@pytest.mark.parametrize("rng", [None, 0, np.random.RandomState(0), "seed"])
def test_weights_are_drawn_from_a_generator(rng):
    with pytest.raises(ArgumentError, match="rng must be a numpy.random.Generator"):
        Dense(3).build((4,), rng)


def test_more_samples_than_lanes_are_refused():
    layer = built(EVERY["batch norm of images"])
    for samples in (33, -1, 1.5, True):
        with pytest.raises(ArgumentError, match="samples must be"):
            layer.forward(packed((3, 2, 2)), True, samples)


def test_a_layer_of_others_that_only_looks_forward_goes_back_by_what_it_inherits():
    class Doubled(layers.AvgPool2d):
        def forward(self, x, y, ctx):
            y[...] = 2 * x[:, :, ::2, ::2]

    model = Sequential(Doubled(2), MaxPool2d(1))
    model.initialize((1, 4, 4), input_gradient=True)
    y = model.forward(packed((1, 4, 4)))
    np.testing.assert_array_equal(model.backward(np.ones_like(y)), 0.25)
