"""What every layer is: shapes, a forward and a backward equation, and parameters."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

from minicnn import allocation, checks, initializers
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits
from minicnn.initializers import Fans, Initializer
from minicnn.layers.context import Array, Context, Shape
from minicnn.parameter import Parameter

if TYPE_CHECKING:
    from minicnn.plan.graph import Graph, Node

#: What a class says of its passes: it does not hold for passes that a user's class replaces.
PROMISES = (
    "fuses_relu", "forward_in_place", "backward_in_place", "shares_gradient", "backward_reads",
    "_reads", "is_view",
)  # fmt: skip


def check_graph(value: Any, what: str) -> Any:
    """`value`, or an ArgumentError that names `what` if it is no Graph."""
    if isinstance(value, type) or not all(hasattr(value, n) for n in ("add", "nodes", "output")):
        raise ArgumentError(f"{what} must be a minicnn.plan.Graph, got {checks.shown(value)}.")
    return value


def _check_shape(value, what):
    return checks.check_shape(value, what, "such as (10, 784)")


def _check_initializer(value, what):
    return initializers.from_string(value)


class Layer(Habits):
    """Base of all layers: ``y = f(x)``; then dE/dx, and dE/dw of the parameters, of dE/dy.

    Arrays are in lanes: `x` is ``(G, *input_shape, 16)``, sixteen samples in each of G groups (see
    :mod:`minicnn.lanes`). A layer fills the arrays that it is handed; a :class:`minicnn.plan.Plan`
    decides where they are. A layer of ordinary arrays is a :class:`minicnn.layers.NumpyLayer`.

    Attributes
    ----------
    dtype : dtype
        float32, or float64 for gradient checks.
    name : str
        The path in the model, such as ``"3.dense"``; used in errors and summaries.
    input_shape, output_shape : tuple of int or None
        Of one sample, ``(C, H, W)`` or ``(F,)``; None until `build`.
    needs_input_gradient : bool
        Whether somebody reads dE/dx: nobody does that of a model's first layer.
    version : int
        How often the layer was built.
    """

    _made = "_parameters"
    input_shape: Shape
    output_shape: Shape
    #: Where a ReLU may stand that this layer computes if ``ctx.relu``: before its ``"input"`` or
    #: after its ``"output"``; None if it cannot.
    fuses_relu: str | None = None
    #: Whether `y` may be the array of the first input.
    forward_in_place = False
    #: Which array `dx` may be, ``"dy"`` or ``"x"``; None if neither.
    backward_in_place: str | None = None
    #: What `backward_reads` gives.
    _reads: tuple[str, ...] = ("x", "y")
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
        if checks.is_third_party(cls):
            cls.in_python = vars(cls).get("in_python", True)
            if "forward" in vars(cls) or "backward" in vars(cls):
                for promise in set(PROMISES).difference(vars(cls)):
                    setattr(cls, promise, vars(Layer)[promise])

    def __init__(self):
        self.dtype, self.name = np.dtype(np.float32), type(self).__name__.lower()
        self._parameters, self._initializers = {}, {}
        self.input_shape = self.output_shape = None  # type: ignore[assignment] # until `build`
        self.needs_input_gradient, self.version = True, 0

    def build(self, input_shape: Shape, rng: Generator, dtype: DTypeLike = np.float32) -> Shape:
        """Fix the shapes, of one sample, make the parameters, and return the output's shape.

        The generator is this layer's own, the dtype float32 or float64.

        Raises
        ------
        ArgumentError
            If the layer cannot work on that shape.
        """
        checks.check_generator(rng)
        self.dtype, what = checks.check_dtype(dtype), "the shape of one sample"
        self.input_shape = checks.check_shape(input_shape, what, "such as (1, 28, 28) or (784,)")
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
        """Fill the gradients of the parameters, and `dx` with dE/dx unless that is None.

        `dy` is dE/dy, zero in spare lanes, as `dx` must be. Only what `backward_reads` names of
        `x` and `y` is still what it was.
        """
        raise NotImplementedError

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """Which of ``"x"`` and ``"y"`` the backward pass reads."""
        return self._reads

    def is_view(self, training: bool) -> bool:
        """Whether y is x, perhaps in another shape: then neither pass is called."""
        return False

    def error(self, message: str) -> ArgumentError:
        """An ArgumentError that names this layer."""
        return ArgumentError(f"{self.name}: {message}" if self.name else message)

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

    @checks.takes(
        name=checks.check_text, shape=_check_shape, initializer=_check_initializer, fans=Fans,
        rng=Generator, decay=checks.check_flag,
    )  # fmt: skip
    def add_parameter(
        self,
        name: str,
        shape: Shape,
        initializer: Any,
        fans: Fans,
        rng: Generator,
        decay: bool = True,
    ) -> Parameter:
        """Make a parameter, named such as ``"weight"``; for `setup`.

        Parameters
        ----------
        initializer : str or Initializer
            Draws its value.
        fans : Fans
            The numbers of inputs and outputs that the initializer is told of.
        decay : bool
            Whether weight decay applies.

        Raises
        ------
        ArgumentError
            If the initializer draws what is no weight of this shape.
        """
        drawn = 2 * 8 * math.prod(shape)  # in float64, then once more in the dtype
        with allocation.asked(drawn, f"weights of shape {tuple(shape)} for {self.name}"):
            try:
                value = initializer(shape, fans, rng, self.dtype)
            except ArgumentError as error:
                raise self.error(f"{name}: {error}") from error
        what = f"{self.name}: what initializer {initializer.name} draws for {name}"
        parameter = Parameter(checks.check_array(value, shape, self.dtype, what), decay)
        self._parameters[name] = parameter
        self._initializers[name] = (initializer, initializer.variance(fans, shape) ** 0.5)
        return parameter

    def own_parameters(self) -> dict[str, Parameter]:
        """This layer's own parameters by name, such as ``{"weight": ..., "bias": ...}``."""
        return dict(self._parameters)

    def parameters(self) -> list[Parameter]:
        """All parameters, those of the layers inside included, in a fixed order."""
        inner = [p for child in self.children() for p in child.parameters()]
        return [*self._parameters.values(), *inner]

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that are no parameters but belong to what was learned, by name."""
        return {}

    def initializers(self) -> dict[str, tuple[Initializer, float]]:
        """Which initializer made each parameter: ``{name: (initializer, promised std)}``."""
        return dict(self._initializers)

    def children(self) -> list[Any]:
        """The layers inside this one, as a list; empty for most."""
        return []

    def parts(self) -> dict[str, Any]:
        """The layers inside by the names that a file of weights gives them."""
        return {str(index): layer for index, layer in enumerate(self.children())}

    @checks.takes(graph=check_graph)
    def connect(self, graph: "Graph", x: "Node") -> "Node":
        """Add what this layer is made of to a :class:`minicnn.plan.Graph`.

        The output of node `x` is this layer's input, and that of the returned one its output.
        """
        return graph.add(self, [x])

    def describe(self) -> str:
        """The settings that make this layer what it is, for the summary table."""
        return ""
