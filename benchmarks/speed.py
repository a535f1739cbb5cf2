"""Speed of a training step and of inference: minicnn, PyTorch, and what the machine can do.

Every contestant is a process of its own; they run in alternation, round by round, on the
same model, weights and batches. See benchmarks/README.md.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, problem
from benchmarks.comparison import OURS, check, compared
from benchmarks.workers import Worker, alternate
from minicnn.errors import ArgumentError

MODELS = ("lenet5", "convnet", "mnist-example", "vgg-small", "resnet20")
VARIANTS = ("contiguous", "channels_last", "compiled")
PEAK = "peak"


def make_parser():
    parser = common.make_parser(__doc__.partition("\n")[0])
    common.add_peer_options(parser)
    parser.add_argument("--model", default="lenet5", help="as the zoo names it (lenet5)")
    parser.add_argument("--init", default="msra", help="initializer of the weights (msra)")
    parser.add_argument(
        "--algorithm", default="auto", help="of minicnn's convolutions: auto, direct or winograd"
    )
    parser.add_argument("--batch-size", metavar="N", type=int, default=128, help="(128)")
    parser.add_argument("--rounds", metavar="N", type=int, default=9, help="at least 7 (9)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--all", action="store_true", help=f"all of {', '.join(MODELS)}, with 2 threads and 1"
    )
    several.add_argument("--batches", metavar="N,N", help="the model at several batch sizes")
    return parser


def main(argv=None):
    options = make_parser().parse_args(argv)
    common.check_options(options, batch_size=1, rounds=7)
    cases = chosen_cases(options)
    for name, _, _ in cases:
        problem.build(
            name, options.init, algorithm=options.algorithm
        )  # a mistake shows before an hour has passed
    results = []
    for name, batch_size, threads in cases:
        results.append(measure(name, batch_size, threads, options))
        print(report(results[-1]), flush=True)
    if options.all:
        print(summary_table(results))
    elif options.batches:
        for result, speed in zip(results, in_turn(cases, options)):
            result["images_per_second_in_turn"] = speed
        print(batch_table(results))
    about = common.machine(options.torch)
    several = {"machine": about, "results": results}
    one = {**results[0], "machine": about}
    common.write_json(options.json, several if options.all or options.batches else one)


def chosen_cases(options):
    """(model, batch size, threads) of everything that is to be measured."""
    if options.all:
        threads = [n for n in (2, 1) if n <= common.cores()]
        return [(name, options.batch_size, n) for name in MODELS for n in threads]
    sizes = [options.batch_size]
    if options.batches:
        sizes = common.counts("--batches", options.batches)
        if min(sizes) < 1:
            raise ArgumentError(f"--batches must be at least 1, got {min(sizes)}.")
    return [(options.model, size, options.threads) for size in sizes]


def measure(name, batch_size, threads, options):
    """All contestants on one model, as a dict for the report and the JSON file.

    Raises
    ------
    BenchmarkError
        If a contestant computes another loss or other gradients.
    """
    workers = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            model, batches = write_problem(folder, name, batch_size, options)
            compile_kernels(folder, threads)
            workers.append(Worker(OURS, "minicnn_worker", [folder, threads], threads))
            workers += start_peers(folder, threads, options)
            count = common.plural(threads, "thread")
            common.note(f"{name}, batch {batch_size}, {count}: comparing gradients")
            differences = check(workers, Path(folder), batch_size, batches["labels"].size)
            with Worker(PEAK, "peak", [threads], threads) as peak:
                flops = peak.ask("count")["flops"]
                seconds = alternate([*workers, peak], "train", options.rounds)
            inference = alternate(workers, "infer", options.rounds)
            memory = {w.name: w.ask("memory")["peak_memory_mb"] for w in workers}
        finally:
            for worker in workers:
                worker.close()
    _, peak_rate = common.rates(flops / 1e9, seconds.pop(PEAK))
    training, inference = compared(batch_size, seconds), compared(batch_size, inference)
    gflops = problem.training_flops(model) * training["images_per_second"] / 1e9
    return {
        "model": name, "init": options.init, "algorithm": options.algorithm,
        "batch_size": batch_size, "threads": threads,
        **training, "gflops": gflops, "peak_gflops": peak_rate,
        "fraction_of_peak": gflops / peak_rate,
        "inference": inference, "inference_ratio": inference["ratio"],
        "peak_memory_mb": memory, **differences,
    }  # fmt: skip


def write_problem(folder, name, batch_size, options):
    """Weights and batches into a folder, for the workers; the model and the batches."""
    model = problem.build(name, options.init)
    batches = problem.random_batches(model.input_shape, batch_size)
    problem.write(Path(folder), name, model, options.algorithm, options.init, **batches)
    return model, batches


def in_turn(cases, options):
    """Images a second of minicnn alone, all cases in alternation.

    Measured one after the other they would meet the machine in different states.
    """
    with ExitStack() as stack:
        workers = []
        for name, batch_size, threads in cases:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            write_problem(folder, name, batch_size, options)
            own = Worker(f"batch {batch_size}", "minicnn_worker", [folder, threads], threads)
            workers.append(stack.enter_context(own))
        seconds = alternate(workers, "train", options.rounds)
    sizes = [batch_size for _, batch_size, _ in cases]
    return [common.rates(size, seconds[w.name])[1] for w, size in zip(workers, sizes)]


def compile_kernels(folder, threads):
    """Have a process of its own fill the cache of kernels, as compiling takes memory that lasts."""
    with Worker(OURS, "minicnn_worker", [folder, threads], threads) as worker:
        common.note("compiling kernels that are not on disk yet")
        for job in ("train", "infer"):
            worker.ask("step", job=job)


def start_peers(folder, threads, options):
    """The workers of PyTorch's variants; none without a peer."""
    variants = VARIANTS[: 2 if options.no_compile else 3] if options.torch else ()
    arguments = {variant: [folder, threads, variant] for variant in variants}
    return [
        Worker(variant, "torch_worker", arguments[variant], threads, options.python)
        for variant in variants
    ]


