"""Sequential: an ordered list of layers, trained and asked as one."""

import math

import numpy as np

from minicnn import lanes, plan
from minicnn.axes import advice_on_axes
from minicnn.checks import check_count, check_flag, check_kind, make_rng, takes
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer, check_graph
from minicnn.layers.buffers import Workspace
from minicnn.parameter import assign, lay_side_by_side
from minicnn.parts import EVALUATION_BATCH, part_size
from minicnn.summary import table

NOT_INITIALIZED = "the model has no weights yet: call initialize(input_shape)."


class Sequential(Layer):
    """Layers applied one after the other; itself a layer, so that blocks nest.

    ``y = f_L(... f_2(f_1(x)))``; backward applies each layer's own backward in reverse.

    One thread at a time computes with a model: the first that calls `forward` holds it until it
    calls `release` or ends, and other threads get an error meanwhile. `predict` holds it only
    for its own time, so threads may share a model to predict with.

    Parameters
    ----------
    *layers : Layer
        In the order of the forward pass.

    Attributes
    ----------
    signal_bytes : int
        Size of the largest array that one sample makes between two layers, once built.

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

    def __init__(self, *layers):
        super().__init__()
        self.name = ""
        self.signal_bytes = 0
        self._built = self._plan = None  # the layers that were built, and how they are computed
        for layer in layers:
            if not isinstance(layer, Layer):
                example = "Sequential(Dense(10), ReLU())"
                if isinstance(layer, (list, tuple)):
                    example += ", or Sequential(*layers) for a list"
                elif isinstance(layer, type) and issubclass(layer, Layer):
                    example = f"{layer.__name__}(...), an object of it"
                raise ArgumentError(f"Sequential takes layers, got {layer!r}: write {example}.")
        self.layers = list(layers)
        everywhere = list(_walk(self))
        if len({id(layer) for layer in everywhere}) < len(everywhere):
            raise ArgumentError("a layer object can stand in one place only: make a second one.")

    def children(self):
        """The layers, in order."""
        return self.layers

    @takes(graph=check_graph)
    def connect(self, graph, x):
        """The layers one after the other, from `x` on."""
        for layer in self.layers:
            x = layer.connect(graph, x)
        return x

    def initialize(self, input_shape, seed=0, dtype=np.float32, input_gradient=False, fuse=True):
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
        if not self.workspace.holder.retired:
            self.workspace.holder.take()  # the old one, which goes
        _name(self, "")
        workspace, own = Workspace(), self.workspace
        for layer in _walk(self):
            if layer.workspace is not own:  # another model's, or its own
                layer.workspace.holder.retire()
            layer.workspace = workspace
            layer.reset_sharing()
        self.needs_input_gradient = input_gradient
        shape = self.build(input_shape, rng, dtype)
        if fuse:
            plan.fuse(plan.trace(self))
        for layer in self.all_layers():
            for name, parameter in layer.own_parameters().items():
                parameter.name = f"{layer.name}.{name}"
        lay_side_by_side(self.parameters())
        return shape

    def _build(self, rng):
        shape = self.input_shape
        needed, self._built, self._plan = self.needs_input_gradient, list(self.layers), None
        for layer, own in zip(self.layers, rng.spawn(len(self.layers))):
            layer.needs_input_gradient = needed
            shape = layer.build(shape, own, self.dtype)
            needed = needed or bool(layer.parameters())
        sizes = (math.prod(layer.output_shape) for layer in self.all_layers())
        self.signal_bytes = self.dtype.itemsize * max(sizes, default=0)
        return shape

    def all_layers(self):
        """Every layer that is not a Sequential, those inside blocks included, in order."""
        return [layer for layer in _walk(self) if not isinstance(layer, Sequential)]

    def check_layers(self):
        """Refuse a model that is not built, or whose layers are not those that were.

        Raises
        ------
        ArgumentError
            That says to initialize it.
        """
        if self.output_shape is None:
            raise ArgumentError(NOT_INITIALIZED)
        for layer in _walk(self):
            if isinstance(layer, Sequential) and layer.layers != layer._built:
                raise ArgumentError(
                    "the model's layers have changed since it was initialized: initialize it again,"
                    " and make the optimizer after that."
                )

    def plan(self):
        """How the layers are computed, a :class:`minicnn.plan.Plan`; made when first asked for."""
        if self._plan is None:
            self._plan = plan.Plan(self)
        return self._plan

    def __getstate__(self):
        """Without the plan, which is made again: its nodes would be copied one inside the other."""
        return {**vars(self), "_plan": None}

    def forward(self, x, training=False, samples=None, recording=None):
        """Apply the layers in order; shapes as in :meth:`Layer.forward`.

        The pass goes into `recording`, a :class:`minicnn.plan.Recording`, if one is given.

        Raises
        ------
        ArgumentError
            If `x` is not what the kernels, which check nothing, can read, or another thread
            holds the model.
        """
        self.workspace.holder.take()
        self.check_input(x, samples, training)
        if recording is not None:
            check_kind(recording, plan.Recording, "recording")
        workspace, outer = self.workspace, self.workspace.trusted
        workspace.trusted = True  # by hand: a context manager takes as long as a small layer
        try:
            return self.plan().forward(x, training, samples, recording)
        finally:
            workspace.trusted = outer

    def backward(self, dy, recording=None):
        """Apply the layers' backward passes in reverse; as in :meth:`Layer.backward`.

        The pass goes into `recording`, if one is given.

        Raises
        ------
        ArgumentError
            If `dy` is not what the kernels, which check nothing, can read, if there is no
            forward pass of as many samples to go back through, or if another thread holds the
            model.
        """
        self.workspace.holder.take()
        self.check_gradient(dy)
        if recording is not None:
            check_kind(recording, plan.Recording, "recording")
        with self.workspace.trusting():
            return self.plan().backward(dy, recording)

    def forget(self):
        """Refuse to go back through the last forward pass: what it left is not there any more."""
        self._groups = None

    def release(self):
        """Let other threads compute with the model; what it returned may then be overwritten."""
        self.workspace.holder.release()

    def __call__(self, x):
        """Refuse, and say what to call.

        Raises
        ------
        ArgumentError
            Always.
        """
        raise ArgumentError(
            "a model is not called: model.predict(images) gives the scores of ordinary arrays,"
            " model.forward(lanes.pack(images)) those of a step of training."
        )

    def predict(self, images, batch_size=None):
        """Scores of ordinary arrays, in evaluation mode.

        Parameters
        ----------
        images : ndarray, shape (N, *input_shape), float
            Normalized as in training.
        batch_size : int, optional
            How many samples to compute at a time. By default 256, or fewer if their signals would
            not fit the processor's cache, see :mod:`minicnn.parts`.

        Returns
        -------
        ndarray, shape (N, *output_shape)

        Raises
        ------
        ArgumentError
            If the model is not initialized, the shape does not fit, the array is of integers,
            which nobody has normalized, or another thread trains the model.
        """
        images = self._checked(images)
        size = part_size(self, EVALUATION_BATCH) if batch_size is None else batch_size
        size = check_count(size, "batch_size")
        scores = np.empty((len(images), *self.output_shape), self.dtype)
        with self.workspace.holder.once():
            for start in range(0, len(images), size):
                part = images[start : start + size]
                packed = self.forward(lanes.pack(part, self.dtype), False, len(part))
                scores[start : start + len(part)] = lanes.unpack(packed, len(part))
            self.forget()
        return scores

    def _checked(self, images):
        self.check_layers()
        if np.ma.is_masked(images):
            raise ArgumentError("some pixels are masked: fill them by images.filled(value).")
        images = np.asarray(images)
        if images.dtype.kind != "f":
            raise ArgumentError(
                f"expected floating-point images, got {images.dtype}: normalize them first, as in"
                " dataset.normalized(indices). By hand, bytes are divided by 255:"
                " (images / 255 - mean[:, None, None]) / std[:, None, None]."
            )
        if images.shape[1:] != self.input_shape:
            raise ArgumentError(
                f"expected an array of shape (N, {', '.join(map(str, self.input_shape))}),"
                f" got {images.shape}. {advice_on_axes(images.shape, self.input_shape)}".rstrip()
            )
        return images

    def summary(self):
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

    def state_dict(self):
        """Every parameter and running statistic by name, as copies.

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        ArgumentError
            If another thread trains the model, which would be caught between two states.
        """
        with self.workspace.holder.once():
            return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, arrays):
        """Take the values of `arrays`, all or none.

        Raises
        ------
        ArgumentError
            If a name is missing or unknown, a shape differs, or something is no array of
            numbers, or another thread trains the model; nothing is changed then.
        """
        with self.workspace.holder.once():
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


def initialized(model, what="model"):
    """`model`, or an ArgumentError that names `what` if it is no Sequential with weights."""
    check_kind(model, Sequential, what)
    if model.output_shape is None:
        raise ArgumentError(f"{what}: {NOT_INITIALIZED}")
    return model


def _walk(layer):
    yield layer
    for child in layer.children():
        yield from _walk(child)


def _name(layer, prefix):
    """Name a layer's descendants by their place, as ``2.conv2d`` or ``3.residual.0.conv2d``."""
    for index, child in enumerate(layer.children()):
        own = "" if isinstance(child, Sequential) else f".{type(child).__name__.lower()}"
        child.name = f"{prefix}{index}{own}"
        _name(child, child.name + ".")
