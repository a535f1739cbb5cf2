"""Initializers of users: what is wrong with one is said at the first use, in one sentence."""

from dataclasses import dataclass

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.errors import ArgumentError
from minicnn.initializers import ELSEWHERE, INITIALIZERS, MSRA, Fans, Initializer, from_string
from minicnn.layers import Dense

FANS, SHAPE = Fans(20, 30), (30, 20)


def own(moments, **attributes):
    """An initializer without settings that promises these moments."""
    attributes.setdefault("distribution", "normal")
    return type("Own", (Initializer,), {"moments": lambda *_: moments, **attributes})()


def draw(initializer):
    return initializer(SHAPE, FANS, np.random.default_rng(0))


@pytest.mark.parametrize("moments", [None, 0.5, (0.0,), (0.0, 1.0, 2.0), ("a", 1), (None, None)])
def test_moments_that_are_no_pair(moments):
    for use in (draw, lambda i: i.variance(FANS, SHAPE), lambda i: i.mean(FANS, SHAPE)):
        with pytest.raises(ArgumentError, match="own: moments.*the mean and the variance, got"):
            use(own(moments))


@pytest.mark.parametrize("moments", [(0.0, -1.0), (0.0, np.nan), (np.nan, 1.0), (0, -np.inf)])
def test_moments_that_cannot_be(moments):
    for use in (draw, lambda i: i.variance(FANS, SHAPE), lambda i: i.mean(FANS, SHAPE)):
        with pytest.raises(ArgumentError, match="own: promises the mean .*variance of at least 0"):
            use(own(moments))


def test_a_layer_says_it_too():
    with pytest.raises(ArgumentError, match="own: promises"):
        Dense(3, init=own((0.0, -1.0))).build((4,), np.random.default_rng(0))


@pytest.mark.parametrize("distribution", [None, "gauss", 3])
def test_a_distribution_that_there_is_not(distribution):
    with pytest.raises(ArgumentError, match="distribution must be one of normal, uniform"):
        draw(own((0.0, 1.0), distribution=distribution))


def test_nothing_promised():
    class Bare(Initializer):
        pass

    with pytest.raises(ArgumentError, match=r"bare: moments\(fans, shape\) is missing"):
        draw(Bare())


def test_without_settings_an_ordinary_class_will_do():
    simple = own((0.5, 0.0))
    assert str(simple) == simple.name == "own"
    np.testing.assert_array_equal(draw(simple), np.full(SHAPE, 0.5, np.float32))


def test_settings_need_a_frozen_dataclass():
    class WithInit(Initializer):
        def __init__(self, std):
            self.std = std

    class WithFields(Initializer):
        std: float = 0.1

    @dataclass
    class Thawed(Initializer):
        std: float = 0.1

    for cls, arguments in ((WithInit, [0.1]), (WithFields, []), (Thawed, [])):
        with pytest.raises(ArgumentError, match=f"{cls.__name__} .*frozen dataclass.*before the"):
            cls(*arguments)


def test_a_frozen_dataclass_needs_no_name():
    @dataclass(frozen=True)
    class Half(Initializer):
        std: float = 0.5
        distribution = "uniform"

        def moments(self, fans, shape):
            return 0.0, self.std**2

    assert str(Half()) == "half:0.5" and Half(0.25) == Half(0.25) != Half()
    assert 0.4 < draw(Half()).std() < 0.6


def test_a_plain_function_is_an_initializer():
    model = Sequential(Dense(5, init=lambda shape, fans, rng: rng.standard_normal(shape) / 2))
    model.initialize((4,), seed=1)
    weight = model.parameters()[0].value
    assert weight.shape == (5, 4) and 0.2 < weight.std() < 0.9


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (lambda: 1 / 0, r"it raised ZeroDivisionError: division by zero \(.*test_own.py, line"),
        (lambda: None, "it returned None: .* Is the return missing"),
        (lambda: np.full((5, 4), np.nan), "it drew NaN"),
        (lambda: np.ones(3), r"must draw an array of shape \(5, 4\), drew .* \(3,\)"),
    ],
)
def test_a_function_that_draws_no_weight_says_why(drawn, said):
    with pytest.raises(ArgumentError, match=f"0.dense: weight: .*{said}"):
        Sequential(Dense(5, init=lambda *_: drawn())).initialize((4,))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("he_normal", "called 'msra' here"), ("kaiming_uniform_", "called 'msra:uniform' here"),
        ("glorot_uniform", "called 'xavier' here"), ("xavier,msra", "--ablate 'init=xavier,msra'"),
        (MSRA, r"write MSRA\(\)"), (np.zeros(3), "or a function"), (None, "or a function"),
    ],
)  # fmt: skip
def test_what_others_call_it_and_what_is_no_initializer(given, said):
    with pytest.raises(ArgumentError, match=said):
        Dense(5, init=given)


def test_every_name_of_elsewhere_leads_to_one_of_ours():
    for ours in ELSEWHERE.values():
        assert str(from_string(ours)).partition(":")[0] in INITIALIZERS
