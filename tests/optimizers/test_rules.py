"""Every optimizer against its paper's formulas in plain float64, and against hand numbers."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    RMSProp,
    clip_grad_norm,
    create,
    settings,
)
from minicnn.parameter import Parameter

GRADS = np.random.default_rng(1).normal(size=(4, 3, 5))
START = np.random.default_rng(2).normal(size=(3, 5))
EVERY = {
    "sgd": {},
    "sgd momentum": {"momentum": 0.9},
    "sgd nesterov": {"momentum": 0.8, "nesterov": True},
    "sgd dampening": {"momentum": 0.8, "dampening": 0.3},
    "adagrad": {"lr_decay": 0.01, "initial_accumulator_value": 0.5},
    "rmsprop": {},
    "rmsprop momentum": {"momentum": 0.7, "alpha": 0.9},
    "adam": {},
    "adamw": {"betas": (0.8, 0.95)},
    "nadam": {"momentum_decay": 0.5},
    "nadam decoupled": {"decoupled_weight_decay": True},
    "lion": {"betas": (0.8, 0.95)},
}


def make(case, parameters, **more):
    return create(case.split()[0], parameters, **{"lr": 0.1, **EVERY[case], **more})


def run(optimizer, parameter, grads):
    for grad in grads:
        parameter.grad[...] = grad
        optimizer.step()
    return parameter.value


# The formulas, one step after the other, as in the papers.


def sgd(w, grads, lr, momentum=0.0, weight_decay=0.0, nesterov=False, dampening=0.0):
    v = None
    for g in grads:
        g = g + weight_decay * w
        v = g if v is None else momentum * v + (1 - dampening) * g
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def adagrad(w, grads, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    s = initial_accumulator_value
    for t, g in enumerate(grads, start=1):
        g = g + weight_decay * w
        s = s + g**2
        w = w - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s) + eps)
    return w


def rmsprop(w, grads, lr, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
    s = v = 0
    for g in grads:
        g = g + weight_decay * w
        s = alpha * s + (1 - alpha) * g**2
        v = momentum * v + g / (np.sqrt(s) + eps)
        w = w - lr * v
    return w


def adam(w, grads, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    m = v = 0
    for t, g in enumerate(grads, start=1):
        g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def adamw(w, grads, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    m = v = 0
    for t, g in enumerate(grads, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        w = (1 - lr * weight_decay) * w
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def nadam(
    w, grads, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3,
    decoupled_weight_decay=False,
):  # fmt: skip
    mu = betas[0] * (1 - 0.5 * 0.96 ** (momentum_decay * np.arange(len(grads) + 2)))
    m = v = 0
    for t, g in enumerate(grads, start=1):
        if decoupled_weight_decay:
            w = (1 - lr * weight_decay) * w
        else:
            g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat = mu[t + 1] * m / (1 - np.prod(mu[1 : t + 2]))
        m_hat = m_hat + (1 - mu[t]) * g / (1 - np.prod(mu[1 : t + 1]))
        w = w - lr * m_hat / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def lion(w, grads, lr, betas=(0.9, 0.99), weight_decay=0.0):
    m = np.zeros_like(w)
    for g in grads:
        w = w - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * w)
        m = betas[1] * m + (1 - betas[1]) * g
    return w


FORMULAS = {
    "sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adamw,
    "nadam": nadam, "lion": lion,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.3}])
@pytest.mark.parametrize("case", EVERY)
def test_steps_follow_the_formulas(case, more, dtype):
    parameter = Parameter(START.astype(dtype))
    result = run(make(case, [parameter], **more), parameter, GRADS)
    expected = FORMULAS[case.split()[0]](START, GRADS, lr=0.1, **EVERY[case], **more)
    # Some ten roundings a step of numbers of order 1, and those of the gradients given.
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("eps", [0.5, 1e-8])
@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam", "adamw", "nadam"])
def test_eps_is_added_to_the_root(name, eps):
    parameter = Parameter(START.copy())
    result = run(create(name, [parameter], lr=0.1, eps=eps), parameter, GRADS)
    np.testing.assert_allclose(result, FORMULAS[name](START, GRADS, 0.1, eps=eps), rtol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "settings", "values"),
    [
        # w = 1, then gradients 1 and 2; by hand.
        (SGD, {"lr": 0.5}, [0.5, -0.5]),
        (SGD, {"lr": 0.5, "weight_decay": 0.5}, [0.25, -0.8125]),  # 1.5; 2.125
        (SGD, {"lr": 0.5, "momentum": 0.5}, [0.5, -0.75]),  # v = 1; 2.5
        (SGD, {"lr": 0.5, "momentum": 0.5, "nesterov": True}, [0.25, -1.375]),  # 1.5; 3.25
        # v = 1; 1/2 + 1/4 · 2
        (SGD, {"lr": 0.5, "momentum": 0.5, "dampening": 0.75}, [0.5, 0.0]),
        # s = 3 + 1, then 8; rates 1/2 and 1/4
        (
            Adagrad,
            {"lr": 0.5, "initial_accumulator_value": 3.0, "lr_decay": 1.0},
            [0.75, 0.75 - 0.5 / np.sqrt(8)],
        ),
        # s = 1/4, then 1/4 · 3/4 + 4/4 = 19/16
        (RMSProp, {"lr": 0.5, "alpha": 0.75}, [0.0, -1 / np.sqrt(19 / 16)]),
        # m_hat / sqrt(v_hat) = 1; m = .75 of 1 and 2 weighted 1:2 -> 5/3; v_hat = 9/3 -> 3
        (Adam, {"lr": 0.5, "betas": (0.5, 0.5)}, [0.5, 0.5 - 0.5 * (5 / 3) / np.sqrt(3)]),
        (AdamW, {"lr": 0.5, "weight_decay": 0.5}, [0.25]),  # 1 · (1 - 1/4) - 1/2
        # mu = 1/4 always: m_hat = 1/4 · 1/2 / (15/16) + 3/4 · 1 / (3/4) = 17/15
        (NAdam, {"lr": 0.5, "betas": (0.5, 0.5), "momentum_decay": 0.0}, [1 - 17 / 30]),
        (Lion, {"lr": 0.5, "weight_decay": 0.5}, [0.25, -0.3125]),  # 1/4 · (1 - 1/4) - 1/2
    ],
)
def test_hand_computed_steps(optimizer, settings, values):
    parameter = Parameter(np.ones(1))
    rule = optimizer([parameter], **settings)
    for grad, value in zip([1.0, 2.0], values):
        run(rule, parameter, [grad])
        np.testing.assert_allclose(parameter.value, value, rtol=0, atol=1e-7)  # eps is 1e-8


def test_first_adam_step_is_lr_in_the_gradients_sign_whatever_its_size():
    parameter = Parameter(np.zeros(4))
    run(Adam([parameter], lr=0.01), parameter, [[1e-3, -1e-3, 1e4, -1e4]])
    np.testing.assert_allclose(parameter.value, [-0.01, 0.01, -0.01, 0.01], rtol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", EVERY)
def test_finds_the_minimum_of_a_quadratic(case, dtype):
    """f(w) = ½ Σ c (w - target)², curvatures c from 0.5 to 2."""
    curvature, target = np.array([0.5, 1, 2]), np.array([1, -2, 0.5])
    parameter = Parameter(np.zeros(3, dtype))
    optimizer = make(case, [parameter], weight_decay=0.0)
    lr = 1.0 if case == "adagrad" else 0.1  # which falls by itself
    for step in range(400):
        optimizer.lr = lr * (1 - step / 400) + 1e-6
        run(optimizer, parameter, [curvature * (parameter.value - target)])
    np.testing.assert_allclose(parameter.value, target, atol=2e-3)


@pytest.mark.parametrize("case", EVERY)
def test_weight_decay_only_where_the_parameter_says_so(case):
    def after(weight_decay, decay):
        parameter = Parameter(START.copy(), decay=decay)
        return run(make(case, [parameter], weight_decay=weight_decay), parameter, GRADS)

    np.testing.assert_array_equal(after(0.3, decay=False), after(0.0, decay=True))
    assert (after(0.3, decay=True) != after(0.0, decay=True)).all()


def test_adamw_decays_by_its_own_default_and_apart_from_the_gradient():
    """With a zero gradient Adam's L2 term moves by lr; AdamW shrinks by lr · decay."""
    parameter = Parameter(np.array([2.0]))
    run(AdamW([parameter], lr=0.1), parameter, [0.0])
    assert parameter.value[0] == pytest.approx(2 * (1 - 0.1 * 0.01), rel=1e-12)
    parameter = Parameter(np.array([2.0]))
    run(Adam([parameter], lr=0.1, weight_decay=0.01), parameter, [0.0])
    assert parameter.value[0] == pytest.approx(2 - 0.1, rel=1e-6)


