"""The documented equations against difference quotients, SciPy, and numbers by hand."""

import math

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d
from scipy.special import expit, ndtr

from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.gradcheck import check_function

# C_in, H, W, C_out, kernel size, and the settings; images and kernels are never square.
CONVOLUTIONS = {
    "plain": ((3, 5, 6), 4, (2, 3), {}),
    "padding wider than the kernel": ((2, 3, 4), 2, (1, 2), {"padding": (2, 3)}),
    "stride": ((2, 7, 6), 3, (3, 2), {"stride": (2, 3)}),
    "stride that leaves rows and columns out": ((1, 8, 9), 2, (2, 3), {"stride": (3, 2)}),
    "stride and padding": ((2, 6, 5), 2, (3, 2), {"stride": (2, 3), "padding": (1, 2)}),
    "stride beyond a kernel of one": ((1, 2, 1), 1, (1, 1), {"stride": 7, "padding": 3}),
    "dilation": ((2, 7, 6), 3, (3, 2), {"dilation": (2, 3)}),
    "groups": ((6, 4, 5), 4, (2, 3), {"groups": 2}),
    "depthwise": ((3, 4, 5), 6, (2, 3), {"groups": 3, "padding": 1}),
    "everything": (
        (4, 7, 9), 6, (2, 3),
        {"stride": (2, 3), "padding": (2, 1), "dilation": (3, 2), "groups": 2},
    ),
}  # fmt: skip


