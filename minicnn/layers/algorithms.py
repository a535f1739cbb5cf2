"""How a convolution is computed: directly, or with fewer multiplications by Winograd.

Both know one convolution's shapes and own the arrays they work in. Either is asked, in
this order: `forward`; then `delta`, which makes dE/dz of dE/dy; then the gradients of it.

For the package itself: it checks nothing of what it is handed.
"""

import numpy as np

from minicnn.errors import ArgumentError, unknown
from minicnn.kernels import winograd, winograd_gradient
from minicnn.kernels.correlate import correlate
from minicnn.kernels.gradient import parameter_gradients
from minicnn.kernels.pad import copy_inside
from minicnn.kernels.team import get_num_threads

ALGORITHMS = ("auto", "direct", "winograd")


def choose(name, plan, buffers, input_gradient):
    """The algorithm for a convolution.

    ``auto`` takes Winograd's F(4×4, 3×3) where it can be used and is faster: for 3×3
    kernels of stride 1 in float32 without dilation and groups, padding at most 2, at least
    8 channels on both sides, and an image of which the 4×4 tiles waste less than 40 %.

    Parameters
    ----------
    name : str
        ``auto``, ``direct`` or ``winograd``.
    plan : Convolution
    buffers : Buffers
    input_gradient : bool
        Whether dE/dx will be asked for.

    Raises
    ------
    ArgumentError
        For an unknown name, or ``winograd`` where it cannot be used.
    """
    if check_name(name) == "winograd" and not _possible(plan):
        raise ArgumentError(
            "winograd needs a 3x3 kernel of stride 1 in float32, without dilation or groups and"
            " with padding of at most 2: use auto or direct."
        )
    fast = name == "winograd" or (name == "auto" and _possible(plan) and _worthwhile(plan))
    return (Winograd if fast else Direct)(plan, buffers, input_gradient)


def check_name(name):
    """`name`, or an ArgumentError that names the nearest."""
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise unknown("convolution algorithm", name, ALGORITHMS)
    return name


def _possible(plan):
    simple = plan.stride == plan.dilation == (1, 1) and plan.groups == 1
    small = plan.kernel_size == (3, 3) and max(plan.padding) <= 2
    return simple and small and plan.itemsize == 4


