"""Throughput of `predict` on one model, by one Python thread and by several at once.

Each call computes on one processor, so the threads show what they can do side by side.
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks import common
from minicnn.kernels.runtime.thread_pool import set_num_threads
from minicnn.models import zoo

IMAGES = 2048  # of a call


def main(argv=None):
    """Measure one thread and several in turn, and print a table."""
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--model", default="lenet5", help="as the zoo names it (lenet5)")
    parser.add_argument("--rounds", metavar="N", type=int, default=7, help="at least 1 (7)")
    parser.add_argument("--calls", metavar="N", type=int, default=20, help="a round (20)")
    options = parser.parse_args(argv)
    common.check_options(options, rounds=1, calls=1)
    set_num_threads(1)
    model = zoo.build(options.model)
    model.initialize((1, 28, 28))
    images = np.random.default_rng(0).standard_normal((IMAGES, 1, 28, 28), np.float32)
    expected = model.predict(images)
    rates = {1: [], options.threads: []}
    with ThreadPoolExecutor(options.threads) as pool:
        for _ in range(options.rounds):
            for threads, found in rates.items():
                found.append(throughput(pool, threads, options.calls, model, images, expected))
    for threads, found in rates.items():
        print(f"{common.plural(threads, 'thread')}: {statistics.median(found):,.0f} images/s")
    ratios = [many / one for one, many in zip(*(rates[n] for n in (1, options.threads)))]
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    common.write_json(options.json, {"rates": rates, "machine": common.machine()})


def throughput(pool, threads, calls, model, images, expected):
    """Images a second of so many threads, each of which makes all calls; scores are compared."""

    def work(_):
        return all(np.array_equal(model.predict(images), expected) for _ in range(calls))

    start = time.perf_counter()
    if not all(pool.map(work, range(threads))):
        raise AssertionError("two threads that predict with one model gave other scores than one.")
    return threads * calls * len(images) / (time.perf_counter() - start)


if __name__ == "__main__":
    common.run(main)
