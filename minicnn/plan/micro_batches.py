"""How many samples are computed together: so many that the next layer finds what one has written.

What a layer writes, the next one reads. Of many samples at once it is more than the processor's
cache holds, and every pass over it goes through main memory; of a few, each kernel has too little
to do. The numbers were found by trying, see `docs/performance.md`.

For the package itself: it checks nothing of what it is handed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minicnn.models.sequential import Sequential

CACHE = 6 << 20  # bytes of the largest signal, about
EVALUATION_BATCH = 256  # samples at most, where there are no gradients
FEWEST = 64  # samples; with fewer, starting kernels costs more than memory does


def micro_batch_size(model: "Sequential", most: int) -> int:
    """Samples of a part: `most`, halved until the largest signal fits the cache or few are left.

    Parameters
    ----------
    model : Sequential
        Built.
    most : int
        A multiple of 64, so that parts are whole groups of lanes.

    Returns
    -------
    int
    """
    size = most
    while size > FEWEST and size * model.signal_bytes > CACHE:
        size //= 2
    return size
