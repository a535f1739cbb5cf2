"""Peak memory of training on large images: minicnn and PyTorch, each in a process of its own."""

import tempfile
from pathlib import Path

from benchmarks import common, problem
from benchmarks.comparison import OURS
from benchmarks.workers import Worker

STEPS = 2
PEER = "contiguous"


def main(argv=None):
    """Measure and print a table."""
    parser = common.make_parser(__doc__.splitlines()[0])
    common.add_peer_options(parser)
    parser.add_argument("--models", default="resnet18,mobilenetv2", help="(resnet18,mobilenetv2)")
    parser.add_argument("--shape", default="3,224,224", help="of an image (3,224,224)")
    parser.add_argument("--batches", metavar="N,N", default="2,16", help="batch sizes (2,16)")
    options = parser.parse_args(argv)
    common.check_options(options)
    sizes, shape = (common.counts(f"--{n}", getattr(options, n)) for n in ("batches", "shape"))
    results = [
        measure(name, tuple(shape), size, options)
        for name in options.models.split(",")
        for size in sizes
    ]
    rows = [(r["model"], r["batch_size"], *map(mega, r["memory"].values())) for r in results]
    print(common.table(("model", "batch", *(f"{n}, MB" for n in results[0]["memory"])), rows))
    about = common.machine(options.torch)
    common.write_json(options.json, {"results": results, "machine": about})


def measure(name, shape, batch_size, options):
    """The most memory of each contestant after `STEPS` steps, as a dict."""
    with tempfile.TemporaryDirectory() as folder:
        model = problem.build(name, shape=shape)
        batches = problem.random_batches(shape, batch_size)
        few = {key: arrays[:1] for key, arrays in batches.items()}  # not the data's memory
        problem.write(Path(folder), name, model, **few)
        del model
        ours = ("minicnn_worker", [folder, options.threads], options.threads)
        used(ours)  # compiles, which takes memory that lasts
        memory = {OURS: used(ours)}
        if options.torch:
            arguments = [folder, options.threads, PEER]
            memory["PyTorch"] = used(("torch_worker", arguments, options.threads, options.python))
    return {"model": name, "batch_size": batch_size, "shape": shape, "memory": memory}


def used(arguments):
    """The peak of a new worker that trains, in 10^6 bytes."""
    with Worker(arguments[0], *arguments) as worker:
        for _ in range(STEPS):
            worker.ask("step", job="train")
        return worker.ask("memory")["peak_memory_mb"]


def mega(number):
    return "" if number is None else f"{number:,.0f}"


if __name__ == "__main__":
    common.run(main)
