"""Muon's update: a gradient made orthogonal by products of matrices alone.

With the singular value decomposition ``G = U S Vᵀ`` the matrix ``U Vᵀ`` is the orthogonal one
nearest to G. A few steps of

    X <- a X + (b A + c A²) X        with A = X Xᵀ, from X = G / |G|

bring all singular values near 1, as the odd polynomial ``a s + b s³ + c s⁵`` does that to each of
them (Newton-Schulz; Jordan et al., *Muon: an optimizer for hidden layers*, 2024).

Matrices stand in rows, with sides that are multiples of `SIDE`; what is beyond the gradient is 0
and stays so. Each element of a product is one chain of multiply-adds: its bits depend on no thread,
and equal rows stay equal: units that begin as copies stay copies, as with every other optimizer.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import transpose
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import REGISTER_BYTES, load, pointer, store, zero_tile
from minicnn.kernels.update import flushed, smallest_normal

ROWS, VECTORS = (8, 2) if REGISTER_BYTES == 64 else (4, 1)  # of a tile
WIDTH = VECTORS * LANES
DEPTH = 192  # terms of a product, whose numbers the nearest cache holds
SIDE = 2 * LANES  # a multiple of any tile's
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # Jordan's, steep at 0: small values grow quickly
EPS = 1e-7  # beside |G|, which may be 0

_splat, _load_tile, _store_tile, _add_rank1, _, _ = tile_operations(ROWS, VECTORS)


@kernel
def product(a, b, out, symmetric):
    """``out = a b``; shapes (m, k), (k, n) and (m, n), multiples of `SIDE`.

    Where it is told that the product is `symmetric`, only its lower half is computed.
    """
    parallel_for(_product_rows, len(a) // ROWS, (a, b, out, symmetric))
    if symmetric:
        parallel_for(_mirror_rows, len(out), (out,))


@kernel
def _product_rows(tiles, a, b, out, symmetric):
    inner, columns = b.shape
    a0, b0, out0 = pointer(a), pointer(b), pointer(out)
    strip = np.empty(DEPTH * WIDTH, b.dtype)  # of b, in one piece
    for first in range(0, inner, DEPTH):
        depth = min(DEPTH, inner - first)
        for j in range(0, columns, WIDTH):
            for k in range(depth):
                for v in range(0, WIDTH, LANES):
                    at = b0 + ((first + k) * columns + j + v)
                    store(load(at), pointer(strip) + (k * WIDTH + v))
            for task in tiles:
                i = ROWS * (_spread(task, len(a) // ROWS) if symmetric else task)
                if symmetric and i + ROWS <= j:
                    continue
                to = out0 + (i * columns + j)
                tile = zero_tile(_splat(a0, 0))
                if first:
                    tile = _load_tile(to, columns, LANES)
                for k in range(depth):
                    w, x = a0 + (i * inner + first + k), pointer(strip) + k * WIDTH
                    tile = _add_rank1(tile, w, inner, x, LANES)
                _store_tile(tile, to, columns, LANES)


@kernel
def _spread(task, count):
    """From both ends to the middle: rows of a half matrix are short at first and long at last."""
    return count - 1 - task // 2 if task % 2 else task // 2


@kernel
def _mirror_rows(rows, out):
    for i in rows:
        for j in range(i + 1, len(out)):
            out[i, j] = out[j, i]


@kernel
def orthogonalize(x, other, turned, square, work, sums, steps):
    """Bring the singular values of `x` near 1, and return the array that has the result.

    Parameters
    ----------
    x, other : ndarray, shape (m, n), m <= n
        One of the two has the result.
    turned : ndarray, shape (n, m)
    square, work : ndarray, shape (m, m)
        Room.
    sums : ndarray of float64
        Which add up to the square of the norm of `x`.
    steps : int
    """
    parallel_for(_scale_rows, len(x), (x, sums))
    for _ in range(steps):
        parallel_for(_turn_blocks, len(turned) // LANES, (x, turned))
        product(x, turned, square, True)
        product(square, square, work, True)
        parallel_for(_combine_rows, len(work), (square, work))
        product(work, x, other, False)
        parallel_for(_add_rows, len(x), (x, other))
        x, other = other, x
    return x


@kernel
def _scale_rows(rows, x, sums):
    """``X = G / |G|``."""
    total = 0.0
    for part in sums:
        total += part
    factor = x.dtype.type(1 / (np.sqrt(total) + EPS))
    for i in rows:
        for j in range(x.shape[1]):
            x[i, j] *= factor


@kernel
def _turn_blocks(blocks, x, turned):
    """``turned = xᵀ``, so many rows of 16 at a time."""
    m, n = x.shape
    for block in blocks:
        for j in range(0, m, LANES):
            at = pointer(x) + (j * n + block * LANES)
            transpose(at, n, pointer(turned) + (block * LANES * m + j), m)


@kernel
def _combine_rows(rows, square, work):
    """``b A + c A²``, where `work` has A²."""
    third, fifth = work.dtype.type(COEFFICIENTS[1]), work.dtype.type(COEFFICIENTS[2])
    for i in rows:
        for j in range(work.shape[1]):
            work[i, j] = third * square[i, j] + fifth * work[i, j]


@kernel
def _add_rows(rows, x, out):
    """Add ``a X``; on the diagonal of the product's first factor it would tell equal rows apart."""
    first = x.dtype.type(COEFFICIENTS[0])
    for i in rows:
        for j in range(x.shape[1]):
            out[i, j] += first * x[i, j]


