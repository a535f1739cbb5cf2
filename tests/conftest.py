"""Settings of the whole test run."""

import os

from minicnn.kernels.runtime.thread_pool import set_num_threads


def pytest_configure(config):
    """One thread: the arrays are small, and tests that are about threads set them.

    Nothing is fetched: there is no server at this address.
    """
    set_num_threads(1)
    os.environ["MINICNN_MIRROR"] = "http://127.0.0.1:9"
