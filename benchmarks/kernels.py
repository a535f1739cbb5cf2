"""Speed of each layer's passes, alone: convolutions, dense layers, pools, normalizations,
activations, softmax.

The shapes are those of the models, and awkward ones, so that a slow corner shows. See
benchmarks/README.md.
"""

import statistics
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, peak, problem
from benchmarks.rounds import calibrate, timed
from minicnn.errors import ArgumentError
from minicnn.kernels.runtime.thread_pool import set_num_threads
from minicnn.lanes import pack
from minicnn.layers import (
    GELU,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    GlobalMaxPool2d,
    GroupNorm,
    Hardswish,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
    LogSoftmax,
    MaxPool2d,
    Mish,
    RMSNorm,
    SiLU,
    Softmax,
    Softplus,
    Upsample,
    ZeroPad2d,
)
from minicnn.layers.algorithms import ALGORITHMS
from minicnn.plan import Plan

MODELS = ("lenet5", "convnet", "mnist-example", "vgg-small", "resnet20")
ROUND_SECONDS = 0.1
SLOW = 0.35  # of peak
PASSES = ("forward", "weight_gradient", "input_gradient")

#: What a case is called, its layer, and its input shape; the last number is a batch size
#: of its own.
AWKWARD = (
    ("7 to 13 channels", Conv2d(13, 3, padding=1), (7, 28, 28)),
    ("13 to 7 channels", Conv2d(7, 3, padding=1), (13, 28, 28)),
    ("images of 5x9", Conv2d(32, 3, padding=1), (32, 5, 9)),
    ("stride 2", Conv2d(32, 3, stride=2, padding=1), (32, 32, 32)),
    ("stride 2, 5x5", Conv2d(32, 5, stride=2, padding=2), (16, 28, 28)),
    ("dilation 2", Conv2d(32, 3, padding=2, dilation=2), (32, 28, 28)),
    ("4 groups", Conv2d(64, 3, padding=1, groups=4), (64, 16, 16)),
    ("depthwise", Conv2d(64, 3, padding=1, groups=64), (64, 28, 28)),
    ("depthwise, stride 2", Conv2d(64, 3, stride=2, padding=1, groups=64), (64, 28, 28)),
    ("transposed", ConvTranspose2d(32, 4, 2, 1), (32, 14, 14)),
    ("1x1", Conv2d(64, 1), (64, 16, 16)),
    ("1x1, 13 channels", Conv2d(13, 1), (64, 16, 16)),
    ("one channel", Conv2d(1, 3, padding=1), (1, 28, 28)),
    ("batch 50", Conv2d(32, 3, padding=1), (32, 28, 28), 50),
    ("7 to 13 features", Dense(13), (7,)),
    ("wide dense", Dense(1000), (1000,)),
    ("overlapping windows", MaxPool2d(3, 2, 1), (32, 28, 28)),
    ("dilated windows", MaxPool2d(3, 2, 1, dilation=2), (32, 28, 28)),
    ("whole images", GlobalMaxPool2d(), (32, 28, 28)),
    ("average", AvgPool2d(2), (32, 28, 28)),
    ("average of the image", AvgPool2d(3, 2, 1, count_include_pad=False), (32, 28, 28)),
    ("bilinear", Upsample(2, "bilinear"), (32, 14, 14)),
    ("features", BatchNorm(), (256,)),
    ("activation", GELU(), (32, 28, 28)),
    ("activation", GELU("tanh"), (32, 28, 28)),
    ("activation", SiLU(), (32, 28, 28)),
    ("activation", Mish(), (32, 28, 28)),
    ("activation", Softplus(), (32, 28, 28)),
    ("activation", Hardswish(), (32, 28, 28)),
    ("over channels", Softmax(), (32, 28, 28)),
    ("over channels", LogSoftmax(), (32, 28, 28)),
    ("over features", Softmax(), (1000,)),
    ("8 groups", GroupNorm(8), (32, 28, 28)),
    ("each channel", InstanceNorm2d(), (32, 28, 28)),
    ("a sample", LayerNorm(), (32, 28, 28)),
    ("each pixel", LayerNorm2d(), (32, 28, 28)),
    ("features", LayerNorm(), (256,)),
    ("a sample", RMSNorm(), (32, 28, 28)),
    ("factors", LayerScale(), (32, 28, 28)),
    ("border of 2", ZeroPad2d(2), (32, 28, 28)),
)


