"""Flatten: the same numbers, seen as a vector."""

from minicnn.layers.base import Layer


class Flatten(Layer):
    """``(C, H, W)`` becomes ``(C H W,)``, channel after channel, without a copy."""

    def setup(self, rng):
        """Check the input's shape; see :meth:`Layer.setup`."""
        size = 1
        for extent in self.input_shape:
            size *= extent
        return (size,)

    def is_view(self, training):
        """Yes."""
        return True
