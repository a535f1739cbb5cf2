"""Both gradients of a dense layer, in one pass over its inputs.

With delta = dE/dz, for a weight W of shape (outputs, features),

    dE/dx[i] = sum over o of  W[o, i] * delta[o]            (Wᵀ delta)
    dE/dW[o, i] = sum over the samples n of  delta[o, n] * x[i, n]         (delta xᵀ)

Sixteen features i have one cache line in every row of W. Who owns them computes both for
them: it reads its lines of W, writes its lines of dE/dW, and shares them with nobody. For
dE/dx the samples stand in the lanes, as everywhere. For dE/dW the features do, so that the
sum over the samples is a plain chain of multiply-adds; the inputs are transposed for that,
a block of 16 x 16 at a time.

Every element is one chain of multiply-adds, in the order of the outputs or of the samples:
its bits depend on no tile and no thread.
"""

import numpy as np
from numba import prange

from minicnn.kernels.arithmetic import lane_sum, transpose, where_above
from minicnn.kernels.launch import kernel
from minicnn.kernels.tile import tile_operations
from minicnn.kernels.vector import REGISTER_BYTES, load, pointer, store, zero
from minicnn.lanes import LANES

# Rows of a tile: chains of multiply-adds that run side by side, enough to hide how long each
# link takes, few enough for the registers. Groups of samples share what is read of W.
ROWS, GROUPS = (8, 2) if REGISTER_BYTES == 64 else (4, 1)
FEW = 512  # vectors that are read sooner than threads are woken


def _input_rows(rows, groups):
    """A function that computes dE/dx of `rows` features in `groups` groups of samples."""
    splat, _, store_tile, add_rank1, _, _ = tile_operations(rows, groups)

    @kernel
    def compute(weight, features, delta, outputs, none, dx):
        tile = splat(none, 0)
        for o in range(outputs):
            at = delta + o * LANES
            tile = add_rank1(tile, weight + o * features, 1, at, outputs * LANES)
        store_tile(tile, dx, LANES, features * LANES)

    return compute


def _weight_rows(rows):
    """A function that computes dE/dW of `rows` outputs and sixteen features."""
    splat, _, store_tile, add_rank1, _, _ = tile_operations(rows, 1)

    @kernel
    def compute(delta, outputs, groups, turned, none, out, row_step):
        tile = splat(none, 0)
        for g in range(groups):
            for lane in range(LANES):
                at = turned + (g * LANES + lane) * LANES
                tile = add_rank1(tile, delta + (g * outputs * LANES + lane), LANES, at, 0)
        store_tile(tile, out, row_step, LANES)

    return compute


_input_tile, _input_column, _input_row = (
    _input_rows(ROWS, GROUPS),
    _input_rows(ROWS, 1),
    _input_rows(1, 1),
)
_weight_tile, _weight_row = _weight_rows(ROWS), _weight_rows(1)


@kernel
def _input_gradient(weight, delta, first, count, dx):
    """dE/dx of the features ``first .. first + count``."""
    (groups, outputs, _), features = delta.shape, weight.shape[1]
    none = np.zeros(1, dx.dtype)
    whole, paired = count - count % ROWS, groups - groups % GROUPS
    for g in range(0, groups):
        d0 = pointer(delta) + g * outputs * LANES
        for i in range(count):
            w0, dx0 = (
                pointer(weight) + (first + i),
                pointer(dx) + (g * features + first + i) * LANES,
            )
            if i >= whole:
                _input_row(w0, features, d0, outputs, pointer(none), dx0)
            elif i % ROWS == 0 and g >= paired:
                _input_column(w0, features, d0, outputs, pointer(none), dx0)
            elif i % ROWS == 0 and g % GROUPS == 0:
                _input_tile(w0, features, d0, outputs, pointer(none), dx0)


@kernel
def _turned(x, first, count):
    """The features ``first .. first + count`` in lanes, as (samples, 16); zeros beyond them."""
    groups, features, _ = x.shape
    turned = np.empty((groups * LANES, LANES), x.dtype)
    block = np.zeros((LANES, LANES), x.dtype)
    for g in range(groups):
        at, to = pointer(x) + (g * features + first) * LANES, pointer(turned) + g * LANES * LANES
        if count == LANES:
            transpose(at, LANES, to, LANES)
        else:
            for i in range(count):
                store(load(at + i * LANES), pointer(block) + i * LANES)
            transpose(pointer(block), LANES, to, LANES)
    return turned


@kernel
def _weight_gradient(x, delta, first, count, grad):
    """dE/dW of the features ``first .. first + count``."""
    (groups, outputs, _), features = delta.shape, grad.shape[1]
    turned, none = _turned(x, first, count), np.zeros(1, x.dtype)
    beside = np.empty((ROWS, LANES), x.dtype)  # for sums of which some are of no feature
    whole = outputs - outputs % ROWS
    for o in range(outputs):
        if o < whole and o % ROWS:
            continue
        d0, row, step = pointer(delta) + o * LANES, pointer(grad) + (o * features + first), features
        if count < LANES:
            row, step = pointer(beside), LANES
        if o < whole:
            _weight_tile(d0, outputs, groups, pointer(turned), pointer(none), row, step)
        else:
            _weight_row(d0, outputs, groups, pointer(turned), pointer(none), row, step)
        if count < LANES:
            for m in range(ROWS if o < whole else 1):
                grad[o + m, first : first + count] = beside[m, :count]


@kernel
def _delta_of_output(o, dy, gate, rectified, delta, bias_grad):
    groups, outputs, _ = dy.shape
    total = zero(pointer(dy))
    for g in range(groups):
        at = (g * outputs + o) * LANES
        own = load(pointer(dy) + at)
        if rectified:
            own = where_above(load(pointer(gate) + at), zero(pointer(dy)), own, zero(pointer(dy)))
            store(own, pointer(delta) + at)
        total = total + own
    if bias_grad.size:
        bias_grad[o] = lane_sum(total)


@kernel(parallel=True)
def dense_gradients(x, weight, dy, gate, rectified, delta, weight_grad, bias_grad, dx):
    """Fill dE/dW, dE/db and dE/dx.

    Parameters
    ----------
    x : ndarray, shape (G, F, 16)
    weight, weight_grad : ndarray, shape (O, F)
    dy, gate, delta : ndarray, shape (G, O, 16)
        If `rectified`, `delta` is filled with `dy` where `gate` is above 0, and zero elsewhere;
        else `delta` must be `dy` itself.
    rectified : bool
    bias_grad : ndarray, shape (O,), or empty if there is no bias
    dx : ndarray, shape (G, F, 16), or empty if nobody needs it
    """
    outputs, features = weight.shape
    if delta.size <= FEW * LANES:
        for o in range(outputs):
            _delta_of_output(o, dy, gate, rectified, delta, bias_grad)
    else:
        for o in prange(outputs):
            _delta_of_output(o, dy, gate, rectified, delta, bias_grad)
    for block in prange((features + LANES - 1) // LANES):
        first = block * LANES
        count = min(LANES, features - first)
        if dx.size:
            _input_gradient(weight, delta, first, count, dx)
        _weight_gradient(x, delta, first, count, weight_grad)
