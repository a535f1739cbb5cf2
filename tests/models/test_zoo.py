"""The zoo: every name builds, with the layers and the number of weights it is known for."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError
from minicnn.initializers import from_string
from minicnn.layers import BatchNorm, Conv2d, Dense, PReLU, Tanh
from minicnn.models import Residual, zoo
from tests import alone

GREY, COLOUR = (1, 28, 28), (3, 32, 32)


def built(name, shape=GREY, **settings):
    model = zoo.build(name, **settings)
    model.initialize(shape)
    return model


def weights(model):
    return sum(p.size for p in model.parameters())


def of_type(model, kind):
    return [layer for layer in model.all_layers() if isinstance(layer, kind)]


def conv(c_in, c_out, k=3):
    return c_out * (c_in * k * k + 1)


def dense(*widths):
    return sum(m * (n + 1) for n, m in zip(widths, widths[1:]))


def plain(depth, c_in, pixels):
    return conv(c_in, 16) + (depth - 4) * conv(16, 16) + dense(16 * pixels, 64, 64, 10)


def resnet(depth, c_in=1):
    """He et al. 2015 §4.2, without biases, and projections where the shape changes."""
    blocks, count = (depth - 2) // 6, 9 * c_in * 16 + 2 * 16
    for before, channels in ((16, 16), (16, 32), (32, 64)):
        count += 9 * before * channels + (2 * blocks - 1) * 9 * channels**2
        count += 2 * blocks * 2 * channels + (before != channels) * before * channels
    return count + dense(64, 10)


def quick_resnet(n, c_in):
    """Four convolutions in a row and two blocks of two, each with gamma and beta in place of b."""
    pairs = [(c_in, n), (n, 2 * n), (2 * n, 4 * n), (4 * n, 8 * n)]
    pairs += 2 * [(2 * n, 2 * n)] + 2 * [(8 * n, 8 * n)]
    return sum(9 * a * b + 2 * b for a, b in pairs) + dense(8 * n, 10)


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("lenet5", GREY, 61_706),
        ("lenet5", COLOUR, conv(3, 6, 5) + conv(6, 16, 5) + dense(16 * 36, 120, 84, 10)),
        ("convnet", GREY, conv(1, 32) + conv(32, 64) + dense(64 * 25, 10)),
        ("convnet", COLOUR, conv(3, 32) + conv(32, 64) + dense(64 * 36, 10)),
        ("mnist-example", GREY, 1_199_882),
        ("vgg-small", COLOUR,
         conv(3, 32) + conv(32, 32) + conv(32, 64) + conv(64, 64) + conv(64, 128)
         + conv(128, 128) + dense(128 * 16, 10)),
        ("plain4", GREY, conv(1, 16) + dense(16 * 14 * 14, 64, 64, 10)),
        ("plain30", GREY, plain(30, 1, 49)),
        ("plain30", COLOUR, plain(30, 3, 64)),
        ("resnet8", GREY, resnet(8)),
        ("resnet20", COLOUR, resnet(20, c_in=3)),
        ("quick-resnet8", COLOUR, quick_resnet(8, c_in=3)),
        ("mlp", GREY, dense(784, 10)),
        ("mlp:300,100", GREY, dense(784, 300, 100, 10)),
        ("mlp:400x5", GREY, dense(784, *[400] * 5, 10)),
        ("mlp:30x2,20", COLOUR, dense(3072, 30, 30, 20, 10)),
    ],
)  # fmt: skip
def test_number_of_parameters(name, shape, count):
    model = built(name, shape)
    assert weights(model) == count
    assert model.output_shape == (10,)


def test_resnet20_has_the_papers_quarter_of_a_million():
    """0.27 M by table 6 of the paper; the projections add 2,560."""
    assert round(weights(built("resnet20", COLOUR)) / 1e6, 2) == 0.27


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("name", zoo.names())
def test_every_name_builds_for_both_image_sizes_and_predicts(name, shape):
    depth = "7" if name == "densenetN" else "8"
    name = name.replace("N", depth).replace("WIDTHS", "12x2")
    model = built(name, shape, classes=7)
    scores = model.predict(np.random.default_rng(0).normal(size=(3, *shape)))
    assert scores.shape == (3, 7) and np.isfinite(scores).all() and len(np.unique(scores)) > 7


def test_help_has_a_line_for_every_name():
    lines = zoo.help().splitlines()
    assert [line.split()[0] for line in lines] == zoo.names()
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("depth", [4, 5, 22, 30])
def test_plain_has_so_many_weight_layers_the_first_two_of_stride_2(depth):
    model = built(f"plain{depth}")
    convs = of_type(model, Conv2d)
    assert len(convs) == depth - 3 and len(of_type(model, Dense)) == 3
    assert {(c.out_channels, c.kernel_size, c.padding) for c in convs} == {(16, (3, 3), (1, 1))}
    assert [c.stride[0] for c in convs] == [2, 2, *[1] * depth][: len(convs)]
    assert convs[-1].output_shape == ((16, 7, 7) if depth > 4 else (16, 14, 14))


@pytest.mark.parametrize("depth", [8, 20])
def test_resnet_has_three_stages_and_two_projections(depth):
    model = built(f"resnet{depth}", COLOUR)
    blocks, convs = of_type(model, Residual), of_type(model, Conv2d)
    each = (depth - 2) // 6
    shapes = [b.output_shape for b in blocks]
    assert shapes == [s for s in ((16, 32, 32), (32, 16, 16), (64, 8, 8)) for _ in range(each)]
    projections = [c for c in convs if c.kernel_size == (1, 1)]
    assert len(projections) == 2 and len(convs) - 2 + len(of_type(model, Dense)) == depth
    assert len(of_type(model, BatchNorm)) == depth - 1 and not any(c.bias for c in convs)


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "plain5", "mlp:9x2"])
def test_activation_and_initializer_are_those_given(name):
    model = built(name, activation="prelu:channel", init="xavier:uniform")
    assert of_type(model, PReLU) and all(layer.per_channel for layer in of_type(model, PReLU))
    assert len({id(layer) for layer in model.all_layers()}) == len(model.all_layers())
    for layer in of_type(model, (Conv2d, Dense)):
        assert layer.init == from_string("xavier:uniform")
    same = built(name, activation="tanh", init=from_string("orthogonal"))
    assert of_type(same, Tanh) and not of_type(same, PReLU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lenet", "unknown model 'lenet'. Did you mean 'lenet5'"),
        ("convnets", "Did you mean 'convnet'"),
        ("swin", "unknown model 'swin'. Known: alexnet, convnet, convnext-tiny, densenet121, "),
        ("", "unknown model ''"),
        ("plane30", "Did you mean 'plain"),
        ("plain", "model 'plain' needs a number, as in plain20"),
        ("resnet", "model 'resnet' needs a number, as in resnet20"),
        ("plain3", "plain3: needs at least 4 layers"),
        ("resnet2", "resnet2: the depth must be 6 n \\+ 2"),
        ("vgg", "Did you mean 'vgg1"),
        ("resnet19", "resnet19: the depth must be .* resnet20"),
        ("mlp:0", "model 'mlp:0': '0' is no width; write mlp:300,100 or mlp:400x5"),
        ("mlp:300,", "'' is no width"),
        ("mlp:300x", "'300x' is no width"),
        ("mlp:" + "9" * 5000, "is no width"),
        ("mlp:3.5", "'3.5' is no width"),
        ("mlp:8x999999999999", "is too deep: at most 10000 layers"),
        ("mlp:8x6000,8x6000", "is too deep"),
        ("plain10001", "is too deep"),
    ],
)
def test_names_that_are_not_understood(name, message):
    with pytest.raises(ArgumentError, match=message):
        zoo.build(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 0}, "classes must be an integer of at least 1, got 0"),
        ({"activation": "rely"}, "unknown activation 'rely'. Did you mean 'relu'"),
        ({"init": "msrb"}, "unknown initializer 'msrb'. Did you mean 'msra'"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ArgumentError, match=message):
        zoo.build("lenet5", **settings)


def test_an_image_that_is_too_small_names_the_layer():
    with pytest.raises(ArgumentError, match=r"3.conv2d: the output would be empty: .*\(6, 4, 4\)"):
        built("lenet5", (1, 8, 8))


@pytest.mark.parametrize("init", ["fixup", "rezero"])
def test_a_resnet_without_normalization_starts_its_blocks_as_the_identity(init):
    model = zoo.build("resnet14", init=init)
    model.initialize((3, 16, 16), fuse=False)
    kinds = [type(layer).__name__ for layer in model.all_layers()]
    assert "BatchNorm" not in kinds and kinds.count("Scale") == 6
    assert ("Shift" in kinds) == (init == "fixup")
    x = lanes.pack(np.random.default_rng(0).normal(size=(16, 3, 16, 16)).astype(np.float32))
    same = 0
    for layer in model.layers:
        y = alone.forward(layer, x, True).copy()
        if isinstance(layer, Residual) and layer.input_shape == layer.output_shape:
            np.testing.assert_array_equal(y, x)
            same += 1
        x = y
    assert same == 4  # the first blocks of two stages change the size


@pytest.mark.parametrize("make", [zoo.plain, zoo.resnet])
@pytest.mark.parametrize("depth", [None, 20.0, 10**18])
def test_a_depth_is_a_number_of_layers_that_a_model_can_have(make, depth):
    with pytest.raises(ArgumentError, match="depth must be an integer of at"):
        make(zoo.Parts(), 10, depth)
