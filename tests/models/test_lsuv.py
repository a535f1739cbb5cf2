"""LSUV: unit variance layer by layer, measured from outside, and nothing else changed."""

import numpy as np
import pytest

from minicnn import initializers, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    MaxPool2d,
    NumpyLayer,
    ReLU,
    RMSNorm,
)
from minicnn.models import Sequential, zoo
from minicnn.models.lsuv import lsuv
from minicnn.plan import fuse, trace
from tests import alone


def images(samples=40, shape=(1, 16, 16), seed=0):
    return np.random.default_rng(seed).random((samples, *shape))


def built(name, init="lsuv", shape=(1, 16, 16), fuse=True, **settings):
    model = zoo.build(name, init=init, **settings)
    model.initialize(shape, seed=1, dtype=np.float64, fuse=fuse)
    return model


def weights(model):
    return {p.name: p for p in model.parameters() if p.value.ndim > 1}


def outputs(name, state, x, **settings):
    """Variance of the output of each layer with weights, in an unfused twin, as in training."""
    twin, found = built(name, fuse=False, **settings), {}
    twin.load_state_dict(state)

    def look(layer, which, arrays, compute):
        y = compute()
        if layer.name + ".weight" in weights(twin):
            found[layer.name] = lanes.unpack(y, len(x)).var()
        return y

    with twin.plan().observed(look):
        twin.forward(lanes.pack(x, np.float64), True, len(x))
    return found


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(
    "name", ["lenet5", "plain8", "resnet8", "inception", "densenet7", "unet", "mlp:30x3"]
)
def test_every_output_has_variance_1(name, activation):
    model, x = built(name, activation=activation), images()
    report = lsuv(model, x, tolerance=1e-9)
    found = outputs(name, model.state_dict(), x, activation=activation)
    assert [row.layer for row in report] == list(found)
    assert len(report) == len(weights(model))
    for row in report:
        assert found[row.layer] == pytest.approx(1, abs=1e-8)
        assert row.after == pytest.approx(found[row.layer], rel=1e-9)
        assert row.reached and 1 <= row.passes <= 5


def test_only_the_scale_of_weights_changes():
    model, x = built("resnet8"), images()
    start = model.state_dict()
    report = lsuv(model, x)
    for name, array in model.state_dict().items():
        if name in weights(model):
            ratio = array / start[name]
            np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-12)
        else:
            np.testing.assert_array_equal(array, start[name])
    for row in report:
        scale = model.state_dict()[row.layer + ".weight"].std() / start[row.layer + ".weight"].std()
        assert row.passes == 0 or scale == pytest.approx(row.before**-0.5, rel=1e-6)


def test_what_is_good_already_is_left_alone():
    model, x = built("lenet5"), images()
    lsuv(model, x, tolerance=1e-6)
    start = model.state_dict()
    report = lsuv(model, x, tolerance=1e-6)
    assert [row.passes for row in report] == [0] * 5
    assert all(row.before == row.after for row in report)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, start[name])


def test_it_rescues_a_deep_network_from_xavier():
    model, x = built("plain20", init="xavier"), images()
    assert model.predict(x).std() < 0.01
    lsuv(model, x)
    assert model.predict(x).std() > 0.3


def test_spare_lanes_do_not_count():
    """A bias makes lanes without a sample different from 0."""
    model = Sequential(Dense(50, bias_init="constant:3"), ReLU(), Dense(20))
    model.initialize((8,), dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((3, 8))
    lsuv(model, x, tolerance=1e-6, passes=50)
    assert model.predict(x).var() == pytest.approx(1, abs=1e-6)


def test_an_rng_draws_orthogonal_weights_first():
    model, x = built("mlp:30x2", init="zeros"), images()
    with pytest.raises(ArgumentError, match="all 0"):
        lsuv(model, x)
    report = lsuv(model, x, rng=np.random.default_rng(3))
    assert all(row.reached for row in report)
    for p in weights(model).values():
        gram = p.value @ p.value.T if len(p.value) <= p.value.shape[1] else p.value.T @ p.value
        np.testing.assert_allclose(gram, gram[0, 0] * np.eye(len(gram)), atol=1e-9 * gram[0, 0])
    first = model.state_dict()
    lsuv(model, x, rng=np.random.default_rng(3))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, first[name])


def test_a_bias_that_is_too_large_is_told():
    """The bias alone has variance 4: no scale of the weights can bring the sum to 1."""
    model = Sequential(Dense(2))
    model.initialize((5,), dtype=np.float64)
    model.parameters()[1].value[:] = [-2, 2]
    (row,) = report = lsuv(model, np.random.default_rng(0).standard_normal((30, 5)))
    assert row.passes == 5 and not row.reached and row.after > 4
    assert "0.dense" in str(report) and "not within the tolerance" in str(report)


