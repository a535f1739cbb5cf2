"""The options of the command line, and recipes: settings that go together, by name."""

import argparse
from typing import Any, NoReturn

import minicnn
from minicnn.checks import check_text, takes
from minicnn.errors import ArgumentError, unknown

#: Options that are no settings of a run, see `minicnn.training.runs.settings.Settings`.
NO_SETTINGS = (
    "help", "version", "out", "quiet", "profile", "recipe", "ablate", "seeds", "baseline",
    "preflight", "resume", "checkpoint_every", "find_lr", "overfit_batch",
)  # fmt: skip

RECIPES: dict[str, dict[str, Any]] = {
    # The least time to 99 % on MNIST that we know: two passes over the training set.
    "fastest": {
        "model": "quick", "optimizer": "adam", "betas": (0.8, 0.95), "lr": 0.015,
        "batch_size": 128, "epochs": 2, "schedule": "one-cycle:0.2",
    },
    # The best of MNIST that a few minutes buy.
    "best": {
        "model": "quick-resnet16", "optimizer": "sgd", "lr": 0.1, "momentum": 0.9,
        "weight_decay": 5e-4, "label_smoothing": 0.1, "batch_size": 128, "epochs": 8,
        "schedule": "one-cycle:0.2", "augment": "rotate:10,translate:2,scale:0.1",
        "validation": 5000,
    },
    # The schedule falls in a straight line to 0: the noise of a high rate buys nothing in ten
    # epochs, and the last one is the best. Six views of all images take as long as half an epoch.
    "cifar10": {
        "data": "cifar10", "model": "quick-resnet48", "optimizer": "muon", "lr": 0.1,
        "momentum": 0.85, "weight_decay": 0.1, "label_smoothing": 0.1, "batch_size": 512,
        "epochs": 10, "schedule": "warmup:0.02,linear", "augment": "crop:2:reflect,flip",
        "validation": 5000, "eval_flip": True, "eval_shift": 1, "eval_every": 10,
    },
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` that raises `ArgumentError` in the place of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with the whole usage."""
        raise ArgumentError(f"{message}; {self.prog} --help lists all options.")


@takes(name=check_text)
def recipe(name: str) -> dict[str, Any]:
    """The settings of that name, as a dict.

    Raises
    ------
    ArgumentError
        For an unknown name.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return dict(RECIPES[name])


def make_parser() -> Parser:
    """The parser of all options; a setting that is not given is left out of the result."""
    parser = Parser(
        prog="minicnn",
        description="Train a convolutional network from scratch and write the run to a folder.",
        epilog="minicnn predict RUN PICTURE, evaluate RUN and show RUN KIND ask a trained run,"
        " doctor says what is slow on this machine: see their --help. A value in parentheses is the"
        " default. --init, --model, --activation and --data also take yours, as --init"
        " './myinit.py:HalfXavier(0.5)' or package.module:HalfXavier."
        " Exit codes: 0 finished, 1 an arm of a comparison crashed or pre-flight says no, 2 bad"
        " arguments, 3 bad data, 4 diverged, 130 interrupted (143 by a termination signal).",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    model = parser.add_argument_group("model")
    model.add_argument("--init", help="weights at the start (msra); 'help' lists all")
    model.add_argument("--model", help="architecture (lenet5); 'help' lists all")
    model.add_argument(
        "--activation", help="nonlinearity of the hidden layers: relu, leaky-relu, prelu, elu,"
        " selu, celu, gelu, gelu-tanh, silu, mish, softplus, relu6, hardswish, hardsigmoid,"
        " sigmoid, tanh, softsign or identity (relu)",
    )  # fmt: skip
    model.add_argument(
        "--algorithm", help="of 3x3 convolutions: direct, winograd, or the faster of both (auto)"
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", help="data set, or folder of images by class, of IDX, .npy or CIFAR's files, or"
        " file .npz (mnist); 'help' lists the data sets",
    )  # fmt: skip
    data.add_argument("--limit", metavar="N", type=int, help="train on the first N images only")
    data.add_argument(
        "--validation", metavar="N", type=_part,
        help="images, as 5000, or share, as 0.1, of the training set to choose the best epoch by",
    )  # fmt: skip
    data.add_argument(
        "--augment", metavar="HOW", help="change training images at random: crop:4 or"
        " crop:4:reflect, flip, rotate:15, translate:2, scale:0.1, cutout:8, noise:0.1, mixup:0.2"
        " or cutmix, several between commas",
    )  # fmt: skip
    data.add_argument(
        "--image-size", metavar="N", type=_size,
        help="side of images from a folder, or height and width as 48x64 (theirs, or at most 64)",
    )  # fmt: skip
    data.add_argument(
        "--skip-bad", action="store_true", help="leave out files in a folder that are no images"
    )
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", metavar="N", type=int, help="passes over the data (5)")
    training.add_argument("--batch-size", metavar="N", type=int, help="images in a step (64)")
    training.add_argument(
        "--optimizer", help="sgd, adagrad, rmsprop, adam, adamw, nadam, lion or muon (sgd)"
    )
    training.add_argument(
        "--lr", metavar="X", type=float, help="peak learning rate (depends on the optimizer)"
    )
    training.add_argument(
        "--momentum", metavar="X", type=float, help="of sgd, rmsprop and muon, in [0, 1) (0.9)"
    )
    training.add_argument(
        "--betas", metavar="B1,B2", type=_numbers,
        help="of adam, adamw, nadam and lion, in [0, 1) (0.9,0.999; lion's 0.9,0.99)",
    )  # fmt: skip
    training.add_argument(
        "--weight-decay", metavar="X", type=float, help="pull of weights towards zero (0)"
    )
    training.add_argument(
        "--group", dest="groups", metavar="PATTERN:SETTINGS", action="append",
        help="other settings for the parameters whose names match, as '*.bias:lr_factor=2', "
        "'0.*:weight_decay=0' or '0.*:frozen'; may be given again, the first that matches counts",
    )  # fmt: skip
    training.add_argument(
        "--clip-norm", metavar="X", type=float, help="greatest norm over all gradients (none)"
    )
    training.add_argument(
        "--clip-value", metavar="X", type=float, help="greatest size of a gradient's element (none)"
    )
    training.add_argument(
        "--ema", metavar="DECAY", type=float,
        help="evaluate, and end with, an exponential moving average of the weights, as 0.999",
    )  # fmt: skip
    training.add_argument(
        "--swa", metavar="START", type=float,
        help="evaluate, and end with, the mean of the weights of all epochs after this share of"
        " training, as 0.75",
    )  # fmt: skip
    training.add_argument(
        "--drop-last", action="store_true", help="leave out a smaller last batch of each epoch"
    )
    training.add_argument(
        "--early-stopping", metavar="N", type=int,
        help="end after N epochs without a better validation accuracy",
    )  # fmt: skip
    training.add_argument(
        "--plateau", metavar="N", type=int,
        help="a tenth of the learning rate after more than N epochs without a smaller validation"
        " loss; with --schedule constant",
    )  # fmt: skip
    training.add_argument(
        "--weights", metavar="FILE",
        help="begin with the weights of this run or file; the last layer is new if its shape"
        " differs",
    )  # fmt: skip
    training.add_argument(
        "--eval-flip", action="store_true",
        help="evaluate each image together with its mirror image",
    )  # fmt: skip
    training.add_argument(
        "--eval-shift", metavar="N", type=int,
        help="evaluate each image also moved by N pixels, both ways along the diagonal (0)",
    )  # fmt: skip
    training.add_argument(
        "--eval-every", metavar="N", type=int,
        help="evaluate after every N epochs, and after the last (1)",
    )  # fmt: skip
    training.add_argument(
        "--label-smoothing", metavar="X", type=float, help="of the targets, in [0, 1) (0)"
    )
    training.add_argument(
        "--class-weights", metavar="W", help="of the classes in the loss: balanced, by how many"
        " images there are of each, or a number for each, as 1,0.5,2 (all alike)",
    )  # fmt: skip
    training.add_argument(
        "--recipe",
        help=f"settings that go together, which the other options change: {', '.join(RECIPES)}",
    )
    training.add_argument(
        "--schedule", help="of the learning rate: constant, step, linear, polynomial, exponential,"
        " cosine, cosine-restarts, one-cycle or warmup, with settings as in step:0.5,0.75 or"
        " warmup:0.02,linear (one-cycle)",
    )  # fmt: skip
    run = parser.add_argument_group("run")
    run.add_argument("--seed", metavar="N", type=int, help="of all random numbers (0)")
    run.add_argument("--threads", metavar="N", type=int, help="processors to use (all)")
    run.add_argument("--out", metavar="FOLDER", help="new folder for the run (in runs)")
    run.add_argument(
        "--resume",
        metavar="FOLDER",
        help="go on with the run of this folder as if it had never been interrupted; it keeps its"
        " settings, only --threads, --checkpoint-every, --quiet and --profile are free; after"
        " --schedule constant --epochs may be more",
    )
    run.add_argument(
        "--checkpoint-every",
        metavar="N",
        help="steps between two checkpoints, as 500, or epochs, as 2epochs, or end (1epoch)",
    )
    run.add_argument("--quiet", action="store_true", help="print the result only")
    run.add_argument(
        "--profile", action="store_true", help="print time and GFLOP/s of every layer and pass"
    )
    run.add_argument(
        "--preflight",
        action="store_true",
        help="train nothing; say whether this network will train (exit code 0) or not (1), and why",
    )
    run.add_argument(
        "--find-lr", action="store_true",
        help="train nothing; say which learning rate lowers the loss most, and draw the losses to"
        " the file --out, as lr.png",
    )  # fmt: skip
    run.add_argument(
        "--overfit-batch", action="store_true",
        help="train nothing; say whether the network can learn its first batch (exit code 0) or not"
        " (1)",
    )  # fmt: skip
    run.add_argument("--version", action="version", version=f"minicnn {minicnn.__version__}")
    compare = parser.add_argument_group("comparison")
    compare.add_argument(
        "--ablate",
        metavar="OPTION=A,B",
        action="append",
        help="train with each value of an option above; given again, all combinations; values that"
        " hold commas stand between semicolons: 'init=uniform:-0.05,0.05;msra'",
    )
    compare.add_argument(
        "--seeds", metavar="N", type=int, help="of every arm, counted from --seed (3)"
    )
    compare.add_argument(
        "--baseline", metavar="OPTION=A", action="append",
        help="value of an axis that the others are compared with, seed by seed (the best arm on the"
        " validation set, without one the first)",
    )  # fmt: skip
    return parser


def _part(text):
    """A number of images, or a share of them."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a number of images, as 5000, or a share, as 0.1, got {text!r}"
        ) from None


def _size(text):
    """A side, or height and width."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"expected a side, as 64, or 48x64, got {text!r}")
    return int(sides[0]) if len(sides) == 1 else tuple(map(int, sides))


def _numbers(text):
    """Numbers between commas, as a tuple."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers between commas, as in 0.9,0.999, got {text!r}"
        ) from None