@kernel
def muon(value, grad, velocity, x, other, turned, square, work, sums, numbers, steps):
    """A step of :class:`minicnn.optimizers.Muon` for one matrix.

    Parameters
    ----------
    value, grad, velocity : ndarray, shape (outputs, inputs)
    x, other, turned, square, work : ndarray
        Room for `orthogonalize`, zeros at first; m is the smaller of the sides.
    sums : ndarray of float64, shape (outputs,)
        Room.
    numbers : ndarray of float64
        The second is the momentum, the fourth is 1 for Nesterov's, the fifth the share of the value
        that weight decay takes, the sixth the learning rate.
    steps : int
        Of Newton and Schulz.
    """
    outputs, inputs = value.shape
    parallel_for(_direction_rows, outputs, (grad, velocity, x, sums, numbers))
    found = orthogonalize(x, other, turned, square, work, sums, steps)
    parallel_for(_update_rows, outputs, (value, found, numbers))


@kernel
def shrink(value, numbers):
    """Weight decay apart from the gradient, for a flat `value`; `numbers` as for `muon`."""
    parallel_for(_shrink, 1, (value, numbers))


@kernel(flags={"contract"})
def _shrink(tasks, value, numbers):
    share = value.dtype.type(numbers[4])
    for i in range(value.size):
        value[i] -= share * value[i]


@kernel
def _direction_rows(rows, grad, velocity, x, sums, numbers):
    """Average the gradient, and write where the step would go, its long side across."""
    kind = grad.dtype.type
    momentum, new, nesterov = kind(numbers[1]), kind(1 - numbers[1]), numbers[3] != 0
    smallest = smallest_normal(grad)
    outputs, inputs = grad.shape
    for i in rows:
        sums[i] = 0
        for j in range(inputs):
            own = flushed(momentum * velocity[i, j] + new * grad[i, j], smallest)
            velocity[i, j] = own
            if nesterov:
                own = momentum * own + new * grad[i, j]
            sums[i] += np.float64(own) * np.float64(own)
            if outputs <= inputs:
                x[i, j] = own
            else:
                x[j, i] = own


@kernel
def _update_rows(rows, value, found, numbers):
    kind = value.dtype.type
    outputs, inputs = value.shape
    keep = kind(1 - numbers[4])
    rate = kind(numbers[5] * np.sqrt(max(1.0, outputs / inputs)))
    for i in rows:
        for j in range(inputs):
            change = found[i, j] if outputs <= inputs else found[j, i]
            value[i, j] = keep * value[i, j] - rate * change