def convolution(name, seed=0):
    """Input, weights, bias, a delta for the output, and the settings of a named case."""
    shape, c_out, kernel_size, settings = CONVOLUTIONS[name]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    w = rng.normal(size=(c_out, shape[0] // settings.get("groups", 1), *kernel_size))
    b = rng.normal(size=c_out)
    delta = rng.normal(size=ref.correlate(x, w, b, **settings).shape)
    return x, w, b, delta, settings


def assert_gradients(f, arrays, gradients, delta=1.0, tolerance=1e-8):
    """Hold gradients of E = <f(), delta> against central differences with h = 1e-5."""
    report = check_function(lambda: float(np.sum(f() * delta)), arrays, gradients)
    assert report.worst < tolerance, report


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_correlate_is_scipys(name):
    x, w, b, _, settings = convolution(name)
    (sh, sw), (ph, pw), (dh, dw) = (
        np.broadcast_to(settings.get(key, plain), 2)
        for key, plain in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    groups = settings.get("groups", 1)
    holes = np.zeros((*w.shape[:2], dh * (w.shape[2] - 1) + 1, dw * (w.shape[3] - 1) + 1))
    holes[:, :, ::dh, ::dw] = w
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw)))
    z = ref.correlate(x, w, b, **settings)
    for o in range(len(w)):
        group = o // (len(w) // groups)
        planes = padded[group * w.shape[1] :][: w.shape[1]]
        whole = sum(correlate2d(plane, k, "valid") for plane, k in zip(planes, holes[o]))
        np.testing.assert_allclose(z[o], whole[::sh, ::sw] + b[o], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_gradients_are_difference_quotients(name):
    x, w, b, delta, settings = convolution(name)
    gradients = {
        "x": ref.conv_input_gradient(delta, w, x.shape, **settings),
        "w": ref.conv_weight_gradient(delta, x, w.shape, **settings),
        "b": ref.conv_bias_gradient(delta),
    }
    arrays = {"x": x, "w": w, "b": b}
    assert_gradients(lambda: ref.correlate(x, w, b, **settings), arrays, gradients, delta)


def test_weight_gradient_of_true_convolution_belongs_to_another_forward_pass():
    """pad(delta) * rot180(x), * a true convolution, is right only if the forward pass is one."""
    rng = np.random.default_rng(0)
    x, w, delta = (rng.normal(size=(1, 1, *size)) for size in ((6, 7), (3, 2), (4, 6)))
    other = convolve2d(np.pad(delta[0, 0], ((2, 2), (1, 1))), ref.rot180(x)[0, 0], "valid")
    right = ref.conv_weight_gradient(delta[0], x[0], w.shape)[0, 0]

    def correlation():
        return ref.correlate(x[0], w)

    def true_convolution():
        return convolve2d(x[0, 0], w[0, 0], "valid")

    assert_gradients(correlation, {"w": w[0, 0]}, {"w": right}, delta[0])
    assert_gradients(true_convolution, {"w": w[0, 0]}, {"w": other}, delta[0, 0])
    assert abs(other - right).max() > 5
    np.testing.assert_allclose(other, ref.rot180(right), atol=1e-13)


def test_a_convolution_by_hand():
    x = np.arange(6.0).reshape(1, 2, 3)
    w = np.array([[[[1.0, 10.0]]], [[[0.0, -1.0]]]])
    z = ref.correlate(x, w, np.array([0.5, 0.0]), padding=(0, 1), stride=(1, 2))
    np.testing.assert_array_equal(z, [[[0.5, 21.5], [30.5, 54.5]], [[0, -2], [-3, -5]]])


def test_pad_and_dilate():
    x = np.arange(1.0, 7).reshape(1, 2, 3)
    np.testing.assert_array_equal(ref.pad(x, (-1, 1), (0, -1), 9), [[[4, 5], [9, 9]]])
    np.testing.assert_array_equal(
        ref.dilate(x, (2, 3)),
        [[[1, 0, 0, 2, 0, 0, 3], [0, 0, 0, 0, 0, 0, 0], [4, 0, 0, 5, 0, 0, 6]]],
    )
    # What is cropped in front may reach into the zeros put behind.
    np.testing.assert_array_equal(ref.pad(x, (-3, 2), (0, 0)), [[[0, 0, 0]]])


def test_trans_swaps_the_channels_of_each_group_and_undoes_itself():
    w = np.random.default_rng(0).normal(size=(6, 3, 3, 4))
    swapped = ref.trans(w, 2)
    assert swapped.shape == (6, 3, 3, 4)
    for group, o, c in np.ndindex(2, 3, 3):
        np.testing.assert_array_equal(swapped[3 * group + c, o], w[3 * group + o, c])
    assert ref.trans(w[:, :1]).shape == (1, 6, 3, 4)
    np.testing.assert_array_equal(ref.trans(ref.trans(w)), w)
    assert ref.rot180(w)[1, 0, 0, 0] == w[1, 0, 2, 3]


def test_dense_by_hand():
    w, x, b = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([1.0, 0, -1]), np.ones(2)
    np.testing.assert_array_equal(ref.dense(x, w, b), [-1, -1])
    np.testing.assert_array_equal(ref.dense_input_gradient(np.array([1.0, -1]), w), [-3, -3, -3])
    np.testing.assert_array_equal(
        ref.dense_weight_gradient(np.array([2.0, 3.0]), x), [[2, 0, -2], [3, 0, -3]]
    )


POOLS = [
    (2, None, 0), ((2, 3), None, 0), (3, 2, 1), ((3, 2), (1, 2), (1, 0)), (2, 3, 1), (3, 1, 0)
]  # fmt: skip


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), POOLS)
def test_pooling_gradients_are_difference_quotients(kernel_size, stride, padding):
    rng = np.random.default_rng(0)
    # A shuffled ladder: no two elements closer than the step, so no maximum changes place.
    x = rng.permutation(84).reshape(2, 6, 7) / 40 - 1
    settings = (kernel_size, stride, padding)
    delta = rng.normal(size=ref.max_pool(x, *settings).shape)
    largest = ref.max_pool_gradient(delta, x, *settings)
    assert_gradients(lambda: ref.max_pool(x, *settings), {"x": x}, {"x": largest}, delta)
    mean = ref.average_pool_gradient(delta, x.shape, *settings)
    assert_gradients(lambda: ref.average_pool(x, *settings), {"x": x}, {"x": mean}, delta)