@pytest.mark.parametrize("first", [0.0, 1e-30, -1e30])
def test_lion_moves_by_the_sign_whatever_the_size(first):
    parameter = Parameter(np.zeros(2, np.float32))
    run(Lion([parameter], lr=0.5), parameter, [[first, np.nan]])
    np.testing.assert_array_equal(parameter.value, [-0.5 * np.sign(first), np.nan])


def test_lion_steps_by_one_average_and_keeps_another():
    """By hand: m = 1/4, then c = 1/8 - 3/20 < 0, so that w returns; m = 9/80, and c = 1/160."""
    parameter = Parameter(np.zeros(1))
    optimizer = Lion([parameter], lr=1.0, betas=(0.5, 0.75))
    found = [float(run(optimizer, parameter, [g])[0]) for g in (1.0, -0.3, -0.1, -0.3)]
    assert found == [-1, 0, -1, 0]


def test_dampening_begins_ends_and_leaves_the_first_gradient_of_a_momentum_whole():
    parameter = Parameter(np.zeros(1))
    optimizer = SGD([parameter], lr=1.0, dampening=0.75)
    values = []
    for momentum, dampening in [(0.0, 0.75), (0.5, 0.75), (0.5, 0.75), (0.5, 0.0), (0.5, 0.5)]:
        optimizer.momentum, optimizer.dampening = momentum, dampening
        values.append(float(run(optimizer, parameter, [1.0])[0]))
    # 1 without velocity; then v = 1, 1/2 + 1/4, 3/8 + 1, 11/16 + 1/2
    np.testing.assert_array_equal(-np.diff(values, prepend=0), [1, 1, 0.75, 1.375, 1.1875])
    optimizer.nesterov = True
    with pytest.raises(ArgumentError, match="nesterov takes no dampening, got 0.5"):
        optimizer.step()
    with pytest.raises(ArgumentError, match="nesterov takes no dampening"):
        SGD([parameter], lr=1.0, momentum=0.5, nesterov=True, dampening=0.1)


