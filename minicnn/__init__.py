"""minicnn: convolutional networks from scratch, on NumPy and Numba."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
    from minicnn.models import Sequential

__version__ = "0.1.0"
__all__ = ["Sequential", "__version__", "get_num_threads", "set_num_threads"]


def __getattr__(name):
    """Load Numba only when it is wanted, so that ``--help`` is answered at once."""
    if name == "Sequential":
        from minicnn.models import Sequential

        return Sequential
    if name in ("get_num_threads", "set_num_threads"):
        from minicnn.kernels.runtime import thread_pool

        return getattr(thread_pool, name)
    from minicnn.hints.habits import no_such_name

    raise no_such_name("minicnn", name)
