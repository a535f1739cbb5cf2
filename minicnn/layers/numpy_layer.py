"""NumpyLayer: a layer of one's own in plain NumPy."""

import numpy as np

from minicnn.layers.base import Layer


class NumpyLayer(Layer):
    """Base of layers that take and return ordinary arrays, ``(N, C, H, W)`` or ``(N, F)``.

    Write `forward` and `backward`; keep in attributes what the one needs of the other. Such a layer
    trains in any model, is gradient-checked, saved and probed like the others, which keep their
    speed. What it returns is checked.

    A layer that changes the shape or has parameters also has a `setup`, which returns the shape of
    one output sample. Parameters are made by `add_parameter`; `backward` writes their gradients:
    ``self.weight.grad[...] = ...``.

    Attributes
    ----------
    training : bool
        Whether this is a pass of training; set before each.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import gradcheck
    >>> from minicnn.layers import NumpyLayer
    >>> class Square(NumpyLayer):
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x**2
    ...
    ...     def backward(self, dy):
    ...         return 2 * self.x * dy
    >>> gradcheck.check_layer(Square(), (3, 4, 4)).worst < 1e-6
    True
    """

    in_python = True
    training = False

    def forward(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        """The output for a batch, ndarray of shape (N, *output_shape) and the dtype of `x`.

        Parameters
        ----------
        x : ndarray, shape (N, *input_shape)
            The layer's own: nobody else writes to it.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method forward(self, x).")

    def backward(self, dy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        """dE/dx for the last batch, ndarray of shape (N, *input_shape).

        Parameters
        ----------
        dy : ndarray, shape (N, *output_shape)
            dE/dy.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method backward(self, dy).")