def main(argv=None):
    parser = common.make_parser(__doc__.partition("\n")[0], rounds=7)
    parser.add_argument("--batch-size", metavar="N", type=int, default=128, help="(128)")
    parser.add_argument("--algorithm", choices=ALGORITHMS, default="auto", help="of convolutions")
    parser.add_argument("--rounds", metavar="N", type=int, help="of each measurement (7)")
    options = parser.parse_args(argv)
    common.check_options(options, batch_size=1, rounds=1)
    set_num_threads(options.threads)
    rows = []
    for where, layer, shape, batch_size in cases(options.batch_size):
        common.note(f"{label(layer)}, {where}")
        rows.append(measure(where, layer, shape, batch_size, options))
    print(report(rows))
    about = common.machine()
    numbers = {
        "threads": options.threads, "algorithm": options.algorithm, "machine": about,
        "layers": rows,
    }  # fmt: skip
    common.write_json(options.json, numbers)


def cases(batch_size):
    """(where, layer, input shape, batch size) of every distinct layer that does arithmetic."""
    found = {}
    for model in MODELS:
        for layer in problem.build(model).all_layers():
            if isinstance(layer, (Conv2d, Dense, MaxPool2d, AvgPool2d, BatchNorm)):
                what = (label(layer), layer.input_shape)
                where, _ = found.setdefault(what, ([], layer))
                where.append(model)
    for (_, shape), (where, layer) in found.items():
        yield ", ".join(dict.fromkeys(where)), layer, shape, batch_size
    for where, layer, shape, *own in AWKWARD:
        yield where, layer, shape, own[0] if own else batch_size


def label(layer):
    """The layer and its settings in words."""
    outputs = getattr(layer, "out_channels", getattr(layer, "out_features", ""))
    return " ".join(f"{type(layer).__name__} {outputs} {layer.describe()}".split())


def measure(where, layer, shape, batch_size, options):
    """One layer's passes, with the machine's peak and a copy of its input in alternation."""
    layer = fresh(layer, shape, options.algorithm)
    forward, backward, moved = passes(layer, batch_size)
    top = peak.Peak(options.threads)
    copy, copied = peak.copier(moved["input"])
    steps = {"forward": forward, "backward": backward, "peak": top.begin(None), "copy": copy}
    if has_weights(layer):
        first = fresh(layer, shape, options.algorithm, input_gradient=False)
        steps["weight_gradient"] = passes(first, batch_size)[1]
    seconds = in_turn(steps, options.rounds)
    row = {
        "layer": label(layer), "where": where, "input_shape": list(shape),
        "batch_size": batch_size, "peak_gflops": rate(top.flops / 1e9, seconds["peak"]),
        "copy_gbs": rate(copied / 1e9, seconds["copy"]),
    }  # fmt: skip
    if has_weights(layer):
        both = zip(seconds["backward"], seconds["weight_gradient"])
        seconds["input_gradient"] = [whole - weights for whole, weights in both]
        work = 2e-9 * batch_size * layer.multiply_adds()
        for name in PASSES:
            row[f"{name}_gflops"] = speed = rate(work, seconds[name])
            row[f"{name}_fraction"] = None if speed is None else speed / row["peak_gflops"]
    if not has_weights(layer) or is_depthwise(layer):
        for name in ("forward", "backward"):
            row[f"{name}_gbs"] = rate(moved[name] / 1e9, seconds[name])
    return row


