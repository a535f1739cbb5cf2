"""The networks of ImageNet: the published number of weights, both forms, and their gradients."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.gradcheck import check_function
from minicnn.layers import GELU, Conv2d, Dense, Dropout, LayerNorm2d, ReLU, ReLU6
from minicnn.layers.module import Module
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Residual, Sequential, architectures, sequential, zoo
from minicnn.models.architectures import Parts
from minicnn.training.step import TrainingStep

LARGE, COLOUR, GREY = (3, 224, 224), (3, 32, 32), (1, 28, 28)


@pytest.fixture
def shapes_only(monkeypatch):
    """Parameters of one number that looks like all: 138 million would take a gigabyte."""

    def add_parameter(self, name, shape, initializer, fans, rng, decay=True):
        value = np.broadcast_to(np.zeros(1, self.dtype), shape)
        self._parameters[name] = SimpleNamespace(size=math.prod(shape), value=value)
        return self._parameters[name]

    monkeypatch.setattr(Module, "add_parameter", add_parameter)
    monkeypatch.setattr(sequential, "lay_side_by_side", lambda parameters: None)


def weights(name, shape, classes):
    model = zoo.build(name, classes)
    assert model.initialize(shape) == (classes,)
    return sum(parameter.size for parameter in model.parameters())


#: Of 1000 classes at 224×224, as torchvision publishes them; and of 10 classes at 32×32, of VGG
#: and ResNet those of kuangliu/pytorch-cifar.
PUBLISHED = {
    "alexnet": (61_100_840, 2_471_242),
    "vgg11": (132_863_336, 9_225_610),
    "vgg11-bn": (132_868_840, 9_231_114),
    "vgg16": (138_357_544, 14_719_818),
    "vgg16-bn": (138_365_992, 14_728_266),
    "resnet18": (11_689_512, 11_173_962),
    "resnet34": (21_797_672, 21_282_122),
    "mobilenetv2": (3_504_872, 2_236_682),
    "densenet121": (7_978_856, 6_956_426),
    "googlenet": (6_624_904, 5_602_474),
    "convnext-tiny": (28_589_128, 27_824_362),
}


@pytest.mark.parametrize("name", zoo.SIZED)
def test_number_of_parameters(name, shapes_only):
    large, small = PUBLISHED[name]
    assert weights(name, LARGE, 1000) == large
    assert weights(name, COLOUR, 10) == small


@pytest.mark.parametrize("name", zoo.SIZED)
def test_the_form_is_that_of_the_images_size(name, shapes_only):
    model, forms = zoo.build(name), {}
    for side in (28, 64, 65, 224, 32):  # 65 is the smallest that the large form must take
        assert model.initialize((3, side, side)) == (10,)
        forms[side] = [(layer.describe(), layer.name) for layer in model.all_layers()]
    assert forms[28] == forms[64] == forms[32] != forms[65] == forms[224]


def test_layers_that_were_changed_stay(shapes_only):
    model = zoo.build("resnet18")
    model.layers[-1] = last = Dense(3)
    assert model.initialize(COLOUR) == (3,)
    assert model.layers[-1] is last and model.layers[0].kernel_size == (7, 7)


@pytest.mark.parametrize("shape", [GREY, (1, 40, 64)])
def test_vggs_last_window_loses_nothing(shape, shapes_only):
    """28×28 are 1×1 by then."""
    model = zoo.build("vgg11")
    model.initialize(shape)
    assert model.layers[-3].output_shape == (512, *(-(-(n // 16) // 2) for n in shape[1:]))


def test_mobilenetv2_looks_around_channel_by_channel(shapes_only):
    model = zoo.build("mobilenetv2", algorithm="winograd")  # where it can be used
    model.initialize(LARGE)
    convs = [layer for layer in model.all_layers() if isinstance(layer, Conv2d)]
    wide = [conv for conv in convs if conv.groups > 1]
    assert len(convs) == 52 and len(wide) == 17
    assert all(conv.groups == conv.out_channels == conv.input_shape[0] for conv in wide)
    assert sum(isinstance(layer, Residual) for layer in model.all_layers()) == 10
    assert convs[-1].output_shape == (1280, 7, 7)


def test_convnexts_blocks_are_the_papers(shapes_only):
    """Table 9 and figure 4: the depthwise 7×7, one normalization, one activation, two linear."""
    model = zoo.build("convnext-tiny", 1000)
    model.initialize(LARGE)
    blocks = [layer for layer in model.all_layers() if isinstance(layer, Residual)]
    shapes = ((96, 56, 56), (192, 28, 28), (384, 14, 14), (768, 7, 7))
    expected = [shape for shape, depth in zip(shapes, (3, 3, 9, 3)) for _ in range(depth)]
    assert [block.output_shape for block in blocks] == expected
    for block in blocks:
        wide, norm, widen, active, narrow, scale = block.body.layers
        channels = block.output_shape[0]
        assert (wide.kernel_size, wide.groups, wide.padding) == ((7, 7), channels, (3, 3))
        assert isinstance(norm, LayerNorm2d) and norm.eps == 1e-6 and isinstance(active, GELU)
        assert (widen.out_channels, narrow.out_channels) == (4 * channels, channels)
        assert widen.kernel_size == narrow.kernel_size == (1, 1) and scale.init == 1e-6
    assert all(conv.bias for conv in model.all_layers() if isinstance(conv, Conv2d))
    other = zoo.build("convnext-tiny", activation="silu")
    assert not any(isinstance(layer, GELU) for layer in other.all_layers())


def unet_weights(channels, classes):
    """Of the paper's figure 1: convolutions without bias, with gamma and beta in its place."""
    widths = (64, 128, 256, 512, 1024)
    down = list(zip((channels, *widths), widths))
    up = [(2 * width, width) for width in widths[:-1]]  # behind the concatenation
    pairs = sum(9 * (a * b + b * b) + 2 * 2 * b for a, b in down + up)
    transposed = sum(4 * 2 * width * width + width for width in widths[:-1])
    return pairs + transposed + classes * (64 + 1)