def test_max_pool_takes_the_first_of_equals():
    x = np.zeros((1, 4, 4))
    x[0, 2:, 2:] = [[1, 5], [5, 5]]
    mask = ref.max_pool_mask(x, 2)
    np.testing.assert_array_equal(mask[0, 0, 1], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(mask[0, 1, 1], [[0, 1], [0, 0]])
    np.testing.assert_array_equal(mask.sum(axis=(3, 4)), np.ones((1, 2, 2)))
    dx = ref.max_pool_gradient(np.array([[[1.0, 2], [3, 4]]]), x, 2)
    np.testing.assert_array_equal(dx, [[[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 0, 4], [0, 0, 0, 0]]])


def test_overlapping_windows_add():
    x = np.zeros((1, 3, 3))
    x[0, 1, 1] = 1
    delta = np.array([[[1.0, 10], [100, 1000]]])
    np.testing.assert_array_equal(
        ref.max_pool_gradient(delta, x, 2, 1), [[[0, 0, 0], [0, 1111, 0], [0, 0, 0]]]
    )
    np.testing.assert_array_equal(
        ref.average_pool_gradient(delta * 4, x.shape, 2, 1),
        [[[1, 11, 10], [101, 1111, 1010], [100, 1100, 1000]]],
    )


def test_max_pool_never_chooses_the_padding():
    x = -1 - np.arange(4.0).reshape(1, 2, 2)
    z = ref.max_pool(x, 2, 1, 1)
    np.testing.assert_array_equal(z, [[[-1, -1, -2], [-1, -1, -2], [-3, -3, -4]]])
    delta = np.ones((1, 3, 3))
    np.testing.assert_array_equal(ref.max_pool_gradient(delta, x, 2, 1, 1), [[[4, 2], [2, 1]]])


def test_average_pool_counts_padded_zeros():
    x = np.array([[[4.0, 8.0], [12.0, 16.0]]])
    np.testing.assert_array_equal(
        ref.average_pool(x, 2, 1, 1), [[[1, 3, 2], [4, 10, 6], [3, 7, 4]]]
    )
    np.testing.assert_array_equal(ref.average_pool(x, 2), [[[10]]])


GELU_W = 2 * math.sqrt(2 / math.pi)
# Of z = -2 and z = 1.5; the special functions are SciPy's.
VALUES = {
    "identity": (-2, 1.5),
    "relu": (0, 1.5),
    "leaky-relu": (-0.02, 1.5),
    "prelu": (-0.5, 1.5),
    "elu": (math.exp(-2) - 1, 1.5),
    "selu": (1.0507009873554805 * 1.6732632423543772 * (math.exp(-2) - 1), 1.5760514810332207),
    "gelu": (-2 * ndtr(-2), 1.5 * ndtr(1.5)),
    "sigmoid": (expit(-2), expit(1.5)),
    "tanh": (2 * expit(-4) - 1, 2 * expit(3) - 1),
    "softsign": (-2 / 3, 0.6),
    "celu": (math.exp(-2) - 1, 1.5),
    "gelu-tanh": (-2 * expit(GELU_W * -2 * 1.17886), 1.5 * expit(GELU_W * 1.5 * 1.10060875)),
    "silu": (-2 * expit(-2), 1.5 * expit(1.5)),
    "mish": (-2 * math.tanh(math.log1p(math.exp(-2))), 1.5 * math.tanh(math.log1p(math.exp(1.5)))),
    "softplus": (math.log1p(math.exp(-2)), math.log1p(math.exp(1.5))),
    "relu6": (0, 1.5),
    "hardsigmoid": (1 / 6, 0.75),
    "hardswish": (-1 / 3, 1.125),
}


@pytest.mark.parametrize("name", ref.ACTIVATIONS)
def test_activation_values(name):
    a = ref.activation(name, np.array([-2, 1.5]))
    np.testing.assert_allclose(a, VALUES[name], rtol=1e-14)


@pytest.mark.parametrize("name", ref.ACTIVATIONS)
def test_activation_gradient_is_the_diagonal_of_the_jacobian(name):
    z = np.array([-3.1, -1.0, -0.2, 0.3, 1.2, 2.5])
    delta = np.array([1.0, -2.0, 3.0, 0.5, -0.7, 1.1])
    gradient = ref.activation_gradient(name, z, delta)
    assert_gradients(lambda: ref.activation(name, z), {"z": z}, {"z": gradient}, delta)
    for i, e in enumerate(np.eye(len(z))):
        row = ref.activation_gradient(name, z, e)
        assert row[i] == pytest.approx(gradient[i] / delta[i], rel=1e-15)
        assert not row[e == 0].any()


def test_selu_keeps_mean_0_and_variance_1():
    """The fixed point from which Klambauer et al. derive the two constants; z is normal."""
    z, width = np.linspace(-12, 12, 480_001, retstep=True)
    weight = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * width
    a = ref.activation("selu", z)
    assert np.sum(weight * a) == pytest.approx(0, abs=1e-9)
    assert np.sum(weight * a**2) == pytest.approx(1, abs=1e-9)


def test_activation_settings():
    z = np.array([-2.0, 3.0])
    np.testing.assert_array_equal(ref.activation("leaky-relu", z, 0.5), [-1, 3])
    np.testing.assert_array_equal(ref.activation("elu", z, 2.0), [2 * math.expm1(-2), 3])
    np.testing.assert_array_equal(ref.activation_gradient("elu", z, z, 2.0), [-4 * math.exp(-2), 3])
    images = np.full((2, 1, 3), -4.0)
    slopes = np.array([0.25, 0.5]).reshape(2, 1, 1)
    np.testing.assert_array_equal(ref.activation("prelu", images, slopes)[:, 0, 0], [-1, -2])
    ones = np.ones_like(images)
    gradient = ref.activation_gradient("prelu", images, ones, slopes)
    np.testing.assert_array_equal(gradient, ones * slopes)


def test_slope_at_the_kink_is_that_of_the_negative_side():
    for name, slope in (("relu", 0), ("leaky-relu", 0.01), ("prelu", 0.25), ("elu", 1)):
        assert ref.activation_gradient(name, np.zeros(1), np.ones(1)) == slope


def test_prelu_slope_gradient_is_a_difference_quotient():
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 3, 4, 5))
    a = np.array([0.25, -0.5, 0.1]).reshape(3, 1, 1)
    gradient = ref.prelu_slope_gradient(z, delta).reshape(3, 1, 1)
    assert_gradients(lambda: ref.activation("prelu", z, a), {"a": a}, {"a": gradient}, delta)
    np.testing.assert_array_equal(
        ref.prelu_slope_gradient(np.array([-2.0, 2]), np.ones(2)), [-2, 0]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ref.ACTIVATIONS)
