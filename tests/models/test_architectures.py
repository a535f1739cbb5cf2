"""The networks of ImageNet: the published number of weights, both forms, and their gradients."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.gradcheck import check_function
from minicnn.layers import Conv2d, Dense, Dropout, ReLU, ReLU6
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


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize(
    "recipe",
    ["alexnet", "vgg11", "vgg16_bn", "resnet18", "mobilenetv2", "densenet121", "googlenet"],
)
def test_gradients(recipe, small):
    """Along random directions of the input and all parameters together.

    The activation is smooth, and the step short: a maximum that changes place within it would
    spoil the quotient.
    """
    layers = getattr(architectures, recipe)(Narrow("tanh", "xavier"), 3, small)
    model, rng, samples = Sequential(*layers), np.random.default_rng(0), 3
    for layer in model.all_layers():
        if isinstance(layer, Dropout):
            layer.p = 0.0  # it would draw anew in every pass
    shape = (2, 28, 28) if small else (2, 65, 65)
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
