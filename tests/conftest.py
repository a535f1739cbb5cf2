"""Settings of the whole test run."""

from minicnn.kernels.runtime.thread_pool import set_num_threads


def pytest_configure(config):
    """One thread: the arrays are small, and tests that are about threads set them."""
    set_num_threads(1)