def test_the_large_unet_has_the_papers_layers(shapes_only):
    assert weights("unet-large", (3, 64, 64), 2) == unet_weights(3, 2)
    assert weights("unet-large", GREY, 10) == unet_weights(1, 10)
    model = zoo.build("unet-large")
    model.initialize((1, 32, 48))
    convs = [layer for layer in model.all_layers() if isinstance(layer, Conv2d)]
    widths = [64, 128, 256, 512, 1024, 512, 256, 128, 64]
    assert [conv.out_channels for conv in convs] == [n for width in widths for n in (width, width)]
    assert convs[8].output_shape == (1024, 2, 3) and convs[-1].output_shape == (64, 32, 48)


@pytest.mark.parametrize("side", [28, 31, 32])
def test_the_large_unet_comes_back_to_any_size(side, shapes_only):
    """Built anew, for other images, the transposed convolutions forget what was left out."""
    model = zoo.build("unet-large")
    for size in (side, 47, 16):
        model.initialize((1, size, side))
        assert model.layers[-3].output_shape == (64, size, side)
    with pytest.raises(ArgumentError, match="the output would be empty"):
        model.initialize((1, 15, side))
    with pytest.raises(ArgumentError, match="needs images"):
        model.initialize((9,))


def test_mobilenetv2_has_relu6_unless_another_activation_is_asked_for():
    for activation, kind, count in (("relu", ReLU6, 35), ("relu6", ReLU6, 35), ("tanh", ReLU6, 0)):
        layers = zoo.build("mobilenetv2", activation=activation).all_layers()
        assert sum(isinstance(layer, kind) for layer in layers) == count
        assert not any(type(layer) is ReLU for layer in layers)


