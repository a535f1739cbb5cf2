"""Initializers as strings: each reads its own, names what is wrong, and compares by value."""

import doctest
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import initializers
from minicnn.errors import ArgumentError
from minicnn.initializers import (
    MSRA,
    Constant,
    DeltaOrthogonal,
    Fans,
    Identity,
    Initializer,
    LeCun,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    Xavier,
    Zeros,
    from_string,
    names,
)
from tests.initializers.test_promises import EVERY, UNIT, rng


@pytest.mark.parametrize(
    ("text", "initializer"),
    [
        ("zeros", Zeros()),
        ("ones", Ones()),
        ("constant:0.1", Constant(0.1)),
        ("constant:value=-1e-3", Constant(-0.001)),
        ("normal:0.01", Normal(0.01)),
        ("normal:0.01,0.5", Normal(0.01, 0.5)),
        ("normal:mean=0.5", Normal(mean_=0.5)),
        ("uniform:-0.1,0.2", Uniform(-0.1, 0.2)),
        ("uniform: -0.1, high = 0.2", Uniform(-0.1, 0.2)),
        ("truncated-normal:0.1", TruncatedNormal(0.1)),
        ("variance-scaling:2,fan_out,uniform", VarianceScaling(2, "fan_out", "uniform")),
        ("variance-scaling:uniform,2", VarianceScaling(2, "fan_in", "uniform")),
        ("xavier", Xavier("uniform")),
        ("glorot:normal", Xavier("normal")),
        ("xavier:gain=tanh", Xavier(gain="tanh")),
        ("xavier:normal,1.5", Xavier("normal", 1.5)),
        ("msra", MSRA("fan_in", "normal", 0.0)),
        ("kaiming:fan_out", MSRA("fan_out")),
        ("he:uniform", MSRA(distribution="uniform")),
        ("msra:fan_out,uniform", MSRA("fan_out", "uniform")),
        ("msra:slope=0.25", MSRA(slope=0.25)),
        ("lecun:truncated-normal", LeCun("truncated-normal")),
        ("orthogonal:gain=relu", Orthogonal("relu")),
        ("orthogonal:leaky-relu", Orthogonal("leaky-relu")),
        ("delta-orthogonal:gain=1.1", DeltaOrthogonal(1.1)),
        ("dirac", Identity()),
    ],
)
def test_strings(text, initializer):
    assert from_string(text) == initializer
    assert from_string(str(initializer)) == initializer


def test_canonical_strings():
    for text in (*EVERY, "msra:fan_out,uniform,slope=0.25", "normal:0.01", "xavier:normal"):
        assert from_string(str(from_string(text))) == from_string(text)
    for text in (
        "zeros", "constant:0.1", "normal:0.01", "normal:0.01,mean=0.5", "uniform:-0.05,0.05",
        "xavier", "xavier:normal", "xavier:normal,gain=tanh", "msra", "msra:fan_out,uniform",
        "msra:slope=0.25", "orthogonal:gain=relu", "identity",
    ):  # fmt: skip
        assert str(from_string(text)) == text
    assert str(Constant(np.float64(0.1))) == "constant:0.1"


FINITE = st.floats(allow_nan=False, allow_infinity=False)


NOT_NEGATIVE = st.floats(0, allow_infinity=False)


MODES = st.sampled_from(["fan_in", "fan_out", "fan_avg"])


DISTRIBUTIONS = st.sampled_from(list(UNIT))


GAINS = NOT_NEGATIVE | st.sampled_from(["linear", "tanh", "relu", "leaky-relu", "prelu", "selu"])


@given(
    st.one_of(
        st.builds(Constant, FINITE),
        st.builds(Normal, NOT_NEGATIVE, FINITE),
        st.builds(TruncatedNormal, NOT_NEGATIVE, FINITE),
        st.tuples(FINITE, FINITE).map(lambda ends: Uniform(min(ends), max(ends))),
        st.builds(VarianceScaling, NOT_NEGATIVE, MODES, DISTRIBUTIONS),
        st.builds(Xavier, DISTRIBUTIONS, GAINS),
        st.builds(MSRA, MODES, DISTRIBUTIONS, FINITE),
        st.builds(LeCun, DISTRIBUTIONS),
        st.builds(Orthogonal, GAINS),
        st.builds(DeltaOrthogonal, GAINS),
    )
)
@settings(deadline=None)
def test_every_string_reads_back(initializer):
    assert from_string(str(initializer)) == initializer
    assert from_string(initializer) is initializer


def test_names_are_all_strings_that_work():
    assert len(names()) == len(set(names())) == 17
    for name in names():
        assert from_string(name).name == name
        assert str(from_string(name)).split(":")[0] == name


