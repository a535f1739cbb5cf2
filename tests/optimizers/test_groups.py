"""Parameter groups: which parameters they take, and what a step does to them."""

import copy

import numpy as np
import pytest

from minicnn import Sequential, optimizers
from minicnn.errors import ArgumentError
from minicnn.layers import Dense, Tanh
from minicnn.optimizers import Group
from minicnn.optimizers.groups import from_string

RULES = {
    "sgd": {"momentum": 0.9}, "adagrad": {}, "rmsprop": {}, "adam": {}, "adamw": {}, "nadam": {},
    "lion": {}, "muon": {},
}  # fmt: skip


def a_model(dtype=np.float32):
    model = Sequential(Dense(6), Tanh(), Dense(5), Tanh(), Dense(3))
    model.initialize((4,), seed=1, dtype=dtype)
    return model


def made(rule, model, **settings):
    return optimizers.create(rule, model.parameters(), **{**RULES[rule], **settings})


def steps(optimizer, count=3):
    rng = np.random.default_rng(1)
    for _ in range(count):
        for p in optimizer.parameters:
            p.grad[...] = rng.normal(size=p.grad.shape)
        optimizer.step()


@pytest.mark.parametrize("rule", RULES)
def test_a_group_steps_as_an_optimizer_of_its_own_with_its_settings(rule):
    one, two = a_model(), a_model()
    grouped = made(rule, one, lr=0.01, weight_decay=0.1)
    grouped.groups = ["0.*:lr_factor=0.5", Group("2.*", lr_factor=3, weight_decay=0)]
    own = [("0.", 0.005, 0.1), ("2.", 0.03, 0), ("4.", 0.01, 0.1)]
    apart = []
    for prefix, lr, decay in own:
        parameters = [p for p in two.parameters() if p.name.startswith(prefix)]
        # Muon descends on the last matrix: a stand-in keeps it from being that of each part.
        last = [two.parameters()[-2]] if rule == "muon" and prefix != "4." else []
        stand_in = [type(p)(np.zeros_like(p.value)) for p in last]
        settings = {**RULES[rule], "lr": lr, "weight_decay": decay}
        apart.append(optimizers.create(rule, [*parameters, *stand_in], **settings))
    rng = np.random.default_rng(3)
    for _ in range(4):
        for p, q in zip(one.parameters(), two.parameters()):
            p.grad[...] = q.grad[...] = rng.normal(size=p.grad.shape)
        grouped.step()
        for optimizer in apart:
            optimizer.step()
    for p, q in zip(one.parameters(), two.parameters()):
        np.testing.assert_array_equal(p.value, q.value, err_msg=p.name)
    assert grouped.lr == 0.01


@pytest.mark.parametrize("rule", RULES)
def test_what_is_frozen_stays_and_the_rest_steps_as_without_it(rule):
    one, two = a_model(), a_model()
    frozen, free = made(rule, one), made(rule, two)
    frozen.groups = "0.*:frozen"
    for optimizer in (frozen, free):
        steps(optimizer)
    start = {p.name: p.value for p in a_model().parameters()}
    for p, q in zip(one.parameters(), two.parameters()):
        expected = start[p.name] if p.name.startswith("0.") else q.value
        np.testing.assert_array_equal(p.value, expected)
    frozen.groups = []
    steps(frozen, 1)
    assert all((p.value != start[p.name]).any() for p in one.parameters())


def test_the_first_group_that_matches_counts():
    model = a_model()
    optimizer = made("sgd", model, lr=0.1)
    optimizer.groups = ["4.*:lr_factor=1", "*:frozen"]
    before = {p.name: p.value.copy() for p in model.parameters()}
    steps(optimizer)
    changed = {p.name for p in model.parameters() if (p.value != before[p.name]).any()}
    assert changed == {"4.dense.weight", "4.dense.bias"}


def test_state_goes_from_one_to_another_with_the_same_groups():
    bits = []
    for stopped in (False, True):
        model = a_model()
        optimizer = made("adam", model, weight_decay=0.01)
        optimizer.groups = ["*.bias:lr_factor=2", "2.*:weight_decay=0.5", "0.*:frozen"]
        optimizer.clip_norm = 0.5
        rng = np.random.default_rng(5)
        for step in range(6):
            if stopped and step == 3:
                state, values = optimizer.state_dict(), model.state_dict()
                model = a_model()
                model.load_state_dict(values)
                optimizer, old = made("adam", model, weight_decay=0.01), optimizer
                optimizer.groups, optimizer.clip_norm = old.groups, old.clip_norm
                optimizer.load_state_dict(state)
            for p in model.parameters():
                p.grad[...] = rng.normal(size=p.grad.shape)
            optimizer.step()
        bits.append([p.value.copy() for p in model.parameters()])
    for a, b in zip(*bits):
        np.testing.assert_array_equal(a, b)


def test_a_copy_has_the_groups():
    optimizer = made("sgd", a_model())
    optimizer.groups, optimizer.clip_value = ["0.*:frozen"], 1.0
    other = copy.deepcopy(optimizer)
    assert other.groups == optimizer.groups and other.clip_value == 1.0
    before = [p.value.copy() for p in other.parameters]
    steps(other)
    same = [(p.value == b).all() for p, b in zip(other.parameters, before)]
    assert same == [True, True, False, False, False, False]


def test_strings():
    for text in ("0.*:frozen", "*.bias:lr_factor=0.5,weight_decay=0.0", "a:b:lr_factor=2.0"):
        assert str(from_string(text)) == text
        assert from_string(str(from_string(text))) == from_string(text)
    assert from_string("a:b:lr_factor=2").pattern == "a:b"
    for wrong in ("0.*", "0.*:", "x:lr=2", "x:frozen,frozen", "x:frozen=1", "x:lr_factor"):
        with pytest.raises(ArgumentError, match="expected PATTERN:frozen"):
            from_string(wrong)
    with pytest.raises(ArgumentError, match="'two' is not a number"):
        from_string("x:lr_factor=two")


def test_wrong_groups_are_named():
    optimizer = made("sgd", a_model())
    with pytest.raises(ArgumentError, match=r"'conv.*frozen' matches no parameter; there are 0.de"):
        optimizer.groups = ["conv*:frozen"]
    with pytest.raises(ArgumentError, match="matches only parameters of groups before it"):
        optimizer.groups = ["*:lr_factor=2", "0.*:frozen"]
    with pytest.raises(ArgumentError, match="freeze all parameters"):
        optimizer.groups = ["*:frozen"]
    with pytest.raises(ArgumentError, match="must be a list of Group"):
        optimizer.groups = 3
    assert optimizer.groups == ()
    for settings in ({"lr_factor": 0}, {"lr_factor": np.inf}, {"weight_decay": -1}):
        with pytest.raises(ArgumentError, match=next(iter(settings))):
            Group("*", **settings)
    with pytest.raises(ArgumentError, match="neither lr_factor nor"):
        Group("*", lr_factor=2, frozen=True)
    with pytest.raises(ArgumentError, match="smallest normal number"):
        optimizer.groups = [Group("*", weight_decay=1e-60)]