def fresh(layer, shape, algorithm, input_gradient=True):
    """A layer with the settings of another, built; Winograd's algorithm only where it can be."""
    settings = problem.settings(layer)
    if isinstance(layer, Conv2d):
        settings["algorithm"] = algorithm
    new = type(layer)(**settings)
    new.needs_input_gradient = input_gradient
    try:
        new.build(shape, np.random.default_rng(0))
    except ArgumentError:
        if algorithm != "winograd":
            raise
        return fresh(layer, shape, "direct", input_gradient)
    return new


def passes(layer, batch_size):
    """Steps that run a layer forwards and backwards, and the bytes that these move.

    The bytes are those of every array that a pass has to read or write, once: they bound
    the speed of a pass that does little arithmetic.
    """
    rng = np.random.default_rng(0)
    x = pack(rng.standard_normal((batch_size, *layer.input_shape), np.float32))
    dy = pack(rng.standard_normal((batch_size, *layer.output_shape), np.float32))

    plan = Plan(layer)

    def forward(i):
        plan.forward(x, True, batch_size)

    def backward(i):
        plan.backward(dy)

    forward(0)
    read = (
        0 if isinstance(layer, (AvgPool2d, ZeroPad2d)) else x.nbytes
    )  # by the backward pass, beside dy
    moved = {
        "input": x.nbytes,
        "forward": x.nbytes + dy.nbytes,
        "backward": read + dy.nbytes + x.nbytes,
    }
    return forward, backward, moved


def in_turn(steps, rounds):
    """Seconds a call of each step in each round; in every round each has its turn."""
    counts = {name: calibrate(step, ROUND_SECONDS) for name, step in steps.items()}
    seconds = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(timed(step, counts[name])[0])
    return seconds


def rate(work, seconds):
    """``work / s`` at the median; None if a difference of times was lost in the noise."""
    median = statistics.median(seconds)
    return work / median if median > 0 else None


def has_weights(layer):
    return isinstance(layer, (Conv2d, Dense))


def is_depthwise(layer):
    return isinstance(layer, Conv2d) and layer.groups == layer.input_shape[0] > 1


def report(rows):
    """Two tables: what arithmetic bounds, in GFLOP/s, and what memory bounds, in GB/s."""
    arithmetic, memory, slow = [], [], []
    for row in rows:
        start = (row["layer"], "x".join(map(str, row["input_shape"])), row["where"])
        if "forward_gflops" in row:
            arithmetic.append((*start, *(cell(row, name) for name in PASSES)))
        if "forward_gbs" in row:
            names = ("forward", "backward", "copy")
            memory.append((*start, *(f"{row[f'{name}_gbs']:.1f}" for name in names)))
        else:  # of what memory bounds, no fraction of peak can be asked
            fractions = {name.replace("_", " "): row[f"{name}_fraction"] for name in PASSES}
            under = [name for name, fraction in fractions.items() if (fraction or 0) < SLOW]
            slow += [f"- {', '.join(start)}: {', '.join(under)}"] if under else []
    top = statistics.median(row["peak_gflops"] for row in rows)
    head = ("layer", "input", "where")
    sums = (*head, *(name.replace("_", " ") for name in PASSES))
    moves = (*head, "forward", "backward", "a copy of the input")
    return "\n".join(
        [
            f"GFLOP/s, and in brackets as a fraction of peak ({top:.0f} GFLOP/s in the median):",
            "", common.table(sums, arithmetic), "", "GB/s:", "", common.table(moves, memory), "",
            f"Under {SLOW} of peak:" if slow else f"Nothing is under {SLOW} of peak.", *slow,
        ]
    )  # fmt: skip


def cell(row, name):
    if row[f"{name}_gflops"] is None:
        return "lost in noise"
    return f"{row[f'{name}_gflops']:.0f} ({row[f'{name}_fraction']:.2f})"


if __name__ == "__main__":
    common.run(main)