def report(result):
    """One model's result as text."""
    title = "{model}, batch {batch_size}, ".format(**result)
    title += common.plural(result["threads"], "thread")
    rows = []
    for name in (OURS, *result["peers"]):
        row = [name if name == OURS else f"PyTorch {name}"]
        row += [spread(part["rounds"][name]) for part in (result, result["inference"])]
        rows.append([*row, number(result["peak_memory_mb"][name])])
    head = ("", "training, images/s", "inference, images/s", "peak memory, MB")
    lines = [title, "", common.table(head, rows), ""]
    if result["best_peer"]:
        lines.append(
            f"training {result['ratio']:.2f} x PyTorch {result['best_peer']}, inference"
            f" {result['inference_ratio']:.2f} x {result['inference']['best_peer']}; losses differ"
            f" by {result['loss_difference']:.1e}, gradients by {result['gradient_difference']:.1e}"
            f" (whole batch {result['whole_batch_gradient_difference']:.1e})"
        )
    lines.append(
        "training {gflops:.0f} GFLOP/s of direct operations, {fraction_of_peak:.2f} of the"
        " machine's {peak_gflops:.0f}".format(**result)
    )
    return "\n".join([*lines, ""])


def spread(rounds):
    """Median, and least and most."""
    return f"{np.median(rounds):,.0f} ({min(rounds):,.0f} to {max(rounds):,.0f})"


def number(value, text=",.0f"):
    return "" if value is None else format(value, text)


def peer(part):
    """The best peer's speed and name, for a table."""
    best = part["best_peer"]
    return "" if best is None else f"{part['peers'][best]:,.0f} ({best})"


def summary_table(results):
    """The Markdown table of several models."""
    head = (
        "model", "threads", "minicnn, images/s", "PyTorch's best, images/s", "ratio", "GFLOP/s",
        "of peak", "inference ratio", "memory, MB", "PyTorch's memory, MB",
    )  # fmt: skip
    rows = []
    for r in results:
        memory = r["peak_memory_mb"]
        rows.append(
            (
                r["model"], r["threads"], number(r["images_per_second"]), peer(r),
                number(r["ratio"], ".2f"), number(r["gflops"]),
                number(r["fraction_of_peak"], ".2f"), number(r["inference_ratio"], ".2f"),
                number(memory[OURS]),
                number(memory.get(r["best_peer"])),
            )
        )  # fmt: skip
    return common.table(head, rows)


def batch_table(results):
    """The Markdown table of one model at several batch sizes."""
    names = [name for name in VARIANTS if any(name in r["peers"] for r in results)]
    head = (
        "batch", "minicnn, images/s", *(f"PyTorch {name}" for name in names), "ratio",
        "minicnn, sizes in turn",
    )  # fmt: skip
    rows = [
        (
            r["batch_size"], number(r["images_per_second"]),
            *(number(r["peers"].get(name)) for name in names), number(r["ratio"], ".2f"),
            number(r["images_per_second_in_turn"]),
        )
        for r in results
    ]  # fmt: skip
    return common.table(head, rows)


if __name__ == "__main__":
    common.run(main)
