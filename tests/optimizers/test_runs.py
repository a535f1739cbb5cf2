"""Parameters that lie side by side are updated in one go, with the bits of one by one."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import Sequential, lanes, optimizers
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers import Dense, Tanh
from minicnn.models import zoo
from minicnn.parameter import ALIGNMENT, Parameter, lay_side_by_side

RULES = {
    "sgd": {"momentum": 0.9}, "rmsprop": {"momentum": 0.5}, "adam": {}, "adamw": {},
    "adagrad": {"initial_accumulator_value": 0.5}, "nadam": {}, "lion": {},
    "damped": {"momentum": 0.9, "dampening": 0.5},
}  # fmt: skip
SHAPES = [(3, 5), (7,), (2, 3, 3), (1,), (40, 41), (16,)]


def parameters(dtype, together):
    rng = np.random.default_rng(0)
    made = [Parameter(rng.normal(size=shape).astype(dtype), len(shape) > 1) for shape in SHAPES]
    if together:
        lay_side_by_side(made)
    return made


def steps(optimizer, count=3):
    rng = np.random.default_rng(1)
    for _ in range(count):
        for p in optimizer.parameters:
            p.grad[...] = rng.normal(size=p.grad.shape)
        optimizer.step()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("rule", RULES)
def test_together_or_apart_the_bits_are_the_same(rule, weight_decay, dtype):
    apart, together = (
        optimizers.create(
            "sgd" if rule == "damped" else rule,
            parameters(dtype, t),
            weight_decay=weight_decay,
            **RULES[rule],
        )
        for t in (False, True)
    )
    for optimizer in (apart, together):
        steps(optimizer)
    assert len(together._runs) == (2 if weight_decay else 1)
    for a, b in zip(apart.parameters, together.parameters):
        np.testing.assert_array_equal(a.value, b.value)
    one, two = apart.state_dict(), together.state_dict()
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])


@pytest.mark.parametrize("rule", RULES)
def test_threads_do_not_change_the_bits(rule):
    threads, found = get_num_threads(), []
    try:
        for count in (1, threads):
            set_num_threads(count)
            p = Parameter(np.random.default_rng(0).normal(size=30_000).astype(np.float32))
            name = "sgd" if rule == "damped" else rule
            steps(optimizers.create(name, [p], weight_decay=0.1, **RULES[rule]))
            found.append(p.value.tobytes())
    finally:
        set_num_threads(threads)
    assert found[0] == found[1]


def test_side_by_side_keeps_the_numbers_and_fills_up_with_zeros():
    before, after = parameters(np.float32, False), parameters(np.float32, True)
    for a, b in zip(before, after):
        np.testing.assert_array_equal(a.value, b.value)
        assert b.value.ctypes.data % (4 * ALIGNMENT) == b.grad.ctypes.data % (4 * ALIGNMENT) == 0
    optimizer = optimizers.create("adam", after, weight_decay=0.01)
    steps(optimizer)
    for run in optimizer._runs:
        inside = sum(p.size for p in after if p.decay == run.decay)
        for array in (run.value, run.grad, *run.averages.values()):
            assert np.count_nonzero(array) == inside < array.size


def test_a_parameter_that_gets_another_array_is_followed():
    optimizer = optimizers.create("sgd", parameters(np.float32, True), momentum=0.9)
    steps(optimizer)
    moved = optimizer.parameters[2]
    moved.value, moved.grad = np.ones_like(moved.value), np.ones_like(moved.grad)
    optimizer.step()
    assert (moved.value != 1).all()


def test_a_parameter_may_change_whether_it_decays():
    optimizer = optimizers.create("sgd", parameters(np.float32, True), lr=1, weight_decay=0.5)
    for p in optimizer.parameters:
        p.grad.fill(0)
    optimizer.step()
    p = optimizer.parameters[1]
    before, p.decay = p.value.copy(), True
    optimizer.step()
    np.testing.assert_array_equal(p.value, before / 2)


def test_weight_decay_may_begin_and_end():
    """Without it all parameters are updated in one go, with it those that decay by themselves."""
    optimizer = optimizers.create("sgd", parameters(np.float32, True), lr=1)
    for p in optimizer.parameters:
        p.grad.fill(0)
    for weight_decay, runs in ((0.0, 1), (0.5, 2), (0.0, 1)):
        before = [p.value.copy() for p in optimizer.parameters]
        optimizer.weight_decay = weight_decay
        optimizer.step()
        assert len(optimizer._runs) == runs
        for p, value in zip(optimizer.parameters, before):
            np.testing.assert_array_equal(p.value, value * (1 - weight_decay * p.decay))


def test_a_model_has_one_run_or_two():
    model = zoo.build("resnet8")
    model.initialize((3, 8, 8))
    for weight_decay, runs in ((0.0, 1), (0.01, 2)):
        optimizer = optimizers.create("sgd", model.parameters(), weight_decay=weight_decay)
        optimizer.step()
        assert len(optimizer._runs) == runs


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_copy_goes_on_with_the_same_bits(name, copied):
    model = Sequential(Dense(5), Tanh(), Dense(3))
    model.initialize((4,))
    optimizer = optimizers.create(name, model.parameters(), lr=0.1)
    x = lanes.pack(np.random.default_rng(0).standard_normal((20, 4)))

    def train(model, optimizer):
        for _ in range(3):
            model.backward(model.forward(x, True))
            optimizer.step()
        return [p.value.copy() for p in model.parameters()], optimizer.state_dict()

    train(model, optimizer)
    other = copied((model, optimizer))
    np.testing.assert_equal(train(*other), train(model, optimizer))
