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

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import lane_sum, transpose, where_above
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import REGISTER_BYTES, load, pointer, store, zero, zero_tile

# Rows of a tile: chains of multiply-adds that run side by side, enough to hide how long each
# link takes, few enough for the registers. Groups of samples share what is read of W; a group
# that is alone has a higher tile.
ROWS, GROUPS, HIGH_ROWS = (8, 2, 16) if REGISTER_BYTES == 64 else (4, 1, 4)
BLOCK = LANES * LANES  # numbers
FEW = 512  # vectors that are read sooner than threads are woken


def _input_tile(rows, groups):
    """A function that computes dE/dx of `rows` features from i on in `groups` groups from g on."""
    splat, _, store_tile, add_rank1, _, _ = tile_operations(rows, groups)

    @kernel
    def compute(i, g, weight, delta, out):
        outputs, features = weight.shape
        w0, d0 = pointer(weight) + i, pointer(delta) + g * outputs * LANES
        tile = zero_tile(splat(w0, 0))
        for o in range(outputs):
            tile = add_rank1(tile, w0 + o * features, 1, d0 + o * LANES, outputs * LANES)
        store_tile(tile, out, LANES, features * LANES)

    return compute


def _weight_tile(rows):
    """A function that computes dE/dW of `rows` outputs from o on and sixteen features."""
    splat, _, store_tile, add_rank1, _, _ = tile_operations(rows, 1)

    @kernel
    def compute(o, delta, turned, out, row_step):
        groups, outputs, _ = delta.shape
        tile = zero_tile(splat(pointer(delta), 0))
        for g in range(groups):
            d0, x0 = pointer(delta) + (g * outputs + o) * LANES, pointer(turned) + g * BLOCK
            for lane in range(LANES):
                tile = add_rank1(tile, d0 + lane, LANES, x0 + lane * LANES, 0)
        store_tile(tile, out, row_step, LANES)

    return compute


_groups, _high, _row = _input_tile(ROWS, GROUPS), _input_tile(HIGH_ROWS, 1), _input_tile(1, 1)
_weights, _weights_of_one = _weight_tile(ROWS), _weight_tile(1)


@kernel
def _input_gradient(first, count, weight, delta, dx, spare):
    """dE/dx of the features ``first .. first + count``."""
    groups, features, _ = dx.shape
    end, paired = first + count, groups - groups % GROUPS if count % ROWS == 0 else 0
    for i in range(first, end, ROWS):
        for g in range(0, paired, GROUPS):
            _groups(i, g, weight, delta, pointer(dx) + (g * features + i) * LANES)
    for g in range(paired, groups):
        for i in range(first, end, HIGH_ROWS):
            height, out = min(HIGH_ROWS, end - i), pointer(dx) + (g * features + i) * LANES
            if height == HIGH_ROWS:
                _high(i, g, weight, delta, out)
            elif features >= HIGH_ROWS:  # some rows twice, which is quicker than one by one
                _high(end - HIGH_ROWS, g, weight, delta, pointer(spare))
                for m in range(height):
                    row = pointer(spare) + (HIGH_ROWS - height + m) * LANES
                    store(load(row), out + m * LANES)
            else:
                for m in range(height):
                    _row(i + m, g, weight, delta, out + m * LANES)


@kernel
def _turn(first, count, x, turned, spare):
    """Write the features ``first .. first + count`` as (samples, 16), with zeros beyond them."""
    groups, features, _ = x.shape
    for g in range(groups):
        own, out = pointer(x) + (g * features + first) * LANES, pointer(turned) + g * BLOCK
        if count == LANES:
            transpose(own, LANES, out, LANES)
        else:
            block = pointer(spare)
            for i in range(LANES):
                store(load(own + i * LANES) if i < count else zero(block), block + i * LANES)
            transpose(block, LANES, out, LANES)


@kernel
def _weight_gradient(first, count, turned, delta, grad, spare):
    """dE/dW of the features ``first .. first + count``, which stand in `turned`."""
    outputs, features = grad.shape
    for o in range(0, outputs, ROWS):
        height = min(ROWS, outputs - o)
        if height == ROWS and count == LANES:
            _weights(o, delta, turned, pointer(grad) + (o * features + first), features)
            continue
        skipped = ROWS - height if outputs >= ROWS else 0  # rows that come twice, as for dE/dx
        if outputs >= ROWS:
            _weights(o - skipped, delta, turned, pointer(spare), LANES)
        else:
            for m in range(height):
                _weights_of_one(o + m, delta, turned, pointer(spare) + m * LANES, LANES)
        for m in range(height):
            for n in range(count):
                grad[o + m, first + n] = spare[skipped + m, n]


@kernel
def _deltas(parts, count, dy, mask, relu, delta, bias_grad):
    """The delta of some of `count` parts of the outputs in every sample, and their dE/db."""
    groups, outputs, _ = dy.shape
    none = zero(pointer(dy))
    for o in range(parts.start * outputs // count, parts.stop * outputs // count):
        total = none
        for g in range(groups):
            at = (g * outputs + o) * LANES
            own = load(pointer(dy) + at)
            if relu:
                own = where_above(load(pointer(mask) + at), none, own, none)
                store(own, pointer(delta) + at)
            total = total + own
        if bias_grad.size:
            bias_grad[o] = lane_sum(total)


@kernel
def dense_gradients(x, weight, dy, mask, relu, delta, weight_grad, bias_grad, dx):
    """Fill dE/dW, dE/db and dE/dx.

    Parameters
    ----------
    x : ndarray, shape (G, F, 16)
    weight, weight_grad : ndarray, shape (O, F)
        The second is empty, (0, F), if nobody needs it; `x` is not read then.
    dy, mask, delta : ndarray, shape (G, O, 16)
        If `relu`, `delta` is filled with zeros where `mask` is at most 0, and with `dy`
        elsewhere, NaN included; else `delta` must be `dy` itself.
    relu : bool
    bias_grad : ndarray, shape (O,), or empty if there is no bias
    dx : ndarray, shape (G, F, 16), or empty if nobody needs it
    """
    outputs, features = weight.shape
    parts = 1 if delta.size <= FEW * LANES else outputs
    parallel_for(_deltas, parts, (parts, dy, mask, relu, delta, bias_grad))
    blocks = (features + LANES - 1) // LANES
    parallel_for(_gradients_of_blocks, blocks, (x, weight, delta, weight_grad, dx))


@kernel
def _gradients_of_blocks(blocks, x, weight, delta, weight_grad, dx):
    """Both gradients for some blocks, of sixteen features or of those that are left."""
    turned = np.empty((len(x) * LANES, LANES), x.dtype)
    spare = np.empty((LANES, LANES), x.dtype)  # for a tile of which some rows are not wanted
    for block in blocks:
        first = block * LANES
        count = min(LANES, weight.shape[1] - first)
        if dx.size:
            _input_gradient(first, count, weight, delta, dx, spare)
        if weight_grad.size:
            _turn(first, count, x, turned, spare)
            _weight_gradient(first, count, turned, delta, weight_grad, spare)