def test_activations_are_finite_far_out(name, dtype):
    z = np.array([-1e4, -100, 100, 1e4], dtype)
    a, slope = ref.activation(name, z), ref.activation_gradient(name, z, np.ones_like(z))
    assert np.isfinite(a).all() and np.isfinite(slope).all()
    assert a.dtype == slope.dtype == dtype
    bumps = ("gelu-tanh", "silu", "mish")  # at -100 they are below 0 still, in float64
    assert (np.diff(a) >= 0).all() or name in bumps and abs(a[:2]).max() < 1e-40


def test_cross_entropy_values():
    scores = np.array([1.0, 2.0, 3.0])
    log_partition = math.log(math.exp(-2) + math.exp(-1) + 1)  # of scores - 3
    assert ref.cross_entropy(scores, 2) == pytest.approx(log_partition, rel=1e-14)
    # With smoothing .3 the target is (.1, .1, .8): .1 * 2 + .1 * 1 more.
    assert ref.cross_entropy(scores, 2, 0.3) == pytest.approx(log_partition + 0.3, rel=1e-14)
    assert ref.cross_entropy(np.zeros(10), 3) == pytest.approx(math.log(10), rel=1e-15)
    np.testing.assert_allclose(ref.smoothed_target(scores, 2, 0.3), [0.1, 0.1, 0.8], rtol=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_gradient_is_a_difference_quotient(smoothing):
    scores = np.random.default_rng(0).normal(size=7)
    gradient = ref.cross_entropy_gradient(scores, 4, smoothing)
    assert_gradients(
        lambda: ref.cross_entropy(scores, 4, smoothing), {"s": scores}, {"s": gradient}
    )
    assert abs(gradient.sum()) < 1e-15


def test_softmax_of_huge_scores():
    scores = np.array([1e4, -1e4, 1e4])
    np.testing.assert_array_equal(ref.softmax(scores), [0.5, 0, 0.5])
    assert ref.cross_entropy(scores, 1) == pytest.approx(2e4 + math.log(2), rel=1e-14)
    assert ref.cross_entropy(scores, 0) == pytest.approx(math.log(2), rel=1e-11)


def test_mean_squared_error():
    scores, target = np.array([1.0, 2.0, 4.0, -1.0]), np.array([1.0, 0.0, 3.0, 0.0])
    assert ref.mean_squared_error(scores, target) == 1.5
    gradient = ref.mean_squared_error_gradient(scores, target)
    np.testing.assert_array_equal(gradient, [0, 1, 0.5, -0.5])
    assert_gradients(lambda: ref.mean_squared_error(scores, target), {"s": scores}, {"s": gradient})


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 5)])
def test_batch_norm_gradients_are_difference_quotients(shape):
    rng = np.random.default_rng(0)
    x, delta = rng.normal(2, 3, size=(2, *shape))
    gamma, beta = rng.normal(size=(2, 3))
    dx, d_gamma, d_beta = ref.batch_norm_gradients(delta, x, gamma, eps=0.1)
    arrays = {"x": x, "gamma": gamma, "beta": beta}
    gradients = {"x": dx, "gamma": d_gamma, "beta": d_beta}
    assert_gradients(lambda: ref.batch_norm(x, gamma, beta, eps=0.1), arrays, gradients, delta)