@pytest.mark.parametrize("init", ["fixup", "rezero"])
def test_resnet18_without_normalization(init, shapes_only):
    model = zoo.build("resnet18", init=init)
    for shape, kernel_size in ((LARGE, (7, 7)), (COLOUR, (3, 3))):
        assert model.initialize(shape) == (10,)
        kinds = [type(layer).__name__ for layer in model.all_layers()]
        assert "BatchNorm" not in kinds and kinds.count("Scale") == 8
        assert model.layers[0].kernel_size == kernel_size


class Narrow(Parts):
    """An eighth of the channels, so that a gradient check takes seconds."""

    def conv(self, channels, kernel_size=3, **settings):
        if "groups" in settings:
            settings["groups"] //= 8
        return super().conv(channels // 8, kernel_size, **settings)

    def dense(self, features):
        return super().dense(features // 64)


RECIPES = (
    "alexnet", "vgg11", "vgg16_bn", "resnet18", "mobilenetv2", "densenet121", "googlenet",
    "convnext_tiny",
)  # fmt: skip
#: A form and the side of its images; U-Net has one form, and an odd side at three of four scales.
FORMS = [(recipe, *form) for recipe in RECIPES for form in ((28, True), (65, False))]


@pytest.mark.parametrize(("recipe", "side", "small"), [*FORMS, ("unet_large", 46, None)])
def test_gradients(recipe, side, small):
    """Along random directions of the input and all parameters together.

    The activation is smooth, and the step short: a maximum that changes place within it would
    spoil the quotient.
    """
    form = () if small is None else (small,)
    layers = getattr(architectures, recipe)(Narrow("tanh", "xavier"), 3, *form)
    model, rng, samples = Sequential(*layers), np.random.default_rng(0), 3
    for layer in model.all_layers():
        if isinstance(layer, Dropout):
            layer.p = 0.0  # it would draw anew in every pass
    shape = 2, side, side
    model.initialize(shape, 0, np.float64, input_gradient=True)
    parameters = model.parameters()
    for parameter in parameters:
        if parameter.value.ndim == 1:  # zeros and ones would hide mistakes
            parameter.value += 0.1 * rng.standard_normal(parameter.value.shape)
    x, weighting = rng.standard_normal((samples, *shape)), rng.standard_normal((samples, 3))
    everything = [x, *(parameter.value for parameter in parameters)]
    flat, places = joined(everything), np.cumsum([array.size for array in everything])[:-1]
    packed = lanes.pack(x, np.float64)

    def value():
        for array, part in zip(everything, np.split(flat, places)):
            array.flat = part
        lanes.pack(x, np.float64, out=packed)
        y = model.forward(packed, True, samples)
        return float(np.sum(lanes.unpack(y, samples) * weighting))

    value()
    dx = lanes.unpack(model.backward(lanes.pack(weighting, np.float64)), samples)
    gradient = joined([dx, *(parameter.grad for parameter in parameters)])
    report = check_function(value, {"all": flat}, {"all": gradient}, rng, step=3e-6)
    assert report.worst < 1e-7, report


def joined(arrays):
    return np.concatenate([array.ravel() for array in arrays])


def test_two_steps_at_224():
    model = zoo.build("mobilenetv2")
    model.initialize(LARGE)
    optimizer = optimizers.create("sgd", model.parameters(), lr=0.01, momentum=0.9)
    step = TrainingStep(model, SoftmaxCrossEntropy(), optimizer)
    x = lanes.pack(np.random.default_rng(0).standard_normal((2, *LARGE), np.float32))
    before = model.state_dict()
    losses = [step(x, np.array([3, 7])) for _ in range(2)]
    assert np.isfinite(losses).all() and losses[1] != losses[0]
    after = model.state_dict()
    assert all(np.isfinite(array).all() for array in after.values())
    for name in before:
        # Some of gamma stays: the next normalization undoes it.
        assert ".batchnorm" in name or not np.array_equal(before[name], after[name])
