"""Jacobians: how a small change of the input changes the output, layer by layer and end to end.

``J[k, i] = d y_k / d x_i`` for one image, in evaluation mode and in float64. Two products give
all there is to know of it::

    Jᵀ u    the model's own backward pass of dE/dy = u
    J v     forward mode: the image x and the direction v go through the layers together

Sixteen lanes hold sixteen copies of the image, each with a vector of its own.
"""

import math

import numpy as np

from minicnn import checks, lanes
from minicnn.errors import ArgumentError, unknown
from minicnn.lab.measure.jvp import push
from minicnn.lab.measure.signals import Names, Signals
from minicnn.models.inference import check_images
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import NEVER, Plan, trace

ROWS = 256  # of a dense Jacobian at a time
MAX_BLOCKS = 40


class Jacobian:
    """The Jacobian of a model, or of some of its layers, at one image.

    Batch normalization uses its running averages, which in an untrained model are 0 and 1:
    in training mode a sample would have no Jacobian of its own.

    Parameters
    ----------
    model : Sequential
        Initialized. Nothing of it changes; what it holds now is what counts.
    image : ndarray, shape (*input_shape), float
        Normalized as in training.
    layers : str or pair of str, optional
        The name of a layer, of its output by its input when the model sees the image; or of the
        first and the last of some layers in a row, such as a dense layer and its activation.
        The whole model by default.

    Attributes
    ----------
    shape : tuple of int
        Numbers of outputs and of inputs.

    Raises
    ------
    ArgumentError
        If the image does not fit, there is no layer of that name, or the two do not stand in
        one row in that order.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.models import zoo
    >>> from minicnn.lab.measure.jacobian import Jacobian
    >>> model = zoo.build("mlp:20,20", activation="tanh")
    >>> model.initialize((1, 4, 4), seed=0)
    (10,)
    >>> image = np.ones((1, 4, 4), np.float32)
    >>> Jacobian(model, image).shape
    (10, 16)
    >>> Jacobian(model, image, ("1.dense", "2.tanh")).singular_values().shape
    (16,)
    """

    @checks.takes(model=initialized, image=checks.check_numbers, layers=checks.check_names)
    def __init__(self, model: Sequential, image: np.ndarray, layers: Names = None):
        signals = Signals(model, dtype=np.float64)
        signals.follow()
        image = np.asarray(image)
        x = lanes.pack(check_images(signals.twin, image[None]), np.float64)
        self._layers = _section(signals.twin, layers)
        self._plans = [Plan(layer) for layer in self._layers]
        first, last = self._layers[0], self._layers[-1]
        self._x = _input_of(signals.twin, first, x)[0, ..., :1]
        self._out, self._in = last.output_shape, first.input_shape
        self.shape = (math.prod(self._out), math.prod(self._in))

    @checks.takes(v=checks.check_numbers)
    def times(self, v: np.ndarray) -> np.ndarray:
        """``J v``, by forward mode.

        Parameters
        ----------
        v : ndarray, shape (n,) or (n, r)
            n inputs; r vectors side by side.

        Returns
        -------
        ndarray of float64, shape (m,) or (m, r)

        Raises
        ------
        ArgumentError
            If a shape does not fit, or a layer is none of minicnn's own.
        """
        columns = self._columns(v, 1)
        tangents = lanes.pack(columns.T.reshape(-1, *self._in), np.float64)
        x = self._copies(len(tangents))
        for layer in self._layers:
            x, tangents = push(layer, x, tangents)
        return self._rows(tangents, columns, v)

    @checks.takes(u=checks.check_numbers)
    def transposed_times(self, u: np.ndarray) -> np.ndarray:
        """``Jᵀ u``, by the backward pass; `u` of m outputs, as `times` takes its n inputs."""
        columns = self._columns(u, 0)
        gradients = lanes.pack(columns.T.reshape(-1, *self._out), np.float64)
        x = self._copies(len(gradients))
        for plan in self._plans:
            x = plan.forward(x)
        for plan in reversed(self._plans):
            gradients = plan.backward(gradients)
        return self._rows(gradients, columns, u)

    def dense(self) -> np.ndarray:
        """The whole matrix, ndarray of shape (m, n): its rows are ``Jᵀ e_k``, `ROWS` at a time."""
        matrix = np.empty(self.shape)
        for start in range(0, len(matrix), ROWS):
            count = min(ROWS, len(matrix) - start)
            unit = np.eye(len(matrix), count, -start)
            matrix[start : start + count] = self.transposed_times(unit).T
        return matrix

    @checks.takes(count=checks.check_count, seed=checks.check_seed)
    def singular_values(
        self, count: int | None = None, tolerance: float = 1e-4, seed: int = 0
    ) -> np.ndarray:
        """The singular values, the largest first.

        Parameters
        ----------
        count : int, optional
            How many of the largest, without the matrix unless that is a small one. All
            ``min(m, n)`` by default, by the dense matrix, m n numbers of 8 bytes.
        tolerance : float
            With `count`: each value is at most so much of the largest away from a true one; as a
            rule it is the square of that. In (0, 1).
        seed : int
            Of the random directions to begin with.

        Returns
        -------
        ndarray of float64, shape (count,)
            Those of the dense matrix right to rounding.

        Raises
        ------
        ArgumentError
            If a setting is out of range, so many do not come out in 40 rounds, or the Jacobian
            holds NaN or infinity.
        """
        most = min(self.shape)
        if count is None:
            return _svd(self.dense())[1]
        if count > most:
            raise ArgumentError(
                f"a Jacobian of {self.shape[0]} outputs and {self.shape[1]} inputs has {most}"
                f" singular values, got count = {count}."
            )
        if not (checks.is_finite(tolerance) and 0 < tolerance < 1):
            raise ArgumentError(f"tolerance must be a number in (0, 1), got {tolerance!r}.")
        return self._largest(count, tolerance, checks.make_rng(seed))

    def _largest(self, count, tolerance, rng):
        """Block Golub-Kahan-Lanczos with full reorthogonalization.

        Golub, Luk & Overton, ACM TOMS 1981. The basis V spans the blocks
        ``(Jᵀ J)^j V_0``; the singular values of ``J V`` are then the best that V can give. A
        block as wide as `count` misses none, however many are equal.
        """
        width = lanes.LANES * lanes.group_count(count)
        basis = np.empty((self.shape[1], 0))
        ahead, back = np.empty((self.shape[0], 0)), basis  # J V and Jᵀ J V
        block = rng.standard_normal((self.shape[1], width))
        for _ in range(MAX_BLOCKS):
            if basis.shape[1] + width > min(self.shape):
                return self.singular_values()[:count]
            for _ in range(2):  # once leaves the rounding of what was cancelled
                block -= basis @ (basis.T @ block)
                block = np.linalg.qr(block)[0]
            through = self.times(block)
            new = self.transposed_times(through)
            basis, ahead, back = (
                np.hstack(pair) for pair in ((basis, block), (ahead, through), (back, new))
            )
            _, values, right = _svd(ahead)
            values, y = values[:count], right[:count].T
            # For v = V y and u = J v / σ this is σ (Jᵀ u - σ v).
            left = np.linalg.norm(back @ y - (basis @ y) * values**2, axis=0)
            bound = tolerance * values[0]
            if (left <= bound * np.maximum(values, bound)).all():
                return values
            block = new
        raise ArgumentError(
            f"the {count} largest singular values do not come out in {MAX_BLOCKS} rounds: ask for"
            f" fewer, for a tolerance above {tolerance:g}, or for all by count=None."
        )

    def _columns(self, vectors, axis):
        vectors = np.asarray(vectors, np.float64)
        size = self.shape[axis]
        if vectors.ndim not in (1, 2) or len(vectors) != size or vectors.size == 0:
            raise ArgumentError(
                f"expected vectors of {size} numbers, ({size},) or ({size}, r), got shape"
                f" {vectors.shape}."
            )
        return vectors.reshape(size, -1)

    def _copies(self, groups):
        x = lanes.zeros((groups, *self._in, lanes.LANES), np.float64)
        x[...] = self._x
        return x

    @staticmethod
    def _rows(packed, columns, given):
        rows = lanes.unpack(packed, columns.shape[1]).reshape(columns.shape[1], -1)
        return rows[0].copy() if np.ndim(given) == 1 else rows.T.copy()