def test_nadam_s_product_of_momenta_is_that_of_the_steps_and_settings():
    """However the step was come to: one by one, from a state, by settings set anew."""
    found = []
    for betas, jump in [((0.9, 0.999), 0), ((0.9, 0.999), 7), ((0.5, 0.999), 0)]:
        parameter = Parameter(START.copy())
        optimizer = NAdam([parameter], lr=0.1, betas=betas, momentum_decay=2.0)
        optimizer.beta1 = 0.9 if jump else betas[0]
        while optimizer.steps < 7 and not jump:
            run(optimizer, parameter, GRADS[:1])
        optimizer.beta1, optimizer.steps = 0.9, 8
        found.append(optimizer.numbers(0.0))
    assert found[0] == found[1] == found[2]


def test_parameters_of_several_shapes_are_changed_in_place_and_gradients_kept():
    shapes = [(), (3,), (2, 1, 3, 3)]
    parameters = [Parameter(np.ones(shape, np.float32)) for shape in shapes]
    values = [p.value for p in parameters]
    optimizer = SGD(parameters, lr=0.25)
    for p in parameters:
        p.grad[...] = 2
    optimizer.step()
    for p, value in zip(parameters, values):
        assert p.value is value
        np.testing.assert_array_equal(value, np.full(value.shape, 0.5))
        np.testing.assert_array_equal(p.grad, 2)


def named(dtype=np.float32):
    pair = [Parameter(START.astype(dtype)), Parameter(np.ones(4, dtype), decay=False)]
    pair[0].name = "0.weight"
    return pair


def train(optimizer, grads):
    for grad in grads:
        optimizer.parameters[0].grad[...] = grad
        optimizer.parameters[1].grad[...] = grad.ravel()[:4]
        optimizer.step()


@pytest.mark.parametrize("case", EVERY)
def test_state_continues_bit_for_bit(case):
    straight, first, second = named(), named(), named()
    train(make(case, straight), GRADS)
    stopped = make(case, first)
    train(stopped, GRADS[:2])
    state = stopped.state_dict()
    train(stopped, GRADS)  # the state is a copy: this must not reach it
    resumed = make(case, second)
    train(make(case, second), GRADS[:2])
    resumed.load_state_dict(state)
    assert resumed.steps == 2
    train(resumed, GRADS[2:])
    for a, b in zip(straight, second):
        np.testing.assert_array_equal(a.value, b.value)


