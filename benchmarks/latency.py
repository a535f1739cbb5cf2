"""How long one picture takes: the time of `predict` on a single image."""

import statistics
import time

import numpy as np

from benchmarks import common
from minicnn.kernels.runtime.thread_pool import set_num_threads
from minicnn.models import zoo

SHAPES = {
    "lenet5": (1, 28, 28), "mnist-example": (1, 28, 28), "vgg-small": (3, 32, 32),
    "resnet20": (3, 32, 32), "quick-resnet32": (3, 32, 32),
}  # fmt: skip


def main(argv=None):
    """Measure every model and print a table."""
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--calls", metavar="N", type=int, default=300, help="at least 1 (300)")
    options = parser.parse_args(argv)
    common.check_options(options, calls=1)
    set_num_threads(options.threads)
    found = {}
    for name, shape in SHAPES.items():
        model = zoo.build(name)
        model.initialize(shape, seed=0)
        image = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
        for _ in range(10):  # compile, and write the replay down
            model.predict(image)
        found[name] = sorted(milliseconds(model, image) for _ in range(options.calls))
        median, late = statistics.median(found[name]), found[name][int(0.99 * options.calls)]
        print(f"{name:<14}  median {median:7.3f} ms   of 100 calls 99 within {late:7.3f} ms")
    common.write_json(options.json, {"milliseconds": found, "machine": common.machine()})


def milliseconds(model, image):
    """Of one call."""
    start = time.perf_counter()
    model.predict(image)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    common.run(main)