def test_nothing_drops_out_and_no_statistics_are_kept():
    model = Sequential(Conv2d(4, 3), BatchNorm(), ReLU(), Dropout(0.9), Flatten(), Dense(6))
    model.initialize((1, 6, 6), dtype=np.float64)
    x = images(20, (1, 6, 6))
    assert [row.reached for row in lsuv(model, x, tolerance=1e-9)] == [True, True]
    norm = model.layers[1].state()
    assert not norm["running_mean"].any() and (norm["running_var"] == 1).all()
    packed = lanes.pack(x, np.float64)
    for layer in model.layers:  # batch statistics, nothing dropped: what training sees
        packed = alone.forward(layer, packed, not isinstance(layer, Dropout), len(x))
    assert lanes.unpack(packed, len(x)).var() == pytest.approx(1, abs=1e-8)


def test_the_scales_of_a_norm_are_no_weights():
    model = Sequential(Conv2d(4, 3), LayerNorm(), ReLU(), Flatten(), RMSNorm(), Dense(6))
    model.initialize((1, 6, 6), dtype=np.float64)
    rows = lsuv(model, images(20, (1, 6, 6)), rng=np.random.default_rng(0))
    assert [row.layer for row in rows] == ["0.conv2d", "5.dense"]
    for n in (1, 4):
        assert (model.layers[n].own_parameters()["weight"].value == 1).all()


def test_the_model_still_works_as_before():
    """Fused again, and with its own buffers: the same scores as of a twin with its weights."""
    model, x = built("lenet5"), images()
    model.predict(x)
    lsuv(model, x)
    twin = built("lenet5", fuse=False)
    twin.load_state_dict(model.state_dict())
    np.testing.assert_allclose(model.predict(x), twin.predict(x), rtol=1e-12, atol=1e-13)
    assert model.fused and fuse(trace(model))


def nan_weight(model):
    list(weights(model).values())[1].value[0, 0] = np.nan


def dead(model):
    model.parameters()[1].value[:] = -100


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nan_weight, r"output of 4.dense has a variance that is not finite: some of its weights"),
        (dead, r"output of 4.dense has a variance that is 0: its input is 0 for all images"),
        (lambda m: m.parameters()[2].value.fill(0), r"4.dense .* its weights are all 0"),
        (lambda m: m.parameters()[0].value.fill(1e200), r"0.conv2d .* the numbers overflow"),
    ],
)
def test_a_layer_that_cannot_be_scaled(spoil, message):
    model = Sequential(Conv2d(4, 3), ReLU(), MaxPool2d(2), Flatten(), Dense(6))
    model.initialize((1, 6, 6), dtype=np.float64)
    spoil(model)
    start = model.state_dict()
    with pytest.raises(ArgumentError, match=message):
        lsuv(model, images(5, (1, 6, 6)))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, start[name])


def test_images_that_cannot_be_scaled():
    model = Sequential(Flatten(), Dense(6, init="constant:0.1"))
    model.initialize((1, 6, 6), dtype=np.float64)
    x = images(5, (1, 6, 6))
    with pytest.raises(ArgumentError, match="all its outputs are the same number"):
        lsuv(model, np.ones_like(x))
    x[2, 0, 1, 1] = np.inf
    with pytest.raises(ArgumentError, match="its input is not finite; look at the images"):
        lsuv(model, x)


class Hidden(NumpyLayer):
    """Has a layer inside that nobody can reach."""

    def __init__(self):
        super().__init__()
        self.inside = Dense(3)

    def children(self):
        return [self.inside]

    def setup(self, rng):
        return self.inside.build(self.input_shape, rng, self.dtype)

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda: Sequential(Dense(3)), {"tolerance": 0}, "tolerance must be a finite number above"),
        (lambda: Sequential(Dense(3)), {"tolerance": np.nan}, "tolerance must be"),
        (lambda: Sequential(Dense(3)), {"passes": 0}, "passes must be an integer of at least 1"),
        (lambda: Sequential(ReLU()), {}, "no weights to scale"),
        (lambda: Sequential(Hidden()), {}, "0.hidden has layers inside"),
        (lambda: Sequential(Dense(3)), {"images": np.ones((0, 4))}, "got none"),
        (lambda: Sequential(Dense(3)), {"images": np.ones((2, 5))}, r"expected an array of shape"),
        (lambda: Sequential(Dense(3)), {"images": np.ones((2, 4), int)}, "floating-point images"),
    ],
)
def test_what_cannot_be(make, settings, message):
    model = make()
    model.initialize((4,), dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((5, 4))
    with pytest.raises(ArgumentError, match=message):
        lsuv(model, **{"images": x, **settings})


def test_a_model_that_is_not_initialized():
    with pytest.raises(ArgumentError, match="no weights yet"):
        lsuv(Sequential(Dense(3)), np.ones((2, 4)))


def test_the_initializer_of_that_name():
    init = initializers.from_string("lsuv")
    assert init.data_dependent == "lsuv" and str(init) == "lsuv"
    w = init((20, 30), initializers.Fans(30, 20), np.random.default_rng(0), np.float64)
    np.testing.assert_allclose(w @ w.T, np.eye(20), atol=1e-12)
    assert init.variance(None, (20, 30)) == 1 / 30
    assert not hasattr(initializers.from_string("orthogonal"), "data_dependent")
    with pytest.raises(ArgumentError, match="lsuv takes no settings"):
        initializers.from_string("lsuv:2")