def test_initializers_compare_by_value_and_do_not_change():
    assert MSRA(slope=0.1) == MSRA(slope=0.1) != MSRA(slope=0.2)
    assert Zeros() != Ones() and LeCun() != VarianceScaling()
    assert len({MSRA(), MSRA(), Xavier()}) == 2
    assert repr(MSRA()) == "MSRA(mode='fan_in', distribution='normal', slope=0.0)"
    with pytest.raises(AttributeError):
        MSRA().slope = 0.5


def test_an_initializer_of_ones_own():
    @dataclass(frozen=True)
    class Alternating(Initializer):
        size: float = 1.0
        name = "alternating"

        def moments(self, fans, shape):
            return 0.0, self.size**2

        def draw(self, shape, fans, rng):
            return self.size * (1 - 2 * (np.indices(shape).sum(axis=0) % 2))

    own = from_string(Alternating(2))
    w = own((4, 6), Fans(6, 4), rng(), np.float32)
    assert str(own) == "alternating:2.0"
    assert w.dtype == np.float32 and w.var() == own.variance(Fans(6, 4)) == 4
    with pytest.raises(ArgumentError, match="initializer alternating: size must be a finite"):
        Alternating("a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xavir", "unknown initializer 'xavir'. Did you mean 'xavier'"),
        ("kaimin:fan_out", "Did you mean 'kaiming'"),
        ("", "unknown initializer ''"),
        (None, "unknown initializer 'None'"),
        ("zeros:1", "'1' does not fit; zeros takes no settings"),
        ("constant:a", r"constant takes value \(a finite number\)"),
        ("constant:1,2", "'2' does not fit; constant takes value"),
        ("constant:inf", "value must be a finite number, got inf"),
        ("normal:", "'' does not fit"),
        ("normal:0.1,", "'' does not fit"),
        ("normal:-0.1", "std must be a finite number of at least 0, got -0.1"),
        ("normal:nan", "std must be"),
        ("normal:std=a", "std must be a finite number of at least 0, got 'a'"),
        ("normal:0.1,mean=inf", "initializer normal: mean must be a finite number, got inf"),
        ("normal:mean_=0", r"'mean_=0' does not fit; normal takes std \(.*\), mean \("),
        ("normal:std=0.1,std=0.1", "each once"),
        ("truncated-normal:-1", "std must be"),
        ("uniform:0.2,0.1", "low must not be above high, got 0.2 and 0.1"),
        ("uniform:0,nan", "high must be"),
        ("variance-scaling:-1", "scale must be"),
        (
            "variance-scaling:1,fan_on",
            r"mode \(one of fan_in, fan_out, fan_avg, exact, effective_fan_out\)",
        ),
        (
            "variance-scaling:mode=1",
            "mode must be one of fan_in, fan_out, fan_avg, exact, effective_fan_out, got 1.0",
        ),
        ("xavier:fan_in", "'fan_in' does not fit; xavier takes distribution"),
        ("xavier:scale=2", "'scale=2' does not fit"),
        ("xavier:normal,uniform", "'uniform' does not fit"),
        ("xavier:gain=-1", "gain must be"),
        ("xavier:gain=rulu", "gain must be a finite number of at least 0 or one of linear"),
        ("msra:slope=relu", "slope must be a finite number, got 'relu'"),
        ("msra:distribution=fan_in", "distribution must be one of normal"),
        ("lecun:2", "'2' does not fit; lecun takes distribution"),
        ("orthogonal:normal", "'normal' does not fit; orthogonal takes gain"),
        ("identity:=1", "takes no settings"),
    ],
)
def test_strings_that_name_no_initializer(text, message):
    with pytest.raises(ArgumentError, match=message):
        from_string(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normal(True),
        lambda: Normal("0.1"),
        lambda: Normal(None),
        lambda: Constant(np.nan),
        lambda: Constant([1]),
        lambda: Uniform(False, True),
        lambda: VarianceScaling(1, ["fan_in"]),
        lambda: VarianceScaling(1, "fan_in", 2.0),
        lambda: MSRA(slope=True),
        lambda: Orthogonal("fan_in"),
    ],
)
def test_settings_out_of_range(make):
    with pytest.raises(ArgumentError, match="must be"):
        make()


def test_examples_in_the_documentation():
    results = doctest.testmod(initializers)
    assert results.attempted and not results.failed


@pytest.mark.parametrize("default", [2, True, None, "wide", (1.0, 2.0)])
def test_a_setting_whose_default_is_no_float_says_how_to_write_it(default):
    @dataclass(frozen=True)
    class Own(Initializer):
        scale: object = default
        name, distribution = "own", "normal"

        def moments(self, fans, shape):
            return 0.0, 1 / fans.fan_in

    for values in ((), (2.0,)):
        with pytest.raises(ArgumentError, match=r"own: scale must be .*scale: float = 2.0.*, got "):
            Own(*values)
