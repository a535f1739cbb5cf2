"""Activations: functions applied to every number on its own.

Forward ``a = σ(z)``, backward ``dE/dz = diag(σ'(z)) dE/da``, whatever the function; the
formulas stand in :mod:`minicnn.kernels.functions`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from minicnn.checks import check_finite, check_flag, check_positive
from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.kernels.activation import LOOPS, WITH_SLOPE, leaky_relu_alpha_gradient, multiply, total
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.views import planes, same
from minicnn.plugins import lookup


class Activation(Layer):
    """Base of all activations: ``a = σ(z)`` and ``dE/dz = diag(σ'(z)) dE/da``.

    The output has the input's shape, any at all. A subclass names its function and, where
    the function has a parameter alpha, gives its value, or both of Softplus. Where σ'(z) takes as
    long as σ(z), the forward pass of training computes both from the same exponential, and keeps
    the slope for the way back.
    """

    function = ""
    alpha: float | tuple[float, ...] = 0.0

    backward_in_place = "dy"

    def setup(self, rng: np.random.Generator) -> Shape:
        """The output has the input's shape."""
        self._alpha = np.atleast_1d(np.array(self.alpha, self.dtype))
        return self.input_shape

    def _alphas(self):
        """What the kernels take for alpha: one number, or one for each channel."""
        return self._alpha

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``a = σ(z)``."""
        if ctx.training and self.function in WITH_SLOPE and not ctx.recomputed:
            slope = ctx.save("slope", x.shape, over_x=True)
            kept = None if same(slope, x) else planes(slope)
            WITH_SLOPE[self.function](planes(x), planes(y), kept, self._alphas())
        else:
            forward, _ = LOOPS[self.function]
            forward(planes(x), None if same(x, y) else planes(y), self._alphas())

    recompute = forward

    def backward(self, x: Array, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """``dE/dz = diag(σ'(z)) dE/da``."""
        out = None if same(dx, dy) else planes(dx)
        if "slope" in ctx.saved:
            multiply(planes(ctx.saved["slope"]), planes(dy), out)
        else:
            _, backward = LOOPS[self.function]
            z = x if "x" in self._reads else y  # which is read by nobody then
            backward(planes(z), planes(y), planes(dy), out, self._alphas())

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """z and a, unless the slope is kept or a alone tells it."""
        return () if training and self.function in WITH_SLOPE else self._reads


class Identity(Activation):
    """``σ(z) = z``: nothing at all, as a linear network has it."""

    function = "identity"

    def is_view(self, training: bool) -> bool:
        """Yes."""
        return True


class ReLU(Activation):
    """``σ(z) = max(z, 0)``; σ'(0) = 0. Nair & Hinton, ICML 2010.

    NaN stays NaN, and dE/da passes it: the gradient is 0 where z <= 0 and nowhere else. A plan lets
    a neighbour do its work where that can (``Layer.fuses_relu``).
    """

    function = "relu"
    forward_in_place, _reads = True, ("y",)


class LeakyReLU(Activation):
    """``σ(z) = z`` for z > 0, else ``slope z``. Maas, Hannun & Ng, ICML 2013.

    Parameters
    ----------
    slope : float
        Finite; 0.01 by default.

    Raises
    ------
    ArgumentError
        If `slope` is not a finite number.
    """

    function = "leaky-relu"
    alpha: float

    def __init__(self, slope: float = 0.01):
        super().__init__()
        self.alpha = check_finite(slope, "LeakyReLU: slope")

    def describe(self) -> str:
        """The slope."""
        return f"slope {self.alpha:g}"


class PReLU(Activation):
    """LeakyReLU whose slope is learned, without weight decay. He et al., ICCV 2015.

    ::

        σ(z) = z for z > 0, else s z        dE/ds = sum over z < 0 of dE/da z

    Parameters
    ----------
    slope : float
        The start of every slope; 0.25 by default, as in the paper.
    per_channel : bool
        Whether every channel (or feature) learns a slope of its own.

    Raises
    ------
    ArgumentError
        If `slope` is not a finite number.
    """

    function = "leaky-relu"

    def __init__(self, slope: float = 0.25, per_channel: bool = False):
        super().__init__()
        self.slope = check_finite(slope, "PReLU: slope")
        self.per_channel = check_flag(per_channel, "PReLU: per_channel")

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input and make the parameters."""
        super().setup(rng)
        count = self.input_shape[0] if self.per_channel else 1
        start = f"constant:{self.slope!r}"
        self.slopes = self.add_parameter("weight", (count,), start, Fans(1, 1), rng, decay=False)
        return self.input_shape

    def _alphas(self):
        return self.slopes.value

    def backward(self, x: Array, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """Fill dE/ds and dE/dz."""
        grad = self.slopes.grad
        if self.learns:
            channels = grad if self.per_channel else ctx.keep("channels", self.input_shape[:1])
            leaky_relu_alpha_gradient(planes(x), planes(dy), channels)
            if not self.per_channel:
                total(channels, grad)
        if dx is not None:
            super().backward(x, y, dy, dx, ctx)

    def describe(self) -> str:
        """Whether the slope is shared."""
        return "a slope a channel" if self.per_channel else "one slope"


class ELU(Activation):
    """``σ(z) = z`` for z > 0, else ``alpha (exp(z) - 1)``. Clevert et al., ICLR 2016.

    Parameters
    ----------
    alpha : float
        Finite; 1 by default.

    Raises
    ------
    ArgumentError
        If `alpha` is not a finite number.
    """

    function = "elu"

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = check_finite(alpha, "ELU: alpha")

    def describe(self) -> str:
        """The alpha."""
        return f"alpha {self.alpha:g}"


class SELU(Activation):
    """ELU, scaled so that mean 0 and variance 1 are a fixed point. Klambauer et al., 2017."""

    function = "selu"


class CELU(Activation):
    """``σ(z) = z`` for z > 0, else ``alpha (exp(z / alpha) - 1)``. Barron, arXiv 1704.07483, 2017.

    Its derivative has no jump, whatever alpha is.

    Parameters
    ----------
    alpha : float
        Above 0; 1 by default. PyTorch takes numbers below 0, too.

    Raises
    ------
    ArgumentError
        If `alpha` is not a finite number above 0.
    """

    function = "celu"

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = check_positive(alpha, "CELU: alpha")

    def describe(self) -> str:
        """The alpha."""
        return f"alpha {self.alpha:g}"


class GELU(Activation):
    """``σ(z) = z Φ(z)``, Φ the standard normal distribution. Hendrycks & Gimpel, arXiv 1606.08415.

    With ``approximate="tanh"`` the paper's approximation of it, which many language models use::

        σ(z) = z/2 (1 + tanh(√(2/π) (z + 0.044715 z³)))

    Parameters
    ----------
    approximate : str
        ``"none"``, the default, or ``"tanh"``.

    Raises
    ------
    ArgumentError
        For another word.
    """

    def __init__(self, approximate: str = "none"):
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}.")
        self.approximate = approximate
        self.function = "gelu" if approximate == "none" else "gelu-tanh"

    def describe(self) -> str:
        """The approximation, if there is one."""
        return "" if self.approximate == "none" else self.approximate


class SiLU(Activation):
    """``σ(z) = z / (1 + exp(-z))``, also called swish.

    Hendrycks & Gimpel, arXiv 1606.08415, 2016; Ramachandran, Zoph & Le, *Searching for activation
    functions*, arXiv 1710.05941, 2017.
    """

    function = "silu"


class Mish(Activation):
    """``σ(z) = z tanh(log(1 + exp(z)))``. Misra, BMVC 2020, arXiv 1908.08681."""

    function = "mish"


class Softplus(Activation):
    """``σ(z) = log(1 + exp(beta z)) / beta``: a smooth ReLU. Dugas et al., NIPS 2000.

    Where ``beta z`` is above the threshold, σ(z) = z and σ'(z) = 1, as in PyTorch. The formula
    would not overflow here, whatever the threshold; with the default, σ jumps by 2e-9 there.

    Parameters
    ----------
    beta : float
        Above 0; 1 by default. PyTorch takes numbers below 0, too.
    threshold : float
        Finite; 20 by default.

    Raises
    ------
    ArgumentError
        If `beta` is not a finite number above 0, or `threshold` is not finite.
    """

    function = "softplus"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta = check_positive(beta, "Softplus: beta")
        self.threshold = check_finite(threshold, "Softplus: threshold")
        self.alpha = self.beta, self.threshold

    def describe(self) -> str:
        """Both settings."""
        return f"beta {self.beta:g} threshold {self.threshold:g}"


class ReLU6(Activation):
    """``σ(z) = min(max(z, 0), 6)``; σ'(0) = σ'(6) = 0. Krizhevsky, 2010; MobileNets use it.

    NaN stays NaN, and dE/da passes it, as in ReLU.
    """

    function = "relu6"
    forward_in_place, _reads = True, ("y",)


class Hardsigmoid(Activation):
    """``σ(z) = min(max(z + 3, 0), 6) / 6``; σ'(-3) = σ'(3) = 0. Howard et al., ICCV 2019.

    The sigmoid by three straight lines.
    """

    function = "hardsigmoid"


class Hardswish(Activation):
    """``σ(z) = z min(max(z + 3, 0), 6) / 6``; σ'(-3) = 0, σ'(3) = 1. Howard et al., ICCV 2019.

    The SiLU with the sigmoid of :class:`Hardsigmoid`.
    """

    function = "hardswish"


class Sigmoid(Activation):
    """``σ(z) = 1 / (1 + exp(-z))``."""

    function = "sigmoid"


class Tanh(Activation):
    """``σ(z) = tanh(z)``."""

    function = "tanh"


class Softsign(Activation):
    """``σ(z) = z / (1 + |z|)``. Glorot & Bengio, AISTATS 2010."""

    function = "softsign"


#: By name, what makes a new layer.
ACTIVATIONS: Mapping[str, Callable[..., Activation]] = {
    "relu": ReLU, "leaky-relu": LeakyReLU, "prelu": PReLU, "elu": ELU, "selu": SELU,
    "celu": CELU, "gelu": GELU, "gelu-tanh": partial(GELU, "tanh"), "silu": SiLU, "mish": Mish,
    "softplus": Softplus, "relu6": ReLU6, "hardswish": Hardswish, "hardsigmoid": Hardsigmoid,
    "sigmoid": Sigmoid, "tanh": Tanh, "softsign": Softsign, "identity": Identity,
}  # fmt: skip

#: Names whose text takes numbers after a colon: what these are, and how many at most.
SETTINGS = {
    "leaky-relu": ("a slope", 1), "prelu": ("a slope and 'channel'", 1), "elu": ("an alpha", 1),
    "celu": ("an alpha", 1), "softplus": ("a beta and a threshold", 2),
}  # fmt: skip


def from_string(text: str) -> Activation:
    """A new activation layer from a string such as ``"relu"`` or ``"leaky-relu:0.2"``.

    Parameters
    ----------
    text : str
        A name of ``ACTIVATIONS``. After a colon, LeakyReLU and PReLU take their slope, ELU and
        CELU their alpha, and Softplus its beta and threshold, as ``softplus:1,20``;
        ``prelu:channel`` learns a slope for every channel. ``PATH.py:NAME`` or
        ``package.module:NAME``, with arguments or without, is a user's own: a subclass of Layer,
        or a function that makes a new layer at every call.

    Raises
    ------
    ArgumentError
        For an unknown name, or a parameter that is not understood.
    """
    if lookup.is_own(text):
        return _own(lookup.parse(text, "activation"))
    name, colon, rest = str(text).partition(":")
    if name not in ACTIVATIONS:
        raise lookup.unknown("activation", name, ACTIVATIONS, text)
    make = ACTIVATIONS[name]
    if not colon:
        return make()
    words, settings = rest.split(","), {}
    if make is PReLU and "channel" in words:
        words, settings = [word for word in words if word != "channel"], {"per_channel": True}
    takes, most = SETTINGS.get(name, ("no parameter", 0))
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = None
    if numbers is None or len(numbers) > most:
        raise ArgumentError(f"activation {text!r}: {name} takes {takes}, got {rest!r}.")
    return make(*numbers, **settings)


def _own(reference):
    """A new layer of the kind that a user's file names."""
    thing = reference.load()
    if isinstance(thing, type):
        fits = issubclass(thing, Layer)
    else:
        fits = callable(thing) and not isinstance(thing, Layer)
    if not fits:
        raise reference.error(
            f"expected a subclass of Layer, or a function that makes a new layer, got {thing!r}."
        )
    layer = reference.call(thing)
    if not isinstance(layer, Layer) or layer.output_shape is not None:
        raise reference.error(f"expected a new layer at every call, got {layer!r}.")
    return layer
