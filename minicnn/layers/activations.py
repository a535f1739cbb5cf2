"""Activations: functions applied to every number on its own.

Forward ``a = σ(z)``, backward ``dE/dz = diag(σ'(z)) dE/da``, whatever the function; the
formulas stand in :mod:`minicnn.kernels.activation`.
"""

from typing import Any

import numpy as np

from minicnn.checks import check_finite, check_flag
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
    the function has a parameter alpha, gives its value. Where σ'(z) takes as long as σ(z), the
    forward pass of training computes both from the same exponential, and keeps the slope for the
    way back.
    """

    function = ""
    alpha = 0.0

    backward_in_place = "dy"

    def setup(self, rng: np.random.Generator) -> Shape:
        """The output has the input's shape."""
        self._alpha = np.array([self.alpha], self.dtype)
        return self.input_shape

    def _alphas(self):
        """What the kernels take for alpha: one number, or one for each channel."""
        return self._alpha

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``a = σ(z)``."""
        if ctx.training and self.function in WITH_SLOPE:
            slope = ctx.save("slope", x.shape, over_x=True)
            kept = None if same(slope, x) else planes(slope)
            WITH_SLOPE[self.function](planes(x), planes(y), kept, self._alphas())
        else:
            forward, _ = LOOPS[self.function]
            forward(planes(x), planes(y), self._alphas())

    def backward(self, x: Array, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """``dE/dz = diag(σ'(z)) dE/da``."""
        out = None if same(dx, dy) else planes(dx)
        if "slope" in ctx.saved:
            multiply(planes(ctx.saved["slope"]), planes(dy), out)
        else:
            _, backward = LOOPS[self.function]
            backward(planes(x), planes(y), planes(dy), out, self._alphas())

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """z and a, unless the slope is kept."""
        return () if training and self.function in WITH_SLOPE else ("x", "y")


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


class GELU(Activation):
    """``σ(z) = z Φ(z)``, Φ the standard normal distribution. Hendrycks & Gimpel, 2016."""

    function = "gelu"


class Sigmoid(Activation):
    """``σ(z) = 1 / (1 + exp(-z))``."""

    function = "sigmoid"


class Tanh(Activation):
    """``σ(z) = tanh(z)``."""

    function = "tanh"


class Softsign(Activation):
    """``σ(z) = z / (1 + |z|)``. Glorot & Bengio, AISTATS 2010."""

    function = "softsign"


ACTIVATIONS = {
    "relu": ReLU, "leaky-relu": LeakyReLU, "prelu": PReLU, "elu": ELU, "selu": SELU,
    "gelu": GELU, "sigmoid": Sigmoid, "tanh": Tanh, "softsign": Softsign, "identity": Identity,
}  # fmt: skip


def from_string(text: str) -> Activation:
    """A new activation layer from a string such as ``"relu"`` or ``"leaky-relu:0.2"``.

    Parameters
    ----------
    text : str
        A name of ``ACTIVATIONS``. After a colon, LeakyReLU and PReLU take their slope and
        ELU its alpha; ``prelu:channel`` learns a slope for every channel. ``PATH.py:NAME`` or
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
    cls = ACTIVATIONS[name]
    if not colon:
        return cls()
    words, settings = rest.split(","), {}
    if cls is PReLU and "channel" in words:
        words, settings = [word for word in words if word != "channel"], {"per_channel": True}
    takes = {LeakyReLU: "a slope", PReLU: "a slope and 'channel'", ELU: "an alpha"}
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = None
    if numbers is None or len(numbers) > (cls in takes):
        raise ArgumentError(
            f"activation {text!r}: {name} takes {takes.get(cls, 'no parameter')}, got {rest!r}."
        )
    return cls(*numbers, **settings)


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