def test_batch_norm_normalizes_each_channel_with_the_biased_variance():
    x = np.random.default_rng(0).normal(2, 3, size=(4, 3, 2, 5))
    y = ref.batch_norm(x, np.array([1.0, 2, 3]), np.array([0.0, 5, -1]), eps=0)
    np.testing.assert_allclose(y.mean((0, 2, 3)), [0, 5, -1], atol=1e-14)
    np.testing.assert_allclose(y.var((0, 2, 3)), [1, 4, 9], rtol=1e-13)
    y = ref.batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=3)
    np.testing.assert_array_equal(y, [[-0.5], [0.5]])


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    ("shape", "own", "groups"), [((6,), (6,), 3), ((4, 2, 3), (4,), 2), ((2, 2, 3), (2, 2, 3), 1)]
)
def test_group_norm_gradients_are_difference_quotients(shape, own, groups, centred):
    rng = np.random.default_rng(0)
    x, delta = rng.normal(2, 3, size=(2, *shape))
    gamma, beta = rng.normal(size=(2, *own))
    settings = {"groups": groups, "eps": 0.1, "centred": centred}
    dx, d_gamma, d_beta = ref.group_norm_gradients(delta, x, gamma, **settings)
    arrays = {"x": x, "gamma": gamma, "beta": beta}
    gradients = {"x": dx, "gamma": d_gamma, "beta": d_beta}
    assert_gradients(lambda: ref.group_norm(x, gamma, beta, **settings), arrays, gradients, delta)


def test_layer_norm_2d_gradients_are_difference_quotients():
    rng = np.random.default_rng(0)
    x, delta = rng.normal(2, 3, size=(2, 4, 2, 3))
    gamma, beta = rng.normal(size=(2, 4))
    dx, d_gamma, d_beta = ref.layer_norm_2d_gradients(delta, x, gamma, 0.1)
    arrays = {"x": x, "gamma": gamma, "beta": beta}
    gradients = {"x": dx, "gamma": d_gamma, "beta": d_beta}
    assert_gradients(lambda: ref.layer_norm_2d(x, gamma, beta, 0.1), arrays, gradients, delta)
    for i, j in np.ndindex(2, 3):  # each pixel is a group of its own
        one = ref.group_norm(x[:, i, j], gamma, beta, eps=0.1)
        np.testing.assert_allclose(
            ref.layer_norm_2d(x, gamma, beta, 0.1)[:, i, j], one, rtol=1e-13, atol=1e-13
        )


def test_group_norm_normalizes_each_group_with_the_biased_variance():
    x = np.random.default_rng(0).normal(2, 3, size=(4, 2, 5))
    rows = ref.group_norm(x, groups=2, eps=0).reshape(2, -1)
    np.testing.assert_allclose(rows.mean(1), 0, atol=1e-15)
    np.testing.assert_allclose(rows.var(1), 1, rtol=1e-13)
    np.testing.assert_array_equal(ref.group_norm(np.array([1.0, 3.0]), eps=3), [-0.5, 0.5])
    y = ref.group_norm(x, eps=0, centred=False)
    np.testing.assert_allclose(y, x / np.sqrt(np.mean(x * x)), rtol=1e-14)


def test_results_have_the_dtype_of_the_input():
    x, w, b, delta, _ = (
        a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in convolution("plain")
    )
    gamma = np.ones(3, np.float32)
    batch = x[None]
    pooled = ref.max_pool(x, 2)
    results = [
        ref.correlate(x, w, b), ref.correlate(x, w),
        ref.conv_input_gradient(delta, w, x.shape), ref.conv_weight_gradient(delta, x, w.shape),
        ref.conv_bias_gradient(delta), pooled, ref.average_pool(x, 2),
        ref.max_pool_gradient(pooled, x, 2), ref.average_pool_gradient(pooled, x.shape, 2),
        ref.dense(b, w[:, :, 0, 0].T, gamma), ref.softmax(b), ref.cross_entropy(b, 1, 0.1),
        ref.cross_entropy_gradient(b, 1, 0.1), ref.mean_squared_error(b, b),
        ref.mean_squared_error_gradient(b, b), ref.prelu_slope_gradient(x, x),
        ref.group_norm(x), *ref.group_norm_gradients(x, x),
        ref.layer_norm_2d(x), *ref.layer_norm_2d_gradients(x, x),
        ref.batch_norm(batch, gamma, gamma), *ref.batch_norm_gradients(batch, batch, gamma),
    ]  # fmt: skip
    assert [result.dtype for result in results] == [np.float32] * len(results)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ref.correlate(np.ones((1, 2, 3)), np.ones((1, 1, 3, 1))), "does not fit"),
        (lambda: ref.correlate(np.ones((4, 3, 3)), np.ones((2, 1, 3, 3))), "1 groups"),
        (lambda: ref.correlate(np.ones((2, 3, 3)), np.ones((3, 1, 3, 3)), groups=2), "2 groups"),
        (lambda: ref.max_pool(np.ones((1, 3, 3)), (2, 4)), "does not fit"),
        (lambda: ref.activation("sigmoit", np.ones(3)), "Did you mean 'sigmoid'"),
    ],
)
def test_what_cannot_work_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
