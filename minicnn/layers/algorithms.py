"""How a convolution is computed: directly, or with fewer multiplications by Winograd.

Both know one convolution's shapes, and take memory from a :class:`minicnn.plan.Context`. Either is
asked, in this order: `forward`; then `delta`, which makes dE/dz of dE/dy; then the gradients of it.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

from minicnn.errors import ArgumentError, unknown
from minicnn.kernels.conv.correlate import correlate
from minicnn.kernels.conv.geometry import Convolution
from minicnn.kernels.conv.masked_copy import masked_copy
from minicnn.kernels.conv.weight_gradient import bias_gradient, parameter_gradients
from minicnn.kernels.conv.winograd import convolution, filter_gradient
from minicnn.kernels.runtime.thread_pool import get_num_threads
from minicnn.layers.context import Array, Context

ALGORITHMS = ("auto", "direct", "winograd")


def choose(name: str, plan: Convolution, input_gradient: bool) -> "Direct | Winograd":
    """The algorithm for a convolution.

    ``auto`` takes Winograd's F(4×4, 3×3) where it can be used and is faster: for 3×3
    kernels of stride 1 in float32 without dilation and groups, padding at most 2, at least
    8 channels on both sides, and an image of which the 4×4 tiles waste less than 40 %. An
    ArgumentError refuses an unknown name, or ``winograd`` where it cannot be used.
    """
    if check_name(name) == "winograd" and not _possible(plan):
        raise ArgumentError(
            "winograd needs a 3x3 kernel of stride 1 in float32, without dilation or groups and"
            " with padding of at most 2: use auto or direct."
        )
    fast = name == "winograd" or (name == "auto" and _possible(plan) and _worthwhile(plan))
    return (Winograd if fast else Direct)(plan, input_gradient)


def check_name(name: Any) -> str:
    """`name`, or an ArgumentError that names the nearest."""
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise unknown("convolution algorithm", name, ALGORITHMS)
    return name


def _possible(plan):
    simple = plan.stride == plan.dilation == (1, 1) and plan.groups == 1
    small = plan.kernel_size == (3, 3) and max(plan.borders) <= 2
    return simple and small and plan.itemsize == 4


def _worthwhile(plan):
    rows, columns = plan.output_shape[1:]
    used = rows * columns / (16 * -(-rows // 4) * -(-columns // 4))
    return min(plan.input_shape[0], plan.output_shape[0]) >= 8 and used > 0.6


class Direct:
    """Sums of products, term by term; for every convolution and both dtypes."""

    def __init__(self, plan: Convolution, input_gradient: bool):
        self.plan, self._padding = plan, plan.borders
        self._forward, self._backward = plan.forward(), plan.backward()
        self._input_gradient = input_gradient
        self._border = plan.delta_border() if input_gradient else (0, 0, 0, 0)
        self._tables = plan.gradient_tables(self._border)

    def forward(self, x: Array, weight: Array, bias: Array, z: Array, ctx: Context) -> None:
        """Fill `z`."""
        x = self._padded(x, ctx)
        self._correlate(ctx, "forward", x, weight, bias, z, self._forward, ctx.relu)

    def delta(self, dy: Array, mask: Array | None, ctx: Context) -> Array:
        """`dy` within zeros, and 0 where the mask is at most 0; `dy` itself if there is none."""
        return _with_border(ctx, "delta", dy, self._border, mask)

    def parameter_gradients(
        self, x: Array, delta: Array, weight_grad: Array, bias_grad: Array, ctx: Context
    ) -> None:
        """Fill `weight_grad`, dE/dW, and `bias_grad`, dE/db, which is empty without a bias."""
        x = self._padded(x, ctx)
        sweep, numbers, start = ctx.table(("sweep", len(delta)), lambda: self._sweep(len(delta)))
        groups, outputs = self.plan.groups, self.plan.channels_out
        partial = ctx.scratch((sweep.slices, groups, outputs, weight_grad[0].size))
        terms, channels = self._tables
        inner = delta.reshape(-1)[start:]
        parameter_gradients(
            x.reshape(-1), terms, inner, channels, partial, numbers, weight_grad, bias_grad
        )

    def input_gradient(self, delta: Array, weight: Array, dx: Array, ctx: Context) -> None:
        """Fill `dx`, dE/dx."""
        bias = ctx.keep("no bias", (1,))
        for number, phase in enumerate(self._backward):
            self._correlate(ctx, number, delta, weight, bias, dx, phase, False)

    def _padded(self, x, ctx):
        """`x` within zeros: made anew on the way back, but for a first layer's, which is small."""
        if "x" in ctx.saved:
            return ctx.saved["x"]
        return _with_border(ctx, "x", x, self._padding, save=not self._input_gradient)

    def _sweep(self, groups):
        sweep, start = self.plan.sweep(groups, self._border)
        return sweep, sweep.numbers(), start

    def _correlate(self, ctx, which, x, weight, bias, y, plan, relu):
        groups = len(x)
        numbers = ctx.table(
            (which, groups), lambda: plan.walk._replace(lane_groups=groups).numbers()
        )
        out = y.reshape(-1)[plan.y_start :]
        correlate(x.reshape(-1), weight.reshape(-1), bias, out, numbers, *plan.terms, relu)


