"""Residual: a block of layers with a shortcut around it."""

from minicnn import initializers
from minicnn.checks import takes
from minicnn.errors import ArgumentError
from minicnn.kernels.add import add
from minicnn.kernels.pad import copy_inside
from minicnn.lanes import LANES
from minicnn.layers.base import Layer, check_graph
from minicnn.layers.conv import Conv2d
from minicnn.layers.inside import backward_of, forward_of


class Residual(Layer):
    """A block that learns what to add to its input. He et al., CVPR 2016.

    ::

        y = f(x) + s(x)        dE/dx = f'(x)ᵀ dE/dy + s'(x)ᵀ dE/dy

    Parameters
    ----------
    body : Layer
        f, as a rule a Sequential.
    shortcut : Layer, optional
        s. By default the identity where f keeps the shape, else a 1×1 convolution without
        bias that gives f's channels, with the stride that gives f's size.
    init : str or Initializer
        Of that 1×1 convolution.

    Raises
    ------
    ArgumentError
        For a body that is no layer, and at `build` if the shapes of f(x) and s(x) differ.
    """

    rectifies = "output"
    gives_away = True
    join = "add"

    def __init__(self, body, shortcut=None, init="msra"):
        super().__init__()
        for layer in (body,) if shortcut is None else (body, shortcut):
            if not isinstance(layer, Layer):
                raise ArgumentError(f"Residual takes layers, got {layer!r}.")
        self.body, self.shortcut = body, shortcut
        self.init = initializers.from_string(init)
        self._joined = shortcut

    def children(self):
        """The body and, if it has one, the shortcut's layer."""
        return list(self.parts().values())

    def parts(self):
        """Those two, as ``body`` and ``shortcut``."""
        named = {"body": self.body, "shortcut": self._joined}
        return {name: layer for name, layer in named.items() if layer is not None}

    @takes(graph=check_graph)
    def connect(self, graph, x):
        """The body and the shortcut from `x` on, and the sum of their ends."""
        inner = self.body.connect(graph, x)
        around = x if self._joined is None else self._joined.connect(graph, x)
        return graph.add(self, [inner, around])

    def _build(self, rng):
        own, other = rng.spawn(2)
        self.body.needs_input_gradient = self.needs_input_gradient
        shape = self.body.build(self.input_shape, own, self.dtype)
        if self.shortcut is None:
            self._joined = self._projection(shape)
        if self._joined is not None:
            self._joined.needs_input_gradient = self.needs_input_gradient
            joined = self._joined.build(self.input_shape, other, self.dtype)
        else:
            joined = self.input_shape
        if joined != shape:
            raise self._error(
                f"the body gives {shape} and the shortcut {joined}: they must be alike to be added."
            )
        return shape

    def _projection(self, shape):
        if shape == self.input_shape:
            return None
        if len(shape) != 3 or len(self.input_shape) != 3:
            raise self._error(
                f"the body turns {self.input_shape} into {shape}: give a shortcut that does so too."
            )
        stride = tuple(-(-n // m) for n, m in zip(self.input_shape[1:], shape[1:]))
        projection = Conv2d(shape[0], 1, stride=stride, bias=False, init=self.init)
        projection.name, projection.workspace = f"{self.name}.shortcut", self.workspace
        return projection

    def forward(self, x, training=False, samples=None):
        """``f(x) + s(x)``; shapes as in :meth:`Layer.forward`."""
        self.check_input(x)
        around = x
        inner = forward_of(self.body, x, training, samples)
        if self._joined is not None:
            around = forward_of(self._joined, x, training, samples)
        return self.join_forward([inner, around])

    def backward(self, dy):
        """Fill the block's gradients, return dE/dx; shapes as in :meth:`Layer.backward`."""
        inner, around = self.join_backward(dy)
        inner = backward_of(self.body, inner)
        if self._joined is not None:
            around = backward_of(self._joined, around)
        if not self.needs_input_gradient:
            return None
        dx = self._buffers.lanes("dx", len(dy), self.input_shape)
        add(_flat(inner), _flat(around), False, _flat(dx))
        return dx

    def join_forward(self, parts):
        """The sum of what body and shortcut gave, or the ReLU of it."""
        parts = self._check_parts(parts, [self.output_shape] * 2)
        inner, around = parts
        self._y = y = inner
        if not self.overwrites_input:
            self._y = y = self._buffers.lanes("y", len(inner), self.output_shape)
        add(_flat(inner), _flat(around), self.rectify, _flat(y))
        return y

    def join_backward(self, dy):
        """dE/dy for both."""
        self.check_gradient(dy)
        delta = self._gated(dy) if self.rectify else dy
        return [delta, delta]

    def gradient_is_free(self):
        """No: both get the same array."""
        return False

    def _gated(self, dy):
        """`dy`, and 0 where the output is at most 0: the gradient of the ReLU that follows."""
        delta = dy
        if not self.overwrites_gradient:
            delta = self._buffers.lanes("delta", len(dy), self.output_shape)
        planes = (array.reshape(*array.shape[:2], 1, -1, LANES) for array in (dy, self._y, delta))
        copy_inside(*planes, 0, 0)
        return delta


def _flat(array):
    return array.reshape(len(array), -1)
