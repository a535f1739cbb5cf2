"""What every layer is: shapes, and a forward and a backward equation."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

from minicnn.checks import check_dtype, check_generator, check_shape, is_third_party
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.module import Module

#: What a class says of its passes: it does not hold for passes that a user's class replaces.
PROMISES = (
    "fuses_relu", "forward_in_place", "backward_in_place", "shares_gradient", "backward_reads",
    "_reads", "is_view", "recompute",
)  # fmt: skip


class Layer(Module):
    """Base of all layers: ``y = f(x)``; then dE/dx, and dE/dw of the parameters, of dE/dy.

    Arrays are in lanes (:mod:`minicnn.lanes`), where a :class:`minicnn.plan.Plan` puts them: `x` is
    ``(G, *input_shape, 16)``. :class:`minicnn.layers.NumpyLayer` is for ordinary arrays.

    Attributes
    ----------
    input_shape, output_shape : tuple of int or None
        Of one sample, ``(C, H, W)`` or ``(F,)``; None until `build`.
    needs_input_gradient : bool
        Whether somebody reads dE/dx: nobody does that of a model's first layer.
    version : int
        How often the layer was built.
    """

    input_shape: Shape
    output_shape: Shape
    #: Where a ReLU that this layer computes may stand, at its ``"input"`` or ``"output"``, or None.
    fuses_relu: str | None = None
    #: Whether `y` may be the array of the first input.
    forward_in_place = False
    #: Which array `dx` may be, ``"dy"`` or ``"x"``; None if neither.
    backward_in_place: str | None = None
    _reads: tuple[str, ...] = ("x", "y")  # what `backward_reads` gives
    #: ``recompute(x, y, ctx)`` fills `y` again in the backward pass, bit for bit, at little cost.
    recompute: Any = None
    #: Whether dE/dx is the same for all inputs, and dE/dy itself without a ReLU.
    shares_gradient = False
    #: Whether a sample's output depends on the other samples of its batch, in training.
    mixes_samples = False
    #: Whether a pass works outside of kernels: it is then called for each batch, never replayed.
    in_python = False
    #: What a layer says that has no shapes yet.
    not_built = "the layer has no shapes yet: initialize the model that it stands in."

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if is_third_party(cls):
            cls.in_python = vars(cls).get("in_python", True)
            if "forward" in vars(cls) or "backward" in vars(cls):
                for promise in set(PROMISES).difference(vars(cls)):
                    setattr(cls, promise, vars(Layer)[promise])

    def __init__(self):
        super().__init__()
        self.input_shape = self.output_shape = None  # type: ignore[assignment] # until `build`
        self.needs_input_gradient, self.version = True, 0

    def build(self, input_shape: Shape, rng: Generator, dtype: DTypeLike = np.float32) -> Shape:
        """Fix the shapes, make the parameters, and return the output's shape.

        Parameters
        ----------
        input_shape : tuple of int
            Of one sample.
        rng : numpy.random.Generator
            This layer's own; nothing else draws from it.
        dtype : dtype
            float32 or float64.

        Raises
        ------
        ArgumentError
            If the layer cannot work on that shape.
        """
        check_generator(rng)
        self.dtype, what = check_dtype(dtype), "the shape of one sample"
        self.input_shape = check_shape(input_shape, what, "such as (1, 28, 28) or (784,)")
        self._parameters, self._initializers, self.version = {}, {}, self.version + 1
        self.output_shape = tuple(self.setup(rng))
        return self.output_shape

    def setup(self, rng: Generator) -> Shape:
        """What a subclass does in `build`: check, add parameters, return the output's shape."""
        return self.input_shape

    def forward(self, x: Any, y: Array, ctx: Context) -> None:
        """Fill `y`, shape (G, *output_shape, 16); `x` is a tuple where there are several inputs.

        ``ctx``, a :class:`minicnn.plan.Context`, tells of this pass and gives memory.
        """
        raise NotImplementedError

    def backward(self, x: Any, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """Fill the parameters' gradients, and `dx` with dE/dx unless that is None.

        `dy` is 0 in spare lanes, as `dx` must be; `x` and `y` hold what `backward_reads` names.
        """
        raise NotImplementedError

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """Which of ``"x"`` and ``"y"`` the backward pass reads."""
        return self._reads

    def is_view(self, training: bool) -> bool:
        """Whether y is x, perhaps in another shape: then neither pass is called."""
        return False

    def needs_images(self) -> None:
        """Raise an ArgumentError unless the input is ``(C, H, W)``."""
        if len(self.input_shape) != 3:
            raise self.error(f"needs images (C, H, W), got a sample of shape {self.input_shape}.")

    def multiply_adds(self) -> int:
        """Multiply-adds of the forward pass for one sample, by the layer's own equation."""
        return 0

    def training_flops(self) -> int:
        """Of a training step for one sample: two a multiply-add, forwards, for dE/dw and dE/dx."""
        return 2 * self.multiply_adds() * (2 + self.needs_input_gradient)