class Transposed(Direct):
    """A transposed convolution: the plan's convolution with its input and output swapped.

    `plan` is the convolution whose dE/dx is this one's forward pass; its input has the shape of z.
    """

    def __init__(self, plan: Convolution):
        super().__init__(plan, True)
        self._none = (0, 0, 0, 0)
        self._tables = plan.gradient_tables(self._none)

    def forward(self, x: Array, weight: Array, bias: Array, z: Array, ctx: Context) -> None:
        """Fill `z`."""
        x = _with_border(ctx, "x", x, self._border)
        for number, phase in enumerate(self._backward):
            self._correlate(ctx, number, x, weight, bias, z, phase, ctx.relu)

    def delta(self, dy: Array, mask: Array | None, ctx: Context) -> Array:
        """`dy` within zeros, and 0 where the mask is at most 0; `dy` itself if there is none."""
        return _with_border(ctx, "delta", dy, self._padding, mask)

    def parameter_gradients(
        self, x: Array, delta: Array, weight_grad: Array, bias_grad: Array, ctx: Context
    ) -> None:
        """Fill `weight_grad`, dE/dW, and `bias_grad`, dE/db, which is empty without a bias."""
        sweep, numbers, _ = ctx.table(("sweep", len(x)), lambda: self._swept(len(x)))
        groups, outputs = self.plan.groups, self.plan.channels_out
        partial = ctx.scratch((sweep.slices, groups, outputs, weight_grad[0].size))
        terms, channels = self._tables
        parameter_gradients(
            delta.reshape(-1), terms, x.reshape(-1), channels, partial, numbers, weight_grad,
            ctx.keep("no sums", (0,)),
        )  # fmt: skip
        if bias_grad.size:
            bias_gradient(delta, bias_grad)

    def input_gradient(self, delta: Array, weight: Array, dx: Array, ctx: Context) -> None:
        """Fill `dx`, dE/dx: the convolution itself."""
        bias = ctx.keep("no bias", (1,))
        self._correlate(ctx, "backward", delta, weight, bias, dx, self._forward, False)

    def _swept(self, groups):
        sweep, start = self.plan.sweep(groups, self._none)
        return sweep, sweep.numbers(), start


class Winograd:
    """3×3 convolutions of stride 1 with a quarter of the multiplications, in float32."""

    def __init__(self, plan: Convolution, input_gradient: bool):
        self.plan = plan
        self._inputs, self._outputs = plan.input_shape[0], plan.output_shape[0]

    def forward(self, x: Array, weight: Array, bias: Array, z: Array, ctx: Context) -> None:
        """Fill `z`."""
        self._convolve(ctx, x, weight, False, bias, z, self.plan.padding, ctx.relu)

    def delta(self, dy: Array, mask: Array | None, ctx: Context) -> Array:
        """`dy`, and 0 where the mask is at most 0; `dy` itself if there is none."""
        return _with_border(ctx, "delta", dy, (0, 0, 0, 0), mask)

    def parameter_gradients(
        self, x: Array, delta: Array, weight_grad: Array, bias_grad: Array, ctx: Context
    ) -> None:
        """Fill `weight_grad`, dE/dW, and `bias_grad`, dE/db, which is empty without a bias."""
        sizes = self._outputs, self._inputs
        slices = filter_gradient.slice_count(len(delta), self.plan.output_shape, self._inputs)
        sums = ctx.scratch((slices, *convolution.weight_points(*sizes)))
        scratch = ctx.scratch((get_num_threads(), filter_gradient.scratch_size(*sizes)))
        filter_gradient.point_sums(x, delta, self.plan.padding, sums, scratch)
        filter_gradient.parameters_of_points(sums, delta, weight_grad, bias_grad)

    def input_gradient(self, delta: Array, weight: Array, dx: Array, ctx: Context) -> None:
        """Fill `dx`, dE/dx: the same convolution of delta with weights rot180(trans(W))."""
        padding = tuple(2 - p for p in self.plan.padding)
        self._convolve(ctx, delta, weight, True, ctx.keep("no bias", (1,)), dx, padding, False)

    def _convolve(self, ctx, x, weight, backward, bias, y, padding, relu):
        channels = (self._inputs, self._outputs) if backward else (self._outputs, self._inputs)
        u = ctx.scratch(convolution.weight_points(*channels))
        convolution.transform_weights(weight, u, backward)
        threads = get_num_threads()  # asked once, as another thread may change it
        v = ctx.scratch((threads, convolution.input_scratch(channels[1])))
        m = ctx.scratch((threads, convolution.output_scratch()))
        convolution.convolve(x, u, bias, y, padding, relu, v, m)


def _with_border(ctx, name, images, border, mask=None, save=False):
    """`images` within zeros, and zero where the mask is at most 0: a copy if there is either.

    With `save` the copy lasts until the backward pass has ended. Where there is more border than
    image, the array is kept for its zeros, which then need not be written again.
    """
    if mask is None and not any(border):
        return images
    groups, channels, height, width, lanes = images.shape
    top, left, bottom, right = border
    shape = groups, channels, top + height + bottom, left + width + right, lanes
    wide = shape[2] * shape[3] > 2 * height * width
    if wide:
        copy = ctx.keep(name, shape)
    else:
        copy = ctx.save(name, shape) if save else ctx.scratch(shape)
    masked_copy(images, mask, copy, top, left, not wide)
    return copy
