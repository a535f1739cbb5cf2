"""Habits from PyTorch and Keras: one sentence that says what ours is."""

import copy
import importlib
import inspect
import pickle
import re

import numpy as np
import pytest

from minicnn import Sequential, gradcheck, losses, optimizers
from minicnn.errors import ArgumentError
from minicnn.hints.habits import NAMES, SettingError
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LeakyReLU,
    MaxPool2d,
    NumpyLayer,
    ReLU,
    RMSNorm,
)
from minicnn.losses import Loss
from minicnn.optimizers import Optimizer
from minicnn.training import Trainer
from tests.training.toys import toy


@pytest.fixture
def model():
    model = Sequential(Flatten(), Dense(3))
    model.initialize((1, 4, 4), seed=0)
    return model


CALLS = [
    (Conv2d, (1, 8, 3), {}, r"nn.Conv2d\(1, 8, 3\) is Conv2d\(8, 3\)"),
    (Conv2d, (1, 8, 3, 1), {}, "only out_channels and kernel_size without a name, got 4"),
    (Dense, (400, 120), {}, r"nn.Linear\(400, 120\) is Dense\(120\)"),
    (BatchNorm, (16,), {}, r"found by model.initialize.*BatchNorm\(\)"),
    (GroupNorm, (4, 16), {}, r"found by model.initialize.*GroupNorm\(4\)"),
    (GroupNorm, (), {"groups": 4}, "groups is called num_groups here"),
    (GroupNorm, (4,), {"num_channels": 16}, "takes no num_channels: the number is found"),
    (InstanceNorm2d, (16,), {}, r"found by model.initialize.*InstanceNorm2d\(\)"),
    (InstanceNorm2d, (), {"track_running_stats": True}, "each image is normalized by itself"),
    (LayerNorm, ((3, 4, 4),), {}, r"the whole sample is normalized.*LayerNorm\(\)"),
    (LayerNorm, (), {"normalized_shape": 16}, "the whole sample is normalized, whose shape"),
    (LayerNorm2d, (96,), {}, r"found by model.initialize.*LayerNorm2d\(\)"),
    (RMSNorm, (16,), {}, r"the whole sample is normalized.*RMSNorm\(\)"),
    (GlobalAvgPool2d, (1,), {}, "takes nothing without a name.*whole image"),
    (Conv2d, (8, 3), {"activation": "relu"}, r"a layer of its own after this one, such as ReLU"),
    (Dense, (10,), {"activation": "softmax"}, "a softmax is part of SoftmaxCrossEntropy"),
    (MaxPool2d, (2,), {"padding": "same"}, "got 'same'.*kernel_size // 2"),
    (MaxPool2d, (2,), {"padding": "valid"}, "got 'valid'. 'valid' is 0"),
    (Conv2d, (8, 3), {"strides": 2}, "strides is called stride here"),
    (MaxPool2d, ((2, 2),), {"strides": 2}, "strides is called stride here"),
    (AvgPool2d, (), {"pool_size": 2}, "pool_size is called kernel_size here"),
    (Conv2d, (), {"filters": 8, "kernel_size": 3}, "filters is called out_channels here"),
    (Conv2d, (8, 3), {"kernel_initializer": "zeros"}, "kernel_initializer is called init here"),
    (Conv2d, (8,), {}, "it needs kernel_size"),
    (Dense, (), {}, "it needs out_features"),
    (Dense, (), {"units": 10}, "units is called out_features here"),
    (Dropout, (), {"rate": 0.5}, "rate is called p here"),
    (LeakyReLU, (), {"negative_slope": 0.1}, "negative_slope is called slope here"),
    (ReLU, (), {"inplace": True}, "ReLU: it takes no inplace"),
    (Dense, (10,), {"biass": False}, "unknown setting 'biass'. Did you mean bias?"),
    (losses.SoftmaxCrossEntropy, (), {"size_average": True}, "It takes label_smoothing"),
    (optimizers.SGD, (), {"lr": 0.1}, "it needs parameters"),
    (optimizers.SGD, ([],), {"learning_rate": 0.1}, "learning_rate is called lr here"),
    (optimizers.Adam, ([],), {"beta_1": 0.9}, "beta_1 is called betas here"),
    (Trainer, (1, 2, 3, 4, 5), {}, "only model and optimizer and train and test without a name"),
    (Sequential, ([ReLU()],), {}, r"Sequential\(\*layers\) for a list"),
    (Sequential, (ReLU,), {}, r"write ReLU\(...\), an object of it"),
]


@pytest.mark.parametrize(("cls", "arguments", "settings", "says"), CALLS)
def test_arguments(cls, arguments, settings, says):
    with pytest.raises(ArgumentError, match=says) as told:
        cls(*arguments, **settings)
    assert "\n" not in str(told.value) and str(told.value).startswith(cls.__name__)
    assert isinstance(told.value, TypeError) == isinstance(told.value, SettingError)


def test_ours_is_taken():
    conv = Conv2d(out_channels=8, in_channels=1, kernel_size=3)
    assert Sequential(conv).initialize((1, 5, 5)) == (8, 3, 3)
    names = list(inspect.signature(Conv2d).parameters)
    assert names[:3] == ["out_channels", "kernel_size", "stride"]


