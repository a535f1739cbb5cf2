"""Flatten: the same numbers, seen as a vector."""

from minicnn.layers.base import Layer


class Flatten(Layer):
    """``(C, H, W)`` becomes ``(C H W,)``, channel after channel, without a copy."""

    def _build(self, rng):
        size = 1
        for extent in self.input_shape:
            size *= extent
        return (size,)

    def forward(self, x, training=False, samples=None):
        """A view of `x`; shapes as in :meth:`Layer.forward`."""
        self.check_input(x)
        return x.reshape(len(x), *self.output_shape, x.shape[-1])

    def backward(self, dy):
        """A view of `dy`; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        return dy.reshape(len(dy), *self.input_shape, dy.shape[-1])
