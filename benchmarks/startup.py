"""Start-up: from the start of the process to the end of the first training step.

minicnn with an empty cache of kernels and with a warm one, and PyTorch, its import included.
See benchmarks/README.md.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, problem
from benchmarks.workers import Worker


def main(argv=None):
    parser = common.make_parser(__doc__.partition("\n")[0])
    common.add_peer_options(parser)
    parser.add_argument("--model", default="lenet5", help="as the zoo names it (lenet5)")
    parser.add_argument("--batch-size", metavar="N", type=int, default=128, help="(128)")
    parser.add_argument("--runs", metavar="N", type=int, default=5, help="warm starts each (5)")
    options = parser.parse_args(argv)
    common.check_options(options, batch_size=1, runs=1)
    model = problem.build(options.model)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        batches = problem.random_batches(model.input_shape, options.batch_size)
        problem.write(Path(folder), options.model, model, **batches)
        seconds = measure(folder, cache, options)
    print(report(seconds, options))
    about = common.machine(options.torch)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    result = {
        "model": options.model, "batch_size": options.batch_size, "threads": options.threads,
        "seconds": medians, "runs": seconds, "machine": about,
    }  # fmt: skip
    if options.torch:
        result["warm_ratio"] = medians["minicnn, warm"] / medians["PyTorch"]
    common.write_json(options.json, result)


def measure(folder, cache, options):
    """Seconds of each start, by what was started; one start with the cache still empty."""

    def ours():
        return Worker(
            "minicnn", "minicnn_worker", [folder, options.threads], options.threads,
            environment={"NUMBA_CACHE_DIR": cache},
        )  # fmt: skip

    def theirs():
        arguments = [folder, options.threads, "contiguous"]
        return Worker("PyTorch", "torch_worker", arguments, options.threads, options.python)

    common.note("compiling all kernels of a training step, which takes a while")
    seconds = {"minicnn, empty cache": [first_step(ours())], "minicnn, warm": []}
    if options.torch:
        first_step(theirs())  # reads its files from the disk
        seconds["PyTorch"] = []
    for run in range(options.runs):
        common.note(f"start {run + 1} of {options.runs}")
        seconds["minicnn, warm"].append(first_step(ours()))
        if options.torch:
            seconds["PyTorch"].append(first_step(theirs()))
    return seconds


def first_step(worker):
    """Seconds from the start of the worker to the end of its first step."""
    with worker:
        worker.ask("step", job="train")
        return time.perf_counter() - worker.started


def report(seconds, options):
    head = ("start to the end of the first step, s", "median", "least", "most")
    rows = [
        (name, *(f"{value:.2f}" for value in (statistics.median(each), min(each), max(each))))
        for name, each in seconds.items()
    ]
    words = common.plural(options.threads, "thread")
    title = f"{options.model}, batch {options.batch_size}, {words}"
    return "\n".join([title, "", common.table(head, rows)])


if __name__ == "__main__":
    common.run(main)
