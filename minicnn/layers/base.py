"""What every layer is: shapes, parameters, and a forward and a backward equation."""

import math

import numpy as np

from minicnn import lanes, memory
from minicnn.checks import (
    check_array,
    check_count,
    check_dtype,
    check_flag,
    check_generator,
    check_items,
    check_pair,
    check_shape,
    described,
    is_foreign,
    shown,
    takes,
)
from minicnn.errors import ArgumentError
from minicnn.habits import Habits
from minicnn.layers.buffers import Buffers, Workspace
from minicnn.parameter import Parameter


def check_graph(value, what):
    """`value`, or an ArgumentError that names `what` if it is no Graph."""
    if isinstance(value, type) or not all(hasattr(value, n) for n in ("add", "nodes", "output")):
        raise ArgumentError(f"{what} must be a minicnn.plan.Graph, got {shown(value)}.")
    return value


class Layer(Habits):
    """Base of all layers.

    Arrays travel in lanes: `x` is ``(G, *input_shape, 16)``, sixteen samples in each of G
    groups (see :mod:`minicnn.lanes`). A layer computes ``y = f(x)`` in `forward` and, in
    `backward`, takes dE/dy, fills the gradients of its parameters and returns dE/dx.

    What a layer returns lives in a buffer that the layer owns and overwrites at its next
    call, so that training allocates nothing; copy what must last. For the same reason one
    layer object stands in one place of one model.

    Attributes
    ----------
    input_shape, output_shape : tuple of int or None
        Of one sample, ``(C, H, W)`` or ``(F,)``; None until `build`.
    dtype : dtype
        float32, or float64 for gradient checks.
    name : str
        The path in the model, such as ``"3.dense"``; used in errors and summaries.
    needs_input_gradient : bool
        False for the first layer of a model, whose dE/dx nobody reads: `backward` may
        then return None.
    workspace : Workspace
        Room to work in during a call; a model gives all its layers the same.
    rectify : bool
        Whether this layer does the work of a ReLU beside it in its own loops, see
        `rectifies`.
    absorbed : bool
        Whether this layer is a ReLU whose work a neighbour does.
    overwrites_input : bool
        Whether the input is this layer's to overwrite once it is not read any more, see
        `gives_away`.
    overwrites_gradient : bool
        Whether the same is true of the gradient that `backward` is given.
    """

    #: Where a ReLU may stand that this layer can do the work of: before its ``"input"`` or
    #: after its ``"output"``; None if it cannot.
    rectifies = None

    #: Whether both passes return an array of this layer's own, which its backward pass does
    #: not read: then the next layer, or the one before, may write into it.
    gives_away = False

    #: Whether a sample's output depends on the other samples of its batch, in training.
    mixes_samples = False

    #: Whether a pass does work outside of kernels which hand all of theirs to the threads. It is
    #: then called for every batch; what others do, captured once, is replayed.
    in_python = False

    #: What a layer says that has no shapes yet.
    not_built = "the layer has no shapes yet: initialize the model that it stands in."

    _made = "workspace"

    #: Whether the class is not of this package: what it returns is then checked.
    foreign = False

    def __init_subclass__(cls, **named):
        """Let nobody inherit a promise about code that may have been replaced."""
        super().__init_subclass__(**named)
        cls.foreign = is_foreign(cls)
        if cls.foreign:
            for promise in ("rectifies", "gives_away"):
                if promise not in vars(cls):
                    setattr(cls, promise, getattr(Layer, promise))
            cls.in_python = vars(cls).get("in_python", True)

    def __init__(self):
        self.input_shape = self.output_shape = None
        self.dtype = np.dtype(np.float32)
        self.name = type(self).__name__.lower()
        self.needs_input_gradient = True
        self.workspace = Workspace()
        self._groups = None  # of the forward pass that `backward` would go back through
        self.reset_sharing()
        self._parameters, self._initializers = {}, {}

    def build(self, input_shape, rng, dtype=np.float32):
        """Fix the shapes, make the parameters, and return the output's shape.

        Parameters
        ----------
        input_shape : tuple of int
            Of one sample.
        rng : numpy.random.Generator
            This layer's own; nothing else draws from it.
        dtype : dtype
            float32 or float64.

        Returns
        -------
        tuple of int
            Shape of one output sample.

        Raises
        ------
        ArgumentError
            If the layer cannot work on that shape, or an initializer draws what is no weight of
            its shape.
        """
        check_generator(rng)
        self.dtype = check_dtype(dtype)
        self.input_shape = check_shape(
            input_shape, "the shape of one sample", "such as (1, 28, 28) or (784,)"
        )
        self._parameters, self._initializers, self._groups = {}, {}, None
        self._buffers = Buffers(self.dtype, self.workspace)
        self.output_shape = tuple(self._build(rng))
        return self.output_shape

    def _build(self, rng):
        """What a subclass does in `build`: check, make parameters, return output_shape."""
        return self.input_shape

    def forward(self, x, training=False, samples=None):
        """Compute the output.

        Parameters
        ----------
        x : ndarray, shape (G, *input_shape, 16)
        training : bool
            Whether dropout drops and batch normalization uses the batch's statistics.
        samples : int, optional
            How many lanes hold a sample; the others are spare. All by default.

        Returns
        -------
        ndarray, shape (G, *output_shape, 16)
        """
        raise NotImplementedError

    def backward(self, dy):
        """Fill the parameters' gradients and return the input's.

        Call after `forward` on the same batch; the input must not have changed since.

        Parameters
        ----------
        dy : ndarray, shape (G, *output_shape, 16)
            dE/dy, zero in spare lanes.

        Returns
        -------
        ndarray, shape (G, *input_shape, 16), or None
            dE/dx, zero in spare lanes.
        """
        raise NotImplementedError

    def check_input(self, x, samples=None, training=False):
        """Note that `x` goes forward, if the kernels, which check nothing, can read it.

        Raises
        ------
        ArgumentError
            If it is no ``(G, *input_shape, 16)`` of this layer's dtype, `samples` does not fit
            it, or `training` is no bool.
        """
        if not self.workspace.trusted:
            self._check_lanes(x, self.input_shape)
            check_flag(training, "training")
            if samples is not None:
                lanes.check_samples(x, samples)
        self._groups = len(x)

    def _check_parts(self, parts, shapes):
        """The same for a layer with several inputs, of these shapes.

        Raises
        ------
        ArgumentError
            As `check_input` does, and if there are more or fewer, or not as many groups in each.
        """
        if not self.workspace.trusted:
            parts = check_items(parts, "parts")
            if len(parts) != len(shapes):
                raise self._error(f"joins {len(shapes)} parts, got {len(parts)}.")
            for part, shape in zip(parts, shapes):
                self._check_lanes(part, shape)
            if len({len(part) for part in parts}) > 1:
                raise self._error("the parts are of different numbers of samples.")
        self._groups = len(parts[0])
        return parts

    def check_gradient(self, dy):
        """The same for the way back: `dy` must be of as many groups as went forward.

        Raises
        ------
        ArgumentError
            If the kernels could not read it, or there is no forward pass of as many samples to
            go back through.
        """
        if self.workspace.trusted:
            return
        self._check_lanes(dy, self.output_shape)
        if len(dy) != self._groups:
            last = "none to go back through" if self._groups is None else f"{self._groups} groups"
            raise self._error(
                f"dy has {len(dy)} groups of lanes, and the last forward pass {last}: call forward"
                " on this batch first, and predict nothing in between."
            )

    def _check_lanes(self, x, shape):
        if shape is None:
            raise self._error(self.not_built)
        if not lanes.are_lanes(x, shape, self.dtype):
            wanted = ", ".join(["G", *map(str, shape), str(lanes.LANES)])
            raise self._error(
                f"expected samples in lanes, {self.dtype} of shape ({wanted}) and C-contiguous,"
                f" got {described(x)}: make them by lanes.pack(batch, model.dtype), or call"
                " predict with ordinary arrays."
            )

    def check_result(self, array, groups, backward=False):
        """Raise unless `array` is what this layer's forward or backward pass must return.

        Raises
        ------
        ArgumentError
            If the kernels, which check nothing, could not read it.
        """
        groups, backward = check_count(groups, "groups"), backward is True
        if backward and array is None and not self.needs_input_gradient:
            return
        shape, name = self.output_shape, "forward"
        if backward:
            shape, name = self.input_shape, "backward"
        else:
            self._groups = groups  # a `forward` of others need not call `check_input`
        if not lanes.are_lanes(array, shape, self.dtype) or len(array) != groups:
            wanted = (groups, *shape, lanes.LANES)
            raise self._error(
                f"{name} must return a C-contiguous {self.dtype} array of shape {wanted}, got"
                f" {described(array)}."
            )

    def reset_sharing(self):
        """Do the own work only, on arrays of one's own; a model then says what is shared."""
        self.rectify = self.absorbed = False
        self.overwrites_input = self.overwrites_gradient = False

    def gradient_is_free(self):
        """Whether the array that `backward` returns may be overwritten by who gets it."""
        return self.gives_away

    def output_is_free(self):
        """Whether the array that `forward` returns may be overwritten by who gets it."""
        return self.gives_away and not self.rectify

    def children(self):
        """The layers inside this one, as a list; empty for most."""
        return []

    def parts(self):
        """The layers inside by the names that a file of weights gives them."""
        return {str(index): layer for index, layer in enumerate(self.children())}

    @takes(graph=check_graph)
    def connect(self, graph, x):
        """Add what this layer is made of to a :class:`minicnn.plan.Graph`.

        Parameters
        ----------
        graph : Graph
        x : Node
            Whose output is this layer's input.

        Returns
        -------
        Node
            Whose output is this layer's: one of its own, but for a container.
        """
        return graph.add(self, [x])

    def own_parameters(self):
        """This layer's own parameters by name, such as ``{"weight": ..., "bias": ...}``."""
        return dict(self._parameters)

    def parameters(self):
        """All parameters, those of the layers inside included, in a fixed order."""
        inner = [p for child in self.children() for p in child.parameters()]
        return [*self._parameters.values(), *inner]

    def state(self):
        """Arrays that are no parameters but belong to what was learned, by name."""
        return {}

    def initializers(self):
        """Which initializer made each parameter: ``{name: (initializer, promised std)}``."""
        return dict(self._initializers)

    def _make_parameter(self, name, shape, initializer, fans, rng, decay=True):
        drawn = 2 * 8 * math.prod(shape)  # in float64, then once more in the dtype
        with memory.asked(drawn, f"weights of shape {tuple(shape)} for {self.name}"):
            try:
                value = initializer(shape, fans, rng, self.dtype)
            except ArgumentError as error:
                raise self._error(f"{name}: {error}") from error
        what = f"{self.name}: what initializer {initializer.name} draws for {name}"
        self._parameters[name] = Parameter(check_array(value, shape, self.dtype, what), decay)
        self._initializers[name] = (initializer, initializer.variance(fans, shape) ** 0.5)

    def _error(self, message):
        return ArgumentError(f"{self.name}: {message}" if self.name else message)

    def _needs_images(self):
        """Raise unless the input is ``(C, H, W)``."""
        if len(self.input_shape) != 3:
            raise self._error(f"needs images (C, H, W), got a sample of shape {self.input_shape}.")

    def multiply_adds(self):
        """Multiply-adds of the forward pass for one sample, by the layer's own equation.

        What meets the padding counts; a faster algorithm does not count less. Only
        convolutions and dense layers have any to speak of.
        """
        return 0

    def training_flops(self):
        """Floating-point operations of a training step for one sample, by the equations.

        Two for each multiply-add, forwards and in the gradient of the weights, and in that of
        the input where a layer before needs it.
        """
        return 2 * self.multiply_adds() * (2 + self.needs_input_gradient)

    def describe(self):
        """The settings that make this layer what it is, for the summary table."""
        return ""


@takes(layer=Layer)
def window_output(layer, kernel_size, stride, padding, dilation=(1, 1)):
    """Output height and width of a sliding window over ``layer.input_shape``.

    ``(H + 2 p - d (k - 1) - 1) // s + 1`` for each of the two axes.

    Raises
    ------
    ArgumentError
        If the window does not fit into the padded input even once.
    """
    if layer.input_shape is None:
        raise layer._error(layer.not_built)
    layer._needs_images()
    kernel_size = check_pair(kernel_size, "kernel_size", 1)
    stride, padding = check_pair(stride, "stride", 1), check_pair(padding, "padding", 0)
    dilation = check_pair(dilation, "dilation", 1)
    axes = zip(layer.input_shape[1:], kernel_size, stride, padding, dilation)
    sizes = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes]
    if min(sizes) < 1:
        window = f"{kernel_size[0]}x{kernel_size[1]} window"
        if max(dilation) > 1:
            window += f" with dilation {dilation}"
        raise layer._error(
            f"the output would be empty: a {window} does not fit into the input"
            f" {layer.input_shape} padded by {padding}. Use a smaller kernel, more padding, or"
            " fewer strides before it."
        )
    return tuple(sizes)