def test_errors_from_within_are_not_explained_away():
    class Odd(Dense):
        def __init__(self, size):
            super().__init__(size)
            raise TypeError("mine")

    ours = type("Ours", (Odd,), {"__module__": "minicnn.ours", "__init__": Odd.__init__})
    for cls in (Odd, ours):
        with pytest.raises(TypeError, match="^mine$"):
            cls(3)
    with pytest.raises(SettingError, match="Dense: it takes no activation"):

        class Wrong(Dense):
            def __init__(self):
                super().__init__(3, activation="relu")

        Wrong()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("train", "Trainer trains"), ("eval", "model.predict"), ("fit", r"Trainer\(.*\).fit\(\)"),
        ("compile", "Trainer"), ("to", "leave it out"), ("add", r"Sequential\(Flatten"),
        ("named_parameters", "parameters"), ("load_weights", "training.load_weights"),
    ],
)  # fmt: skip
def test_attributes(model, name, says):
    with pytest.raises(AttributeError, match=f"Sequential has no {name}: .*{says}"):
        getattr(model, name)
    assert not hasattr(model, name)


def test_attributes_of_losses_and_optimizers(model):
    optimizer = optimizers.SGD(model.parameters(), lr=0.1)
    with pytest.raises(AttributeError, match="zero_grad: each backward pass overwrites"):
        optimizer.zero_grad()
    with pytest.raises(AttributeError, match=r"backward: model.backward\(gradient\)"):
        losses.SoftmaxCrossEntropy().backward()
    for thing in (model, 3, None):
        with pytest.raises(ArgumentError, match=r"as model.parameters\(\) gives it, got"):
            optimizers.Adam(thing, lr=0.1)
    with pytest.raises(AttributeError, match="^'Sequential' object has no attribute 'madeup'$"):
        _ = model.madeup


def test_copies_are_made_as_ever(model):
    images = np.ones((2, 1, 4, 4), np.float32)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(images), model.predict(images))
    optimizer = optimizers.SGD(model.parameters(), lr=0.1)
    assert copy.copy(optimizer).lr == pickle.loads(pickle.dumps(optimizer)).lr == 0.1


#: What is recommended besides names of the module itself.
WORDS = {
    "Sequential",
    "Branches",
    "Residual",
    "losses",
    "model",
    "layers",
    "optimizers",
    "training",
}


@pytest.mark.parametrize(("module", "name"), [(m, n) for m in NAMES for n in NAMES[m]])
def test_names(module, name):
    with pytest.raises(ImportError, match=f"{module} has no {name}: ") as told:
        exec(f"from {module} import {name}")
    assert isinstance(told.value, ArgumentError)
    ours = NAMES[module][name]
    if ours is not None:
        assert re.match(r"\w+", ours)[0] in WORDS | set(dir(importlib.import_module(module)))


def test_other_names_are_as_ever():
    with pytest.raises(ImportError, match="cannot import name 'Madeup'"):
        exec("from minicnn.layers import Madeup")
    assert not hasattr(importlib.import_module("minicnn.layers"), "madeup")


def test_a_forgotten_super_is_named():
    class Square(NumpyLayer):
        def __init__(self):
            self.power = 2

        def forward(self, x):
            return x * x

    class Plain(Optimizer):
        def __init__(self, parameters, lr):
            self.rate = lr

    class Own(Loss):
        def __init__(self):
            self.scale = 1

        def compute(self, kept):
            kept.value[0] = 0

    says = r"__init__ must call super\(\).__init__\(...\) before anything else"
    with pytest.raises(ArgumentError, match=f"Square has no .*{says}"):
        Sequential(Square()).initialize((3,))
    with pytest.raises(ArgumentError, match=says):
        gradcheck.check_layer(Square(), (3,))
    model = Sequential(Flatten(), Dense(3))
    model.initialize((1, 4, 4))
    train, test = toy(), toy(seed=1)
    with pytest.raises(ArgumentError, match=f"Plain has no .*{says}"):
        Trainer(model, Plain(model.parameters(), 0.1), train, test)
    sgd = optimizers.SGD(model.parameters(), 0.1)
    with pytest.raises(ArgumentError, match=f"Own has no .*{says}"):
        Trainer(model, sgd, train, test, loss=Own(), epochs=1).fit()


@pytest.mark.parametrize("seed", [-1, 1.5, None, "0", True, np.float32(2), [1, 2]])
def test_what_is_no_seed(model, seed):
    jobs = (
        lambda: model.initialize((1, 4, 4), seed=seed),
        lambda: gradcheck.check_layer(ReLU(), (3,), seed=seed),
        lambda: Trainer(
            model, optimizers.SGD(model.parameters(), 0.1), toy(), toy(seed=1), seed=seed
        ),
    )
    for job in jobs:
        with pytest.raises(ArgumentError, match="seed must be an integer of at least 0"):
            job()


def test_seeds_of_numpy_are_seeds():
    bits = set()
    for seed in (3, np.int64(3), np.uint8(3), np.random.default_rng(3)):
        model = Sequential(Dense(3))
        model.initialize((4,), seed=seed)
        bits.add(model.parameters()[0].value.tobytes())
    assert len(bits) == 1
