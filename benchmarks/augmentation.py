"""What an augmentation costs: epochs with and without it, in alternation."""

import statistics

import numpy as np

from benchmarks import common
from minicnn.data import Dataset
from minicnn.data.augmentation import from_string
from minicnn.kernels.runtime.thread_pool import set_num_threads
from minicnn.models import zoo
from minicnn.optimizers import SGD
from minicnn.training import Trainer


def main(argv=None):
    """Measure and print the share of training speed that is left."""
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--model", default="lenet5", help="as the zoo names it (lenet5)")
    parser.add_argument("--augment", default="crop:4,flip", help="(crop:4,flip)")
    parser.add_argument("--shape", default="1,28,28", help="of an image (1,28,28)")
    parser.add_argument("--images", metavar="N", type=int, default=20_000, help="(20000)")
    parser.add_argument("--batch-size", metavar="N", type=int, default=64, help="(64)")
    parser.add_argument("--rounds", metavar="N", type=int, default=9, help="at least 1 (9)")
    options = parser.parse_args(argv)
    common.check_options(options, rounds=1, images=2, batch_size=1)
    set_num_threads(options.threads)
    shape = tuple(map(int, options.shape.split(",")))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (options.images, *shape), dtype=np.uint8)
    data = Dataset(images, rng.integers(0, 10, options.images), 10, std=0.3)
    trainers = [make(options, data, text) for text in (None, options.augment)]
    rates = [[], []]
    for number in range(options.rounds + 1):  # the first compiles
        for trainer, found in zip(trainers, rates):
            trainer.epochs = number + 1
            speed = trainer.fit()[-1]["images_per_second"]
            found += [speed] if number else []
    for name, found in zip(("without", f"with {options.augment}"), rates):
        print(f"{name}: {statistics.median(found):,.0f} images/s")
    ratios = [many / one for one, many in zip(*rates)]
    print(f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    common.write_json(options.json, {"rates": rates, "machine": common.machine()})


def make(options, data, text):
    """A trainer with an augmentation, or without; its test set is one image."""
    model = zoo.build(options.model)
    model.initialize(data.shape, seed=0)
    return Trainer(
        model, SGD(model.parameters(), 0.01, momentum=0.9), data, data.subset(1), seed=0,
        batch_size=options.batch_size, epochs=options.rounds + 1,
        augmentation=None if text is None else from_string(text),
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