@checks.takes(model=initialized)
def jacobian(model: Sequential, image: np.ndarray, layers: Names = None) -> np.ndarray:
    """The dense Jacobian at one image, ndarray of shape (m, n); see :class:`Jacobian`.

    It costs a forward and a backward pass for each sixteen of its rows.
    """
    return Jacobian(model, image, layers).dense()


def singular_values(
    model: Sequential, image: np.ndarray, count: int | None = None, layers: Names = None
) -> np.ndarray:
    """The Jacobian's singular values, see :meth:`Jacobian.singular_values`."""
    return Jacobian(model, image, layers).singular_values(count)


def _section(model, names):
    """The layers of that name, or from the first to the last, as a list."""
    if names is None:
        return [model]
    named = {layer.name: layer for layer in [*model.walk()][1:]}
    pair = (names, names) if isinstance(names, str) else tuple(names)
    for name in pair:
        if name not in named:
            raise unknown("layer", name, named)
    if len(pair) == 2 and pair[0] == pair[1]:
        return [named[pair[0]]]
    for row in [model, *named.values()]:
        inside = [layer.name for layer in row.children()] if isinstance(row, Sequential) else []
        if len(pair) == 2 and set(pair) <= set(inside):
            start, end = map(inside.index, pair)
            if start <= end:
                return row.children()[start : end + 1]
    raise ArgumentError(
        "layers must be a name, or the first and the last of layers that follow each other in"
        f" one Sequential, got {names!r}."
    )


def _input_of(model, layer, x):
    """What a layer inside is given when the model is given `x`."""
    if layer is model:
        return x
    inside = trace(layer)
    if not inside.input.consumers:
        raise ArgumentError(f"{layer.name} has no layers, so its Jacobian is the identity.")
    first, plan = inside.input.consumers[0], Plan(model, keeps=True)
    plan.forward(x, backward=NEVER)
    node = plan.graph.of(first.layer).inputs[first.inputs.index(inside.input)]
    return lanes.pack(plan.value(node), model.dtype)


def _svd(matrix):
    if not np.isfinite(matrix).all():
        raise ArgumentError(
            "the Jacobian holds NaN or infinity, so it has no singular values: the model has"
            " diverged, or its weights are too large."
        )
    return np.linalg.svd(matrix, full_matrices=False)