def _worthwhile(plan):
    rows, columns = plan.output_shape[1:]
    used = rows * columns / (16 * -(-rows // 4) * -(-columns // 4))
    return min(plan.input_shape[0], plan.output_shape[0]) >= 8 and used > 0.6


class Direct:
    """Sums of products, term by term; for every convolution and both dtypes."""

    def __init__(self, plan, buffers, input_gradient):
        self.plan, self.buffers = plan, buffers
        self._walks = {}  # by what is computed and the number of lane groups
        self._forward, self._backward = plan.forward(), plan.backward()
        self._border = plan.delta_border() if input_gradient else (0, 0, 0, 0)
        self._padding = (*plan.padding, *plan.padding)
        self._x_shape = _bordered(plan.input_shape, self._padding)
        self._delta_shape = _bordered(plan.output_shape, self._border)
        self._tables = plan.gradient_tables(self._border)
        self._no_bias = np.zeros(1, buffers.dtype)

    def forward(self, x, weight, bias, z, rectify):
        """Fill `z`; `x` must not change until the gradients are computed."""
        self._x = self._with_border("x", x, self._padding, self._x_shape)
        self._correlate("forward", self._x, weight, bias, z, self._forward, rectify)

    def delta(self, dy, gate):
        """`dy`, and 0 where the gate is at most 0; `dy` itself if there is none."""
        return self._with_border("delta", dy, self._border, self._delta_shape, gate)

    def parameter_gradients(self, delta, weight_grad, bias_grad):
        """Fill `weight_grad`, dE/dW, and `bias_grad`, dE/db, which is empty without a bias."""
        key = "sweep", len(delta)
        if key not in self._walks:
            sweep, start = self.plan.sweep(len(delta), self._border)
            self._walks[key] = sweep.slices, sweep.numbers(), start
        slices, numbers, start = self._walks[key]
        groups, outputs = self.plan.groups, self.plan.channels_out
        partial = self.buffers.scratch("partial", slices, (groups, outputs, weight_grad[0].size))
        terms, channels = self._tables
        flat = _flat(delta)[start:]
        x = _flat(self._x)
        parameter_gradients(x, terms, flat, channels, partial, numbers, weight_grad, bias_grad)

    def input_gradient(self, delta, weight, dx):
        """Fill `dx`, dE/dx."""
        for number, phase in enumerate(self._backward):
            self._correlate(number, delta, weight, None, dx, phase, False)

    def _correlate(self, which, x, weight, bias, y, plan, rectify):
        bias = self._no_bias if bias is None else bias
        key = which, len(x)
        if key not in self._walks:
            self._walks[key] = plan.walk._replace(lane_groups=len(x)).numbers()
        out = _flat(y)[plan.y_start :]
        correlate(_flat(x), _flat(weight), bias, out, self._walks[key], *plan.terms, rectify)

    def _with_border(self, name, images, border, shape, gate=None):
        """`images` surrounded by zeros, and zero where the gate is, unless neither is asked for.

        They go into a buffer whose border is never written.
        """
        if gate is None and not any(border):
            return images
        padded = self.buffers.lanes(name, len(images), shape)
        copy_inside(images, gate, padded, *border[:2])
        return padded


class Winograd:
    """3×3 convolutions of stride 1 with a quarter of the multiplications, in float32."""

    def __init__(self, plan, buffers, input_gradient):
        self.plan, self.buffers = plan, buffers
        self._inputs, self._outputs = plan.input_shape[0], plan.output_shape[0]
        self._no_bias = np.zeros(1, buffers.dtype)

    def forward(self, x, weight, bias, z, rectify):
        """Fill `z`; `x` must not change until the gradients are computed."""
        self._x = x
        bias = self._no_bias if bias is None else bias
        self._convolve(x, weight, False, bias, z, self.plan.padding, rectify)

    def delta(self, dy, gate):
        """`dy`, and 0 where the gate is at most 0; `dy` itself if there is none."""
        if gate is None:
            return dy
        delta = self.buffers.scratch("delta", len(dy), dy.shape[1:])
        copy_inside(dy, gate, delta, 0, 0)
        return delta

    def parameter_gradients(self, delta, weight_grad, bias_grad):
        """Fill `weight_grad`, dE/dW, and `bias_grad`, dE/db, which is empty without a bias."""
        sizes = self._outputs, self._inputs
        slices = winograd_gradient.slice_count(len(delta), self.plan.output_shape, self._inputs)
        sums = self.buffers.scratch("sums", slices, winograd.weight_points(*sizes))
        parts = get_num_threads()
        scratch = self._room("scratch", parts, winograd_gradient.scratch_size(*sizes))
        winograd_gradient.point_sums(self._x, delta, self.plan.padding, sums, scratch)
        winograd_gradient.parameters_of_points(sums, delta, weight_grad, bias_grad)

    def input_gradient(self, delta, weight, dx):
        """Fill `dx`, dE/dx: the same convolution of delta with weights rot180(trans(W))."""
        padding = tuple(2 - p for p in self.plan.padding)
        self._convolve(delta, weight, True, self._no_bias, dx, padding, False)

    def _convolve(self, x, weight, backward, bias, y, padding, rectify):
        channels = (self._inputs, self._outputs) if backward else (self._outputs, self._inputs)
        points, rows, columns = winograd.weight_points(*channels)
        u = self.buffers.scratch("u", points, (rows, columns))
        winograd.transform_weights(weight, u, backward)
        parts = get_num_threads()  # asked once, as another thread may change it
        v = self._room("v", parts, winograd.input_scratch(channels[1]))
        m = self._room("m", parts, winograd.output_scratch())
        winograd.convolve(x, u, bias, y, padding, rectify, v, m)

    def _room(self, name, parts, size):
        """A row of `size` elements for each part of the work."""
        return self.buffers.scratch(name, parts, (size,))


def _bordered(shape, border):
    """The shape of images with so many rows and columns more at the top, left, bottom, right."""
    channels, height, width = shape
    top, left, bottom, right = border
    return channels, height + top + bottom, width + left + right


def _flat(array):
    return array.reshape(-1)