def test_state_names_and_shapes():
    state = SGD(named(), lr=0.1, momentum=0.9).state_dict()
    assert {k: v.shape for k, v in state.items()} == {
        "steps": (), "0.weight.velocity": (3, 5), "1.velocity": (4,),
    }  # fmt: skip
    assert set(Adam(named(), lr=0.1).state_dict()) == {
        "steps", "0.weight.first_moment", "0.weight.second_moment", "1.first_moment",
        "1.second_moment",
    }  # fmt: skip
    assert set(SGD(named(), lr=0.1).state_dict()) == {"steps"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("1.velocity"), r"missing \['1.velocity'\]"),
        (lambda s: s.update(other=np.zeros(1)), r"not known \['other'\]"),
        (lambda s: s.update({"1.velocity": np.zeros(5, np.float32)}), r"\(4,\).*\(5,\)"),
        (lambda s: s.update({"1.velocity": np.zeros(4)}), "float32.*float64"),
        (lambda s: s.update(steps=np.array(-1)), "at least 0"),
        (lambda s: s.update(steps=np.array(1.0)), "int64.*float64"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    source = SGD(named(), lr=0.1, momentum=0.9)
    train(source, GRADS)
    state = source.state_dict()
    change(state)
    optimizer = SGD(named(), lr=0.1, momentum=0.9)
    with pytest.raises(ArgumentError, match=message):
        optimizer.load_state_dict(state)
    assert all(not array.any() for array in optimizer.state_dict().values())


def test_state_of_parameters_with_one_name_is_refused():
    pair = named()
    pair[1].name = "0.weight"
    with pytest.raises(ArgumentError, match="share a name"):
        Adam(pair, lr=0.1).state_dict()


def test_momentum_may_be_moved_and_raised_from_zero():
    parameter = Parameter(START.copy())
    optimizer = SGD([parameter], lr=0.1)
    run(optimizer, parameter, GRADS[:1])
    optimizer.momentum = 0.9
    run(optimizer, parameter, GRADS[1:])
    after_one = START - 0.1 * GRADS[0]
    np.testing.assert_allclose(
        parameter.value, sgd(after_one, GRADS[1:], 0.1, 0.9), rtol=0, atol=1e-14
    )
    optimizer = Adam([parameter], lr=0.1)
    optimizer.beta1 = 0.5
    start = parameter.value.copy()
    run(optimizer, parameter, GRADS)
    np.testing.assert_allclose(
        parameter.value, adam(start, GRADS, 0.1, (0.5, 0.999)), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("cls", [SGD, Adagrad, RMSProp, Adam, AdamW, NAdam, Lion])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("lr", v) for v in (0, -1, np.nan, np.inf, "0.1", None, True)],
        *[("weight_decay", v) for v in (-0.1, np.nan)],
        *[("momentum", v) for v in (-0.1, 1, 1.5, np.nan)],
        *[("alpha", v) for v in (-0.1, 1)],
        *[("dampening", v) for v in (-0.1, 1.1, np.nan)],
        *[("lr_decay", v) for v in (-0.1, np.inf)],
        *[("initial_accumulator_value", v) for v in (-0.1, np.inf)],
        *[("momentum_decay", v) for v in (-0.1, np.inf)],
        *[("eps", v) for v in (0, -1e-8, np.inf)],
        *[("betas", v) for v in (0.9, (0.9,), (1, 0.9), (0.9, 1), (-0.1, 0.9), (0.9, np.nan))],
        ("nesterov", True),
    ],
)
def test_settings_out_of_range(cls, name, value):
    taken = settings(cls.__name__.lower())
    with pytest.raises(ArgumentError, match=name.rstrip("s")):
        create(cls.__name__.lower(), [Parameter(START.copy())], **{name: value})
    if name in taken and hasattr(cls, name):
        optimizer = cls([Parameter(START.copy())], lr=0.1)
        before = getattr(optimizer, name)
        with pytest.raises(ArgumentError, match=f"{cls.__name__}: {name} must be"):
            setattr(optimizer, name, value)
        assert getattr(optimizer, name) == before


def test_parameters_that_cannot_be_trained():
    parameter = Parameter(START.copy())
    with pytest.raises(ArgumentError, match="build the model first"):
        SGD([], lr=0.1)
    with pytest.raises(ArgumentError, match="twice"):
        SGD([parameter, Parameter(START.copy()), parameter], lr=0.1)
    with pytest.raises(ArgumentError, match="int64"):
        SGD([Parameter(np.arange(3))], lr=0.1)


