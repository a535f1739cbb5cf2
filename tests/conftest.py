"""Settings of the whole test run."""

import numba


def pytest_configure(config):
    """One thread: the arrays are small, and tests that are about threads set them."""
    numba.set_num_threads(1)
