"""Time until a model knows MNIST: the same recipe, weights and batches in both frameworks.

Training stops at the first end of an epoch with the wanted accuracy on the test set. See
benchmarks/README.md.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, problem
from benchmarks.comparison import OURS
from benchmarks.workers import Worker
from minicnn import schedules
from minicnn.cli.options import recipe
from minicnn.data import load
from minicnn.errors import ArgumentError

PEERS = ("contiguous", "channels_last")
CLOCKS = {"train_seconds": "training, s", "wall_seconds": "from process start, s"}


def make_parser():
    parser = common.make_parser(__doc__.partition("\n")[0])
    common.add_peer_options(parser)
    parser.add_argument(
        "--recipe", help="of train.py, such as fastest, in the place of the defaults below"
    )
    parser.add_argument("--model", default="lenet5", help="as the zoo names it (lenet5)")
    parser.add_argument("--init", default="msra", help="initializer of the weights (msra)")
    parser.add_argument("--data", default="mnist", help="data set, or folder of IDX files")
    parser.add_argument("--limit", metavar="N", type=int, help="train on the first N images only")
    parser.add_argument("--accuracy", metavar="X", type=float, default=0.99, help="(0.99)")
    parser.add_argument(
        "--epochs", metavar="N", type=int, default=5, help="length of the schedule, and most (5)"
    )
    parser.add_argument("--batch-size", metavar="N", type=int, default=64, help="(64)")
    parser.add_argument("--lr", metavar="X", type=float, default=0.05, help="its peak (0.05)")
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "adam"], help="(sgd)")
    parser.add_argument("--momentum", metavar="X", type=float, default=0.9, help="of sgd (0.9)")
    parser.add_argument(
        "--betas",
        metavar="B",
        nargs=2,
        type=float,
        default=(0.9, 0.999),
        help="of adam (0.9 0.999)",
    )
    parser.add_argument("--schedule", default="one-cycle", help="of the learning rate (one-cycle)")
    parser.add_argument("--seeds", metavar="N,N", default="0,1,2", help="(0,1,2)")
    return parser


def main(argv=None):
    parser = make_parser()
    named = parser.parse_args(argv).recipe
    if named is not None:
        parser.set_defaults(**recipe(named))
    options = parser.parse_args(argv)
    common.check_options(options, batch_size=1, epochs=1)
    if not 0 < options.accuracy <= 1:
        raise ArgumentError(f"--accuracy must be in (0, 1], got {options.accuracy}.")
    if not 0 < options.lr < float("inf"):
        raise ArgumentError(f"--lr must be a number above 0, got {options.lr}.")
    if not 0 <= options.momentum < 1:
        raise ArgumentError(f"--momentum must be in [0, 1), got {options.momentum}.")
    if not all(0 <= beta < 1 for beta in options.betas):
        raise ArgumentError(f"--betas must be two numbers in [0, 1), got {options.betas}.")
    seeds = common.counts("--seeds", options.seeds)
    train, test = load(options.data)
    train = train if options.limit is None else train.subset(options.limit)
    runs = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            write_recipe(Path(folder), train, test, seed, options)
            runs.append(run_all(folder, seed, options))
    summary = summarize(runs)
    print(report(runs, summary, options))
    about = common.machine(options.torch)
    given = {k: v for k, v in vars(options).items() if k not in ("json", "torch", "python")}
    result = {"settings": given, "runs": runs, **summary, "machine": about}
    common.write_json(options.json, result)


def write_recipe(folder, train, test, seed, options):
    """Everything that decides the training: first weights, images, orders, learning rates."""
    model = problem.build(options.model, options.init, seed, train.shape)
    steps = options.epochs * -(-len(train) // options.batch_size)
    schedule = schedules.from_string(options.schedule)
    rng = np.random.default_rng([seed, 1])
    problem.write(
        folder, options.model, model,
        train_images=train.images, train_labels=train.labels,
        test_images=test.images, test_labels=test.labels, mean=train.mean, std=train.std,
        orders=np.array([rng.permutation(len(train)) for _ in range(options.epochs)]),
        rates=np.array([options.lr * schedule(step, steps) for step in range(steps)]),
        batch_size=np.array(options.batch_size),
    )  # fmt: skip


def run_all(folder, seed, options):
    """One seed with every contestant, one after the other."""
    result = {"seed": seed}
    settings = {"momentum": options.momentum}
    if options.optimizer == "adam":
        settings = {"betas": list(options.betas)}
    for name in (OURS, *(PEERS if options.torch else ())):
        common.note(f"seed {seed}: {name}")
        arguments = [folder, options.threads]
        if name == OURS:
            worker = Worker(name, "minicnn_worker", arguments, options.threads)
        else:
            arguments.append(name)
            worker = Worker(name, "torch_worker", arguments, options.threads, options.python)
        with worker:
            reply = worker.ask(
                "accuracy", target=options.accuracy, optimizer=options.optimizer, settings=settings
            )
            reply["wall_seconds"] = time.perf_counter() - worker.started
        reply["reached"] = reply["accuracies"][-1] >= options.accuracy
        result[name] = reply
    return result


def summarize(runs):
    """Means over the seeds, the best peer and the ratios of ours to it.

    Times count only if every seed reached the accuracy; of those that did not there is
    None.

    Returns
    -------
    dict
        ``mean``, by clock and contestant; for each clock, such as ``train_seconds``, a
        ``train_ratio``.
    """
    names = [name for name in runs[0] if name != "seed"]
    done = [name for name in names if all(run[name]["reached"] for run in runs)]
    result = {"mean": {}}
    for clock in CLOCKS:
        mean = {
            name: statistics.mean(run[name][clock] for run in runs) if name in done else None
            for name in names
        }
        peers = [mean[name] for name in done if name != OURS]
        known = mean[OURS] is not None and peers
        result["mean"][clock] = mean
        result[clock.replace("seconds", "ratio")] = mean[OURS] / min(peers) if known else None
    return result


def report(runs, summary, options):
    """A table with a row for each seed and contestant, and the ratios of the means."""
    rows = []
    for run in runs:
        for name in [name for name in run if name != "seed"]:
            own = run[name]
            times = [f"{own[clock]:.2f}" for clock in CLOCKS]
            epochs = len(own["accuracies"])
            accuracy = f"{100 * own['accuracies'][-1]:.2f} %"
            title = name if name == OURS else f"PyTorch {name}"
            rows.append((title, run["seed"], epochs, accuracy, *times))
    head = ("", "seed", "epochs", "test accuracy", *CLOCKS.values())
    threads = common.plural(options.threads, "thread")
    lines = [
        f"{options.model} to {100 * options.accuracy:g} %, batch {options.batch_size}, {threads}",
        "",
        common.table(head, rows),
        "",
    ]
    if not all(run[OURS]["reached"] for run in runs):
        lines.append(f"minicnn did not reach {100 * options.accuracy:g} % with every seed.")
    for clock, words in CLOCKS.items():
        ratio = summary[clock.replace("seconds", "ratio")]
        if ratio is not None:
            words = words.removesuffix(", s")
            lines.append(f"{words}: {ratio:.2f} x the best of PyTorch, by the means")
    return "\n".join(lines)


if __name__ == "__main__":
    common.run(main)