def test_registry():
    parameters = [Parameter(START.copy())]
    assert type(create("adamw", parameters)) is AdamW
    assert create("sgd", parameters).lr == 0.03
    assert create("adam", parameters).lr == 0.001
    assert create("rmsprop", parameters, lr=0.5).lr == 0.5
    assert create("sgd", parameters, momentum=0.9, nesterov=True).nesterov
    assert create("adamw", parameters).weight_decay == 0.01
    assert list(settings("sgd")) == ["lr", "momentum", "weight_decay", "nesterov", "dampening"]
    defaults = {"adagrad": 0.01, "nadam": 0.002, "lion": 0.0003}
    assert {name: create(name, parameters).lr for name in defaults} == defaults
    with pytest.raises(ArgumentError, match="Did you mean 'adamw'"):
        create("adanw", parameters)
    with pytest.raises(ArgumentError, match="adam takes no 'momentum'; it takes lr, betas, eps"):
        create("adam", parameters, momentum=0.9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_grad_norm(dtype):
    pair = [Parameter(np.ones(2, dtype)), Parameter(np.ones((1, 1), dtype))]
    pair[0].grad[...], pair[1].grad[...] = (2, 3), 6  # norm 7
    assert clip_grad_norm(pair, 7.5) == 7
    np.testing.assert_array_equal(pair[0].grad, [2, 3])
    assert clip_grad_norm(pair, 3.5) == 7
    np.testing.assert_allclose(pair[0].grad, [1, 1.5], rtol=1e-6)
    np.testing.assert_allclose(pair[1].grad, 3, rtol=1e-6)
    assert pair[0].grad.dtype == dtype
    for broken in (np.nan, np.inf):
        pair[1].grad[...] = broken
        np.testing.assert_equal(clip_grad_norm(pair, 1.0), broken)
        np.testing.assert_allclose(pair[0].grad, [1, 1.5], rtol=1e-6)
    for wrong in (0, -1, np.nan):
        with pytest.raises(ArgumentError, match="max_norm"):
            clip_grad_norm(pair, wrong)


def parameters_with(grad, count=3):
    made = [Parameter(np.zeros(4)) for _ in range(count)]
    for parameter in made:
        parameter.grad[...] = grad
    return made


@pytest.mark.parametrize("given", [
    lambda p: (each for each in p), iter, tuple, lambda p: {id(each): each for each in p}.values(),
    lambda p: filter(None, p), lambda p: map(lambda each: each, p),
])  # fmt: skip
def test_parameters_may_be_given_one_by_one(given):
    made = parameters_with(10.0)
    assert clip_grad_norm(given(made), 1.0) == pytest.approx(10 * 12**0.5)
    clipped = np.concatenate([parameter.grad for parameter in made])
    np.testing.assert_allclose(np.linalg.norm(clipped), 1, rtol=1e-14)
    for name in FORMULAS:
        optimizer = create(name, given(made))
        optimizer.step()
        assert optimizer.parameters == made


@pytest.mark.parametrize("take", [
    lambda p: clip_grad_norm(p, 1.0), lambda p: SGD(p, 0.1), lambda p: create("adam", p),
])  # fmt: skip
def test_what_is_no_list_of_parameters(take):
    one, two = parameters_with(1.0, 2)
    used = (each for each in [one, two])
    list(used)
    for given, message in [
        (used, "needs parameters, got none: .*generator anew"),
        ([], "needs parameters, got none"),
        (one, "needs a list of parameters"),
        (None, "needs a list of parameters"),
        (lambda: [one], "needs a list of parameters"),
        ([one, two, one], "got a parameter twice"),
        ([one.value], "needs parameters, as model"),
        ({"one": one}, "needs parameters, as model"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            take(given)
    np.testing.assert_array_equal(one.grad, 1)


@pytest.mark.parametrize(
    "dtype, tiny", [(np.float32, 1e-46), (np.float32, 1e-39), (np.float64, 1e-310)]
)
def test_settings_that_the_dtype_holds_as_0_or_denormal_are_refused(dtype, tiny):
    parameter = Parameter(np.ones(2, dtype))
    cases = [("rmsprop", "eps"), ("adam", "eps"), ("adamw", "eps"), ("sgd", "lr"), ("adam", "lr"),
             ("sgd", "weight_decay"), ("adamw", "weight_decay"),
             ("adagrad", "initial_accumulator_value")]  # fmt: skip
    for name, setting in cases:
        with pytest.raises(ArgumentError, match=f"{setting} must be at least .* normal number"):
            create(name, [parameter], **{"lr": 0.1, setting: tiny})
    optimizer = create("adam", [parameter], lr=0.1)
    with pytest.raises(ArgumentError, match="eps must be at least"):
        optimizer.eps = tiny
    with pytest.raises(ArgumentError, match="max_norm must be at least"):
        clip_grad_norm([parameter], tiny)
    optimizer.lr = tiny  # where a schedule ends


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam", "adamw", "nadam"])
def test_the_smallest_eps_keeps_the_divisor_from_zero(name, dtype):
    parameter = Parameter(np.ones(2, dtype))
    parameter.grad[...] = [0, 1]
    create(name, [parameter], lr=0.1, eps=float(np.finfo(dtype).tiny), weight_decay=0).step()
    assert np.isfinite(parameter.value).all() and parameter.value[0] == 1
