"""Sequential: an ordered list of layers, trained and asked as one."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from minicnn.checks import check_flag, check_kind, make_rng, takes
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Shape
from minicnn.layers.module import check_graph
from minicnn.models.inference import OfThread, predict
from minicnn.models.summary import table
from minicnn.parameter import assign, lay_side_by_side
from minicnn.plan import OFTEN, Graph, Node, Plan, Recording
from minicnn.plan.model_lock import ModelLock

NOT_INITIALIZED = "the model has no weights yet: call initialize(input_shape)."


class Sequential(Layer):
    """Layers applied one after the other; itself a layer, so that blocks nest.

    ``y = f_L(... f_2(f_1(x)))``; backward applies each layer's own backward in reverse.

    Any number of threads may `predict` at once; they share the weights. One thread at a time
    trains: the first that calls `forward` has the model until it calls `release` or ends, and other
    threads get an error meanwhile.

    Parameters
    ----------
    *layers : Layer
        In the order of the forward pass.

    Attributes
    ----------
    signal_bytes : int
        Size of the largest array that one sample makes between two layers, once built.
    fused : bool
        Whether layers do the work of the ReLUs beside them; `initialize` sets it.
    built : list of Layer or None
        The layers that were built.
    lock : ModelLock
        Which thread has the model.

    Raises
    ------
    ArgumentError
        For something that is not a layer, or the same layer object twice: a layer keeps
        what its backward pass needs, so it can stand in one place only.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import Sequential
    >>> from minicnn.layers import Dense, ReLU
    >>> model = Sequential(Dense(8), ReLU(), Dense(3))
    >>> model.initialize((5,), seed=0)
    (3,)
    >>> model.predict(np.zeros((4, 5), np.float32)).shape
    (4, 3)
    """

    not_built = NOT_INITIALIZED

    def __init__(self, *layers: Layer):
        super().__init__()
        self.name = ""
        self.signal_bytes = 0
        self.fused = True
        self.built: list[Layer] | None = None
        self._versions: list[tuple[Layer, int]] = []
        self.lock, self._own = ModelLock(), OfThread()
        for layer in layers:
            if not isinstance(layer, Layer):
                example = "Sequential(Dense(10), ReLU())"
                if isinstance(layer, (list, tuple)):
                    example += ", or Sequential(*layers) for a list"
                elif isinstance(layer, type) and issubclass(layer, Layer):
                    example = f"{layer.__name__}(...), an object of it"
                raise ArgumentError(f"Sequential takes layers, got {layer!r}: write {example}.")
        self.layers = list(layers)
        everywhere = list(self.walk())
        if len({id(layer) for layer in everywhere}) < len(everywhere):
            raise ArgumentError("a layer object can stand in one place only: make a second one.")

    def children(self) -> list[Layer]:
        """The layers, in order."""
        return self.layers

    @takes(graph=check_graph)
    def connect(self, graph: Graph, x: Node) -> Node:
        """The layers one after the other, from `x` on."""
        for layer in self.layers:
            x = layer.connect(graph, x)
        return x

    def initialize(
        self,
        input_shape: Shape,
        seed: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float32,
        input_gradient: bool = False,
        fuse: bool = True,
    ) -> Shape:
        """Build the whole model from a seed, and name its layers and parameters.

        Every layer draws from a generator of its own, spawned from the seed by its
        position, so that a change in one layer leaves the others' numbers alone.

        Parameters
        ----------
        input_shape : tuple of int
            Of one sample, ``(C, H, W)`` or ``(F,)``.
        seed : int or numpy.random.Generator
        dtype : dtype
            float32, or float64 for gradient checks.
        input_gradient : bool
            Whether `backward` returns dE/dx of the model's input, which training never
            reads.
        fuse : bool
            Whether layers do the work of the ReLUs beside them, which spares passes over
            memory. The numbers are the same; but a layer's output is then no longer what
            its equation says, so what looks at the layers one by one turns it off.

        Returns
        -------
        tuple of int
            Shape of one output sample.

        Raises
        ------
        ArgumentError
            If a layer cannot work on its input, the dtype is another one, or another thread
            computes with the model.
        """
        rng, input_gradient = make_rng(seed), check_flag(input_gradient, "input_gradient")
        fuse = check_flag(fuse, "fuse")
        with self.lock.taken():
            _name(self, "")
            self.needs_input_gradient, self.fused = input_gradient, fuse
            shape = self.build(input_shape, rng, dtype)
        for layer in self.walk():
            if isinstance(layer, Sequential):
                layer.lock, layer.fused = self.lock, fuse
        for layer in self.all_layers():
            for name, parameter in layer.own_parameters().items():
                parameter.name = f"{layer.name}.{name}"
        lay_side_by_side(self.parameters())
        return shape

    def setup(self, rng: np.random.Generator) -> Shape:
        """Build the layers, each from a generator of its own."""
        shape, needed = self.input_shape, self.needs_input_gradient
        self.built, self._own = list(self.layers), OfThread()
        for layer, own in zip(self.layers, rng.spawn(len(self.layers))):
            layer.needs_input_gradient = needed
            shape = layer.build(shape, own, self.dtype)
            needed = needed or bool(layer.parameters())
        sizes = (math.prod(layer.output_shape) for layer in self.all_layers())
        self.signal_bytes = self.dtype.itemsize * max(sizes, default=0)
        self._versions = [(layer, layer.version) for layer in self.all_layers()]
        return shape

    def all_layers(self) -> list[Layer]:
        """Every layer that is not a Sequential, those inside blocks included, in order."""
        return [layer for layer in self.walk() if not isinstance(layer, Sequential)]

    def check_layers(self) -> None:
        """Raise an ArgumentError unless the model is built, of the layers that it still has."""
        if self.output_shape is None:
            raise ArgumentError(NOT_INITIALIZED)
        for layer in self.walk():
            if isinstance(layer, Sequential) and layer.layers != layer.built:
                raise ArgumentError(
                    "the model's layers have changed since it was initialized: initialize it again,"
                    " and make the optimizer after that."
                )
        if any(layer.version != version for layer, version in self._versions):
            raise ArgumentError(
                "this model's layers are another model's by now, which was initialized after it:"
                " make each model from layers of its own, then initialize it."
            )

    def plan(self) -> Plan:
        """How this thread computes the layers, a :class:`minicnn.plan.Plan`; made when needed."""
        if self._own.plan is None:
            self.check_layers()
            self._own.plan = Plan(self, self.fused)
        return self._own.plan

    def forward(  # type: ignore[override] # of a whole model, see `Layer`
        self, x: Array, training: bool = False, samples: int | None = None
    ) -> Array:
        """Apply the layers in order.

        Parameters
        ----------
        x : ndarray, shape (G, *input_shape, 16)
            Samples in lanes, see :func:`minicnn.lanes.pack`.
        training : bool
            Whether dropout drops and batch normalization uses the batch's statistics.
        samples : int, optional
            How many lanes hold a sample; the others are spare. All by default.

        Returns
        -------
        ndarray, shape (G, *output_shape, 16)
            Overwritten by the next pass: copy what must last.

        Raises
        ------
        ArgumentError
            If `x` is not what the kernels can read, or another thread has the model.
        """
        self.lock.take()
        return self.run(x, training, samples)

    def run(
        self,
        x: Array,
        training: bool = False,
        samples: int | None = None,
        recording: Recording | None = None,
        backward: int = OFTEN,
    ) -> Array:
        """`forward`, for who has the model or knows that nobody changes it.

        The pass is written down in `recording`; `backward` passes follow ``minicnn.plan.NEVER``,
        ``ONCE`` or ``OFTEN``.
        """
        if recording is not None:
            check_kind(recording, Recording, "recording")
        return self.plan().forward(x, training, samples, recording, backward)

    def backward(  # type: ignore[override] # of a whole model, see `Layer`
        self, dy: Array, recording: Recording | None = None
    ) -> Any:
        """Apply the layers' backward passes in reverse, of the last forward pass.

        Parameters
        ----------
        dy : ndarray, shape (G, *output_shape, 16)
            dE/dy, zero in spare lanes. The input must not have changed since the forward pass.
        recording : Recording, optional
            Where the pass is written down.

        Returns
        -------
        ndarray, shape (G, *input_shape, 16), or None
            dE/dx, if the model was initialized with `input_gradient`. The parameters' gradients are
            filled.

        Raises
        ------
        ArgumentError
            If `dy` is not what the kernels can read, there is no forward pass of as many samples
            to go back through, or another thread has the model.
        """
        self.lock.take()
        if recording is not None:
            check_kind(recording, Recording, "recording")
        return self.plan().backward(dy, recording)

    def forget(self) -> None:
        """Refuse to go back through the last forward pass: what it left is not there any more."""
        self.plan().forget()

    def release(self) -> None:
        """Let other threads compute with the model; what it returned may then be overwritten."""
        self.lock.release()

    def _repr_html_(self) -> str:
        """The summary, for notebooks."""
        built = self.output_shape is not None
        return f"<pre>{escape(self.summary() if built else repr(self))}</pre>"

    def __call__(self, x: Any) -> NoReturn:
        """Raise an ArgumentError that says what to call."""
        raise ArgumentError(
            "a model is not called: model.predict(images) gives the scores of ordinary arrays,"
            " model.forward(lanes.pack(images)) those of a step of training."
        )

    def predict(self, images: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Scores of ordinary arrays, in evaluation mode.

        Parameters
        ----------
        images : ndarray, shape (N, *input_shape), float
            Normalized as in training.
        batch_size : int, optional
            How many samples to compute at a time. By default 256, or fewer if their signals would
            not fit the processor's cache, see :mod:`minicnn.plan.micro_batches`.

        Returns
        -------
        ndarray, shape (N, *output_shape)

        Raises
        ------
        ArgumentError
            If the model is not initialized, the shape does not fit, the array is of integers,
            which nobody has normalized, or another thread trains the model.
        """
        return predict(self, self._own, images, batch_size)

    def summary(self) -> str:
        """A table of the layers: output shape, parameters, initializer and its std.

        Returns
        -------
        str
            One line a layer, a line for each parameter's initializer, and the total.

        Raises
        ------
        ArgumentError
            If the model is not initialized.
        """
        if self.output_shape is None:
            raise ArgumentError(NOT_INITIALIZED)
        return table(self)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Every parameter and running statistic by name, as copies.

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        ArgumentError
            If another thread trains the model, which would be caught between two states.
        """
        with self.lock.taken():
            return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Take the values of `arrays`, all or none.

        An ArgumentError if a name is missing or unknown, a shape differs, something is no array of
        numbers, or another thread trains the model; nothing is changed then.
        """
        with self.lock.taken():
            assign(
                self._arrays(), arrays,
                "A file of weights, whose names are such as 0.weight, goes in by"
                " minicnn.training.load_weights(model, path).",
            )  # fmt: skip

    def _arrays(self):
        arrays = {p.name: p.value for p in self.parameters()}
        for layer in self.all_layers():
            arrays |= {f"{layer.name}.{name}": array for name, array in layer.state().items()}
        return arrays


def initialized(model: Any, what: str = "model") -> Sequential:
    """`model`, or an ArgumentError that names `what` if it is no Sequential with weights."""
    check_kind(model, Sequential, what)
    if model.output_shape is None:
        raise ArgumentError(f"{what}: {NOT_INITIALIZED}")
    return model


def _name(layer, prefix):
    """Name a layer's descendants by their place, as ``2.conv2d`` or ``3.residual.0.conv2d``."""
    for index, child in enumerate(layer.children()):
        own = "" if isinstance(child, Sequential) else f".{type(child).__name__.lower()}"
        child.name = f"{prefix}{index}{own}"
        _name(child, child.name + ".")
