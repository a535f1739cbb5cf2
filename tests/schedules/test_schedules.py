"""Schedules: their shape, their ends, their peak, and their strings."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Linear,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
    WarmUp,
    from_string,
    names,
)

TOTALS = [1, 2, 3, 7, 100, 1001]
RESTARTS = [
    CosineRestarts(),
    CosineRestarts(1 / 3, 1, 0.1),
    CosineRestarts(0.3, 5),
    WarmUp(0.1, CosineRestarts(1 / 3)),
]
ONE_PEAK = [
    Constant(),
    Step(),
    Step((0.2, 0.9), gamma=0.5),
    Cosine(),
    Cosine(0.01),
    Linear(),
    Linear(0.1),
    Polynomial(),
    Polynomial(2.5),
    Exponential(),
    Exponential(0.5),
    OneCycle(),
    OneCycle(0.5, 0.1, 0.0),
    OneCycle(0.0),
    WarmUp(),
    WarmUp(0.25, Cosine()),
    WarmUp(0.99, Step()),
    WarmUp(0.1, OneCycle()),
    WarmUp(0.1, WarmUp(0.5, Cosine(0.1))),
    WarmUp(0.02, Linear()),
]
EVERY = [*ONE_PEAK, *RESTARTS]


def curve(schedule, total):
    return np.array([schedule(step, total) for step in range(total + 1)])


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("schedule", EVERY, ids=str)
def test_factor_is_above_zero_in_training_and_the_peak_is_one(schedule, total):
    factors = curve(schedule, total)
    assert (factors[:-1] > 0).all()
    assert factors[:-1].max() == 1
    assert factors[-1] >= 0


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("schedule", ONE_PEAK, ids=str)
def test_rises_to_the_peak_and_then_never_again(schedule, total):
    factors = curve(schedule, total)
    peak = factors.argmax()
    assert (np.diff(factors[: peak + 1]) > 0).all()
    assert (np.diff(factors[peak:]) <= 0).all()


def test_constant():
    assert (curve(Constant(), 9) == 1).all()


def test_step_falls_at_its_milestones():
    factors = curve(Step((0.5, 0.75), gamma=0.1), 8)
    np.testing.assert_allclose(factors, [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01], rtol=1e-12)
    for total in (10, 30, 70, 900):  # the rounding of 0.1 · total must not move the fall
        assert Step((0.1,))(total // 10, total) == 0.1
        assert Step((0.1,))(total // 10 - 1, total) == 1


def test_cosine():
    assert Cosine()(0, 100) == 1
    assert Cosine()(50, 100) == pytest.approx(0.5, abs=1e-15)
    assert Cosine()(25, 100) == pytest.approx((1 + np.sqrt(0.5)) / 2, abs=1e-15)
    assert Cosine()(100, 100) == 0
    assert Cosine(0.2)(50, 100) == pytest.approx(0.6, abs=1e-15)
    assert Cosine(0.2)(100, 100) == 0.2


def test_one_cycle():
    schedule = OneCycle(0.3, start=0.04, final=0.001)
    factors = curve(schedule, 100)
    assert factors[0] == pytest.approx(0.04, abs=1e-15)
    assert factors.argmax() == 30 and factors[30] == 1
    assert factors[15] == pytest.approx(0.52, abs=1e-15)
    assert factors[65] == pytest.approx(0.5005, abs=1e-15)
    assert factors[100] == 0.001
    assert OneCycle()(0, 10) == pytest.approx(1 / 25)


def test_a_line_is_the_polynomial_of_power_one():
    np.testing.assert_array_equal(curve(Linear(), 20), curve(Polynomial(), 20))


@pytest.mark.parametrize(
    ("schedule", "total", "expected"),
    [
        (
            CosineRestarts(5, 2, 0.1),
            40,
            {0: 1.0, 1: 0.9140576474687263, 4: 0.18594235253127372, 5: 1.0, 6: 0.9779754323328191,
             14: 0.12202456766718092, 15: 1.0, 17: 0.9779754323328191, 34: 0.10554024673218806,
             35: 1.0, 36: 0.9986128001799076},
        ),
        (
            CosineRestarts(7, 1),
            40,
            {0: 1.0, 1: 0.9504844339512095, 6: 0.04951556604879048, 7: 1.0, 8: 0.9504844339512095,
             20: 0.04951556604879048, 21: 1.0, 39: 0.38873953302184283},
        ),
        (Linear(0.25), 20, {0: 1.0, 1: 0.9625, 7: 0.7375, 19: 0.2875, 20: 0.25}),
        (
            Polynomial(2.5),
            20,
            {0: 1.0, 1: 0.8796481896190089, 7: 0.34063038986561384, 19: 0.000559016994374949,
             20: 0.0},
        ),
        (
            Exponential(0.001),
            20,
            {0: 1.0, 1: 0.7079457843841379, 7: 0.08912509381337454, 19: 0.0014125375446227537,
             20: 0.001},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_factors_are_those_of_pytorch(schedule, total, expected):
    """Of PyTorch 2.14.1; the last of a training in which a cycle ends is ours."""
    factors = {step: schedule(step, total) for step in expected}
    assert factors == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("total", [70, 490, 1001, 7003])
@pytest.mark.parametrize("mult", [1, 2])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cycles_of_a_fraction_end_with_the_training(mult, total, final):
    """However the fraction and the step are rounded; 7 cycles, or 1 + 2 + 4 sevenths."""
    factors = curve(CosineRestarts(1 / 7, mult, final), total)
    starts = [0, *(1 + np.flatnonzero(np.diff(factors) > 0))]
    cycles = np.arange(7) if mult == 1 else np.array([0, 1, 3])
    np.testing.assert_array_equal(starts, -(-cycles * total // 7))
    assert factors[-1] == final
    if total % 7 == 0:
        assert (factors[starts] == 1).all()


def test_peak_is_reached_in_however_short_a_training():
    for total in range(1, 60):
        for warmup in (0.01, 0.3, 0.5, 0.99):
            expected = min(round(warmup * total), total - 1)
            assert curve(OneCycle(warmup), total)[:-1].argmax() == expected
            assert curve(WarmUp(warmup, Cosine()), total)[:-1].argmax() == expected


def test_warm_up_then_the_other_schedule_in_the_rest():
    factors = curve(WarmUp(4, Cosine()), 14)
    np.testing.assert_allclose(factors[:5], [0.2, 0.4, 0.6, 0.8, 1], rtol=1e-15)
    np.testing.assert_array_equal(factors[4:], curve(Cosine(), 10))
    np.testing.assert_array_equal(curve(WarmUp(0.25, Step()), 16), curve(WarmUp(4, Step()), 16))


def test_asking_for_a_later_step_first_changes_nothing():
    schedule = WarmUp(0.1, OneCycle())
    backwards = [schedule(step, 50) for step in reversed(range(51))]
    np.testing.assert_array_equal(backwards[::-1], curve(schedule, 50))


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("constant", Constant()),
        ("step", Step((0.5, 0.75), 0.1)),
        ("step:0.5,0.75", Step((0.5, 0.75))),
        ("step:0.5", Step((0.5,))),
        ("step:0.3,0.6,gamma=0.2", Step((0.3, 0.6), 0.2)),
        ("step:milestones=0.5", Step((0.5,))),
        ("cosine", Cosine()),
        ("cosine:0.01", Cosine(0.01)),
        ("linear:0.1", Linear(0.1)),
        ("polynomial:2", Polynomial(2)),
        ("exponential:final=0.1", Exponential(0.1)),
        ("cosine-restarts", CosineRestarts(1 / 7, 2, 0.0)),
        ("cosine-restarts:1/3,1,final=0.01", CosineRestarts(1 / 3, 1, 0.01)),
        ("cosine-restarts:500,mult=3", CosineRestarts(500, 3)),
        ("step:1/3,gamma=1/10", Step((1 / 3,), 0.1)),
        ("warmup:1/50,linear", WarmUp(0.02, Linear())),
        ("one-cycle", OneCycle()),
        ("one-cycle:0.25", OneCycle(0.25)),
        ("one-cycle:0.25,final=0.01", OneCycle(0.25, final=0.01)),
        ("one-cycle:0.25,0.1,0.01", OneCycle(0.25, 0.1, 0.01)),
        ("warmup", WarmUp(0.1, Constant())),
        ("warmup:0.2", WarmUp(0.2, Constant())),
        ("warmup:0.1,cosine", WarmUp(0.1, Cosine())),
        ("warmup:500,cosine:0.1", WarmUp(500, Cosine(0.1))),
        ("warmup:0.1,step:0.5,0.75", WarmUp(0.1, Step((0.5, 0.75)))),
    ],
)
def test_strings(text, schedule):
    assert from_string(text) == schedule
    assert from_string(str(schedule)) == schedule


@pytest.mark.parametrize("schedule", EVERY, ids=str)
def test_every_string_reads_back(schedule):
    assert from_string(str(schedule)) == schedule
    assert from_string(schedule) is schedule


def test_canonical_strings():
    for text in ("constant", "cosine", "one-cycle", "step:0.5,0.75", "warmup:0.1,cosine"):
        assert str(from_string(text)) == text
    assert str(Cosine(np.float64(0.1))) == "cosine:final=0.1"


def test_names_are_all_strings_that_work():
    assert names() == [
        "constant", "step", "linear", "polynomial", "exponential", "cosine", "cosine-restarts",
        "one-cycle", "warmup",
    ]  # fmt: skip
    assert all(isinstance(from_string(name), Schedule) for name in names())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "Did you mean 'cosine'"),
        ("", "unknown schedule"),
        (None, "unknown schedule 'None'"),
        ("constant:1", "no settings"),
        ("cosine:a", "'a' is not a number"),
        ("cosine:1", r"in \[0, 1\), got 1"),
        ("cosine:nan", "final must be"),
        ("cosine:0.1,0.2", "cosine takes final"),
        ("cosine:0.1,final=0.2", "each once"),
        ("cosine:final=0.1,final=0.2", "each once"),
        ("cosine:gamma=0.1", "cosine takes final"),
        ("linear:1", r"in \[0, 1\), got 1"),
        ("polynomial:0", r"power must be in \(0, 10\]"),
        ("polynomial:11", "power must be"),
        ("exponential:0", r"final must be in \(0, 1\)"),
        ("exponential:1/0", "'1/0' is not a number"),
        ("cosine-restarts:1.5", "length must be a fraction"),
        ("cosine-restarts:0.5,1.5", "mult must be a whole number of at least 1, got 1.5"),
        ("cosine-restarts:0.5,0", "mult must be"),
        ("cosine-restarts:0.5,2,1", "final must be"),
        ("step:0.75,0.5", "must rise"),
        ("step:0.5,0.5", "must rise"),
        ("step:30,60", r"fractions in \(0, 1\)"),
        ("step:gamma=0", "gamma"),
        ("step:gamma=inf", "gamma"),
        ("one-cycle:1", "warmup must be"),
        ("one-cycle:start=0", "start must be"),
        ("one-cycle:final=-0.1", "final must be"),
        ("warmup:0", "length must be"),
        ("warmup:1.5", "length must be"),
        ("warmup:cosine", "'cosine' is not a number"),
        ("warmup:0.1,cosin", "Did you mean 'cosine'"),
    ],
)
def test_strings_that_name_no_schedule(text, message):
    with pytest.raises(ArgumentError, match=message):
        from_string(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step(()),
        lambda: Cosine("a"),
        lambda: Cosine(True),
        lambda: OneCycle(start=np.nan),
        lambda: WarmUp(0.1, "cosine"),
    ],
)
def test_settings_out_of_range(make):
    with pytest.raises(ArgumentError):
        make()


@pytest.mark.parametrize(("step", "total"), [(-1, 10), (11, 10), (0, 0), (0, -1)])
def test_steps_that_do_not_exist(step, total):
    with pytest.raises(ArgumentError, match="does not exist"):
        Cosine()(step, total)


def test_warm_up_that_does_not_fit():
    assert WarmUp(9)(0, 10) == 0.1
    with pytest.raises(ArgumentError, match="do not fit a training of 10"):
        WarmUp(10)(0, 10)


@pytest.mark.parametrize(
    "schedule",
    [
        *EVERY, WarmUp(1), WarmUp(3), WarmUp(3, Cosine()), WarmUp(2, WarmUp(1)), CosineRestarts(3),
        WarmUp(2, CosineRestarts(2, 1)),
    ],
    ids=str,
)  # fmt: skip
def test_open_ended_is_what_does_not_depend_on_the_length(schedule):
    factors = [curve(schedule, total)[:8] for total in (8, 9, 16, 1000)]
    same = all((other == factors[0]).all() for other in factors)
    assert schedule.open_ended is same


def test_a_schedule_that_says_nothing_is_not_open_ended():
    assert not Schedule().open_ended


@pytest.mark.parametrize("schedule", EVERY, ids=str)
@pytest.mark.parametrize(
    "step, total",
    [(-1, 3), (4, 3), (0, 0), ("1", 3), (1, [3]), (1, None), (1, 3j), (1, np.inf), (np.nan, 3)],
)
def test_a_factor_outside_the_training_does_not_exist(schedule, step, total):
    for ask in (schedule, schedule.factor):
        with pytest.raises(ArgumentError, match="does not exist"):
            ask(step, total)


@pytest.mark.parametrize("schedule", EVERY, ids=str)
def test_steps_of_numpy_give_the_same_factor(schedule):
    for step in (0, 9, 199, 200):
        assert schedule.factor(np.uint8(step), np.int64(200)) == schedule(step, 200)
