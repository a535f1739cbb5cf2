"""Tables of valid arguments, by parameter, and of valid objects, by class.

A key is ``Class.method.parameter``, ``module.parameter`` or the like, or ``parameter`` alone; the
longest counts.
"""

import inspect

import numpy as np

from minicnn import initializers, lanes, losses, optimizers, schedules
from minicnn.data import Batches, augmentation
from minicnn.data.augmenter import Augmenter
from minicnn.data.batches import Batch
from minicnn.data.dataset import Dataset
from minicnn.initializers import Fans, Initializer
from minicnn.lab import preflight
from minicnn.lab.ablation import ablation
from minicnn.lab.measure import layer_stats
from minicnn.lab.symmetry import certificate, gradient_front
from minicnn.lab.theory import (
    finite_width,
    gradient,
    maps,
    moments,
    positions,
    prediction,
    signal,
    weight_gradients,
)
from minicnn.layers import Activation, Conv2d, Dense, Layer, MaxPool2d, ReLU, Tanh, Upsample
from minicnn.losses.cross_entropy import ClassLoss
from minicnn.losses.regression import Elementwise
from minicnn.models import Branches, Sequential
from minicnn.models.architectures import Parts
from minicnn.models.inference import OfThread
from minicnn.optimizers import Optimizer, groups
from minicnn.parameter import Parameter
from minicnn.plan import Graph, Memory, Node, Recording, trace
from minicnn.plan.recompute import Recomputed
from minicnn.plugins import lookup
from minicnn.training.runs import snapshot, tensors
from minicnn.training.runs.makers import Makers
from minicnn.training.runs.run import Run
from minicnn.training.runs.trained import Trained, load_run
from minicnn.training.trainer_state import TrainerState
from tests.long.calls.world import CLASSES, SAMPLES, SHAPE, Own, Through


def value(world, target, parameter):
    """A valid argument: the entry for the most of the target's name that is in the table.

    Raises
    ------
    KeyError
        For a parameter that is not in the table.
    """
    names = target.rstrip("=").split(".")
    for start in range(len(names)):
        for end in (len(names), len(names) - 1):
            key = ".".join([*names[start:end], parameter])
            if start < end and key in VALUES:
                return VALUES[key](world)
    return VALUES[parameter](world)


def made(world, cls):
    """An object of a class, from the arguments that it must have."""
    given = {}
    for parameter in inspect.signature(cls).parameters.values():
        needed = parameter.default is parameter.empty
        if needed and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            given[parameter.name] = value(
                world, f"{cls.__module__}.{cls.__name__}.{cls.__name__}", parameter.name
            )
    return cls(**given)


def subject(world, cls):
    """A valid object of a class, ready to be used."""
    for base in cls.__mro__:
        if base in SUBJECTS:
            return SUBJECTS[base](world, cls)
    return made(world, cls)


def built(world, cls):
    """A layer of the class, with shapes."""
    if cls is Layer:
        layer = Through()
    elif cls is Branches:
        layer = Branches(Tanh(), Tanh())
    else:
        layer = made(world, Tanh if cls is Activation else cls)
    if isinstance(layer, Sequential):
        return world.model
    layer.build(SHAPE if cls is not Dense else (7,), np.random.default_rng(0))
    return layer


def layer_input(layer, shape=None):
    """Samples in lanes that fit a built layer."""
    shape = layer.input_shape if shape is None else shape
    array = np.random.default_rng(1).standard_normal((SAMPLES, *shape))
    return lanes.pack(array, layer.dtype)


def of_subject(way):
    """An argument that must fit the object whose method is called."""
    return lambda world: way(world, world.subject)


def _graph(world):
    """The same for all arguments of a call."""
    if not hasattr(world, "graph"):
        world.graph = Graph(SHAPE)
    return world.graph


def _concrete(world, cls, plain):
    return made(world, plain if cls.__module__.endswith("base") or cls is plain else cls)


def _optimizer(world, cls):
    if cls is Optimizer:
        cls = optimizers.SGD
    return cls(world.model.parameters(), lr=0.01)


def _run(world, cls):
    return Run(world.settings, world.new_folder)


def _conv(world):
    return world.plain.layers[0]


SUBJECTS = {
    lookup.Reference: lambda w, cls: lookup.parse("os.path:join", "layer"),
    Layer: built,
    Node: lambda w, cls: trace(w.model).output,
    Initializer: lambda w, cls: Own() if cls is Initializer else made(w, cls),
    Optimizer: _optimizer,
    losses.Loss: lambda w, cls: {
        losses.Loss: losses.SoftmaxCrossEntropy,
        ClassLoss: losses.NLLLoss,
        Elementwise: losses.L1Loss,
    }.get(cls, cls)(),
    schedules.Schedule: lambda w, cls: schedules.Cosine() if cls is schedules.Schedule else cls(),
    OfThread: lambda w, cls: cls(),
    TrainerState: lambda w, cls: w.trainer,
    Run: _run,
    Makers: lambda w, cls: w.settings,
    Dataset: lambda w, cls: w.dataset,
    augmentation.Augmentation: lambda w, cls: augmentation.from_string("crop:1,flip"),
    augmentation.Change: lambda w, cls: augmentation.Cutout(1) if cls.__subclasses__() else cls(),
    Augmenter: lambda w, cls: cls(augmentation.from_string("crop:1,flip"), w.dataset, 0),
    Trained: lambda w, cls: load_run(_resumable(w)),
    signal.Signal: lambda w, cls: w.signal,
    layer_stats.Record: lambda w, cls: w.record,
    preflight.Preflight: lambda w, cls: preflight.preflight(w.plain, w.images, w.labels),
    gradient_front.Verdict: lambda w, cls: gradient_front.verdict(w.plain),
    certificate.Certificate: lambda w, cls: certificate.certify(w.plain),
    weight_gradients.Gradient: lambda w, cls: weight_gradients.at_scores(
        w.sums, CLASSES, w.labels[:3]
    ),
    Parameter: lambda w, cls: w.model.parameters()[0],
    moments.LeakyMoments: lambda w, cls: moments.LeakyMoments(0.1),
    moments.Moments: lambda w, cls: cls("tanh"),
    certificate.SymmetryWatch: lambda w, cls: cls(2),
    ablation.Ablation: lambda w, cls: cls(w.grid, w.new_folder, 1),
}


VALUES = {
    # What most calls are about.
    "model": lambda w: w.model,
    "layer": lambda w: w.layer,
    "layers": lambda w: [w.model.layers[0].name],
    "images": lambda w: w.images,
    "labels": lambda w: w.labels,
    "targets": lambda w: w.labels,
    "predicted": lambda w: w.labels,
    "scores": lambda w: lanes.pack(w.floats(SAMPLES, CLASSES)),
    "dataset": lambda w: w.dataset,
    "train": lambda w: w.dataset,
    "test": lambda w: w.dataset,
    "optimizer": lambda w: w.optimizer,
    "loss": lambda w: losses.SoftmaxCrossEntropy(),
    "trainer": lambda w: w.trainer,
    "callbacks": lambda w: [],
    "parameters": lambda w: w.model.parameters(),
    "initializer": lambda w: initializers.MSRA(),
    "init": lambda w: w.choice(["msra", initializers.Xavier()]),
    "bias_init": lambda w: "zeros",
    "schedule": lambda w: "cosine",
    "rng": lambda w: np.random.default_rng(3),
    "seed": lambda w: 3,
    "dtype": lambda w: np.float32,
    "fans": lambda w: Fans(18, 27),
    "shape": lambda w: (3, 2, 3, 3),
    "input_shape": of_subject(lambda w, s: getattr(s, "input_shape", None) or SHAPE),
    "batch": lambda w: Batch(w.packed, w.labels, SAMPLES),
    "batches": lambda w: Batches(w.dataset, 16),
    "batch_size": lambda w: 8,
    "samples": lambda w: SAMPLES,
    "classes": lambda w: CLASSES,
    "settings": lambda w: w.settings,
    "folder": lambda w: w.new_folder,
    "path": lambda w: w.new_path,
    "out": lambda w: w.new_path,
    "name": lambda w: "name",
    "text": lambda w: "msra",
    "training": lambda w: True,
    "check_result.result": lambda w: (1.0, lanes.pack(w.floats(SAMPLES, CLASSES))),
    "is_better.result": lambda w: 0.5,
    "is_better.best": lambda w: 0.4,
    "best_of.results": lambda w: [0.4, 0.5],
    "step": lambda w: 3,
    "total_steps": lambda w: 10,
    "epochs": lambda w: 2,
    "at": lambda w: (0, 2),
    "image": lambda w: w.images[0],
    "grid": lambda w: w.grid,
    "outcomes": lambda w: w.outcomes,
    "record": lambda w: w.record,
    "predictions": lambda w: w.predictions,
    "field": lambda w: w.field,
    "signal": lambda w: w.signal,
    "tolerance": lambda w: 1e-6,
    "metric": lambda w: "test_accuracy",
    "error": lambda w: OSError(2, "No such file"),
    # Passes.
    "x": of_subject(lambda w, s: layer_input(s) if isinstance(s, Layer) else w.packed),
    "dy": of_subject(
        lambda w, s: (
            layer_input(s, s.output_shape)
            if isinstance(s, Layer)
            else lanes.pack(w.floats(SAMPLES, CLASSES))
        )
    ),
    "array": of_subject(
        lambda w, s: layer_input(s, s.output_shape) if isinstance(s, Layer) else w.floats(3, 4)
    ),
    "groups": lambda w: 2,
    "optimizers.groups.assign.groups": lambda w: groups.as_groups(["*.weight:lr_factor=2"]),
    # Layers.
    "out_channels": lambda w: 3,
    "out_features": lambda w: 3,
    "in_channels": lambda w: 2,
    "in_features": lambda w: 7,
    "kernel_size": lambda w: w.choice([3, (2, 3)]),
    "stride": lambda w: w.choice([1, (2, 1)]),
    "padding": lambda w: 1,
    "dilation": lambda w: 1,
    "Conv2d.Conv2d.groups": lambda w: 1,
    "window_output.kernel_size": lambda w: (3, 3),
    "window_output.stride": lambda w: (1, 1),
    "window_output.padding": lambda w: (1, 1),
    "window_output.dilation": lambda w: (1, 1),
    "window_output.ceil_mode": lambda w: False,
    "bias": lambda w: True,
    "algorithm": lambda w: "direct",
    "slope": lambda w: 0.1,
    "alpha": lambda w: 0.5,
    "Softplus.Softplus.beta": lambda w: 0.5,
    "threshold": lambda w: 20.0,
    "approximate": lambda w: "tanh",
    "per_channel": lambda w: True,
    "p": lambda w: 0.3,
    "start": lambda w: 0.5,
    "body": lambda w: Conv2d(2, 3, padding=1),
    "shortcut": lambda w: None,
    "eps": lambda w: 1e-5,
    "num_groups": lambda w: 1,
    "affine": lambda w: True,
    "elementwise_affine": lambda w: True,
    "centred": lambda w: True,
    "SampleNorm.name": lambda w: "affine",
    "LayerScale.init": lambda w: 0.5,
    "rule_of.copies": lambda w: None,
    "momentum": lambda w: 0.5,
    "from_string.text": lambda w: "constant",
    "plan": lambda w: w.plan,
    "choose.name": lambda w: "direct",
    "check_name.name": lambda w: "direct",
    "input_gradient": lambda w: True,
    "fuse": lambda w: False,
    "Context.memory": lambda w: Memory(np.float32),
    "Context.node": lambda w: 0,
    "Context.x": lambda w: None,
    "Context.relu": lambda w: False,
    "Step.node": lambda w: trace(w.model).nodes[1],
    "Step.graph": lambda w: trace(w.model),
    "hosts": lambda w: {},
    "needed": lambda w: [True] * 99,
    "Run.length": lambda w: 3,
    "Run.x": lambda w: w.packed,
    "Run.backward": lambda w: 0,
    "Slot.block": lambda w: 0,
    "Slot.start": lambda w: 0,
    "Slot.stop": lambda w: 16,
    "Slot.array": lambda w: w.floats(1, 16),
    "readers": lambda w: 1,
    "slot": lambda w: Memory(np.float32).take((1, 16)),
    "over_x": lambda w: False,
    "make": lambda w: list,
    "Direct.forward.x": lambda w: w.packed,
    "weight": lambda w: w.floats(3, 2, 3, 3),
    "Direct.forward.bias": lambda w: w.floats(3),
    "Winograd.forward.bias": lambda w: w.floats(3),
    "z": lambda w: np.zeros((2, 3, 4, 4, 16), np.float32),
    "Direct.delta.dy": lambda w: np.ones((2, 3, 4, 4, 16), np.float32),
    "Winograd.delta.dy": lambda w: np.ones((2, 3, 4, 4, 16), np.float32),
    "delta": lambda w: np.ones((2, 3, 4, 4, 16), np.float32),
    "weight_grad": lambda w: np.zeros((3, 2, 3, 3), np.float32),
    "bias_grad": lambda w: np.zeros(3, np.float32),
    "dx": lambda w: np.zeros((2, 2, 6, 6, 16), np.float32),
    # Parameters, optimizers, losses, metrics, lanes.
    "Parameter.Parameter.value": lambda w: w.floats(3, 4),
    "decay": lambda w: True,
    "arrays": lambda w: [w.floats(3), w.floats(4)],
    "Sequential.load_state_dict.arrays": lambda w: w.model.state_dict(),
    "assign.own": lambda w: {"a": w.floats(3)},
    "assign.arrays": lambda w: {"a": w.floats(3)},
    "lr": lambda w: 0.01,
    "betas": lambda w: (0.9, 0.99),
    "weight_decay": lambda w: 0.01,
    "nesterov": lambda w: True,
    "max_norm": lambda w: 1.0,
    "create.name": lambda w: "sgd",
    "settings.name": lambda w: "sgd",
    "given": lambda w: {},
    "copy": lambda w: True,
    "load_state_dict.state": of_subject(lambda w, s: s.state_dict()),
    "valid": lambda w: lambda x: x > 0,
    "expected": lambda w: "a number above 0",
    "averages": lambda w: [{} for _ in w.model.parameters()],
    "find_runs.averages": lambda w: {},
    "by_decay": lambda w: False,
    "label_smoothing": lambda w: 0.1,
    "class_weights.from_string.text": lambda w: "balanced",
    "class_weights": lambda w: "balanced",
    "reduction": lambda w: w.choice(["mean", "sum"]),
    "ignore_index": lambda w: -1,
    **dict.fromkeys(
        (
            f"{name}.{name}.weight"
            for name in (
                "SoftmaxCrossEntropy",
                "ClassLoss",
                "NLLLoss",
                "BCELoss",
                "BCEWithLogitsLoss",
            )
        ),
        lambda w: np.linspace(0.5, 1.5, CLASSES),
    ),
    "HuberLoss.HuberLoss.delta": lambda w: 0.5,
    "SmoothL1Loss.SmoothL1Loss.beta": lambda w: 0.5,
    "outputs": lambda w: CLASSES,
    "check_weights.weights": lambda w: np.linspace(0.5, 1.5, CLASSES),
    "check_length.weights": lambda w: np.linspace(0.5, 1.5, CLASSES),
    "check_probabilities.targets": lambda w: np.eye(CLASSES),
    "check_weights.name": lambda w: "weight",
    "check_length.name": lambda w: "weight",
    "pos_weight": lambda w: np.linspace(0.5, 1.5, CLASSES),
    "metrics.top_k_accuracy.scores": lambda w: w.floats(SAMPLES, CLASSES),
    "top_k_accuracy.scores": lambda w: w.floats(SAMPLES, CLASSES),
    "k": lambda w: 2,
    "are_lanes.x": lambda w: w.packed,
    "are_lanes.shape": lambda w: SHAPE,
    "describe.x": lambda w: w.packed,
    "pack.batch": lambda w: w.images,
    "packed": lambda w: w.packed,
    "count": lambda w: 2,
    "value": lambda w: 3,
    "what": lambda w: "n",
    "minimum": lambda w: 0,
    "thing": lambda w: Dense,
    "kind": lambda w: "layer",
    "known": lambda w: ["dense", "conv"],
    "size": lambda w: 100,
    "most": lambda w: 64,
    "message": lambda w: "what is wrong",
    "lines": lambda w: "a line",
    # Schedules and initializers.
    "milestones": lambda w: (0.5, 0.7),
    "gamma": lambda w: 0.5,
    "final": lambda w: 0.01,
    "warmup": lambda w: 0.1,
    "WarmUp.WarmUp.length": lambda w: 0.1,
    "WarmUp.WarmUp.schedule": lambda w: schedules.Cosine(),
    "Settings.Settings.schedule": lambda w: "cosine",
    "std": lambda w: 0.1,
    "mean_": lambda w: 0.1,
    "mean": lambda w: 0.1,
    "low": lambda w: -0.1,
    "high": lambda w: 0.1,
    "scale": lambda w: 2.0,
    "Upsample.scale_factor": lambda w: 2,
    "Upsample.mode": lambda w: "bilinear",
    "Upsample.align_corners": lambda w: True,
    "upsample.scale": lambda w: 2,
    "branches": lambda w: [Tanh(), Tanh()],
    "join": lambda w: "add",
    "connect.graph": lambda w: _graph(w),
    "connect.x": lambda w: _graph(w).input,
    "join_forward.parts": of_subject(
        lambda w, layer: [layer_input(b, b.output_shape) for b in (layer.children() * 2)[:2]]
    ),
    "inside.joined.layer": lambda w: built(w, Branches),
    "inside.joined.parts": lambda w: [layer_input(w.model)] * 2,
    "recording": lambda w: Recording(),
    **{
        f"{name}.{kind}.{parameter}": way
        for name in (
            "Products",
            "Images",
            "Alike",
            "Windows",
            "Activated",
            "Scaled",
            "Centred",
            "Dropped",
            "Sum",
            "Mean",
            "Copies",
        )
        for kind in (name, "at", "needs")
        for parameter, way in {
            "images": lambda w: w.images[:3],
            "size": lambda w: SHAPE[1:],
            "source": lambda w: positions.Images(w.images[:3]),
            "body": lambda w: positions.Images(w.images[:3]),
            "around": lambda w: positions.Images(w.images[:3]),
            "sources": lambda w: [positions.Images(w.images[:3])] * 2,
            "shares": lambda w: [0.5, 0.5],
            "members": lambda w: [np.eye(extent) for extent in SHAPE[1:]],
            "steps": lambda w: (1, 1),
            "scale": lambda w: (1, 1),
            "q": lambda w: np.ones((3, *SHAPE[1:])),
            "mean": lambda w: np.zeros((3, *SHAPE[1:])),
            "each": lambda w: np.zeros((3, *SHAPE[1:])),
            "whole": lambda w: 0.5,
            "d": lambda w: (0, 0),
            "n": lambda w: np.arange(3),
            "m": lambda w: np.arange(3),
            "given": lambda w: [lambda d: np.ones((3, *SHAPE[1:]))] * 2,
        }.items()
    },
    "Node.inputs": lambda w: (),
    "Node.index": lambda w: 0,
    "Node.shape": lambda w: SHAPE,
    "Graph.add.inputs": of_subject(lambda w, graph: [graph.input]),
    "Graph.add.layer": lambda w: Tanh(),
    "Graph.forward.step": lambda w: lambda node, values: values[0],
    "Graph.backward.step": lambda w: lambda node, value: [value],
    "Graph.backward.add": lambda w: lambda one, other: one,
    "mode": lambda w: "fan_in",
    "distribution": lambda w: "normal",
    "gain": lambda w: 1.0,
    "blocks": lambda w: 3,
    "fan_in": lambda w: 3.0,
    "fan_out": lambda w: 3.0,
    "Constant.Constant.value": lambda w: 0.1,
    "of.layers": lambda w: 2,
    "Fixup.Fixup.layers": lambda w: 2,
    "activation": lambda w: "relu",
    "number_or_activation": lambda w: "relu",
    "key": lambda w: "gain",
    "takes.field": lambda w: next(iter(initializers.settings_of(initializers.Xavier).values())),
    "expected.field": lambda w: next(iter(initializers.settings_of(initializers.Xavier).values())),
    "FromFunction.FromFunction.function": lambda w: lambda shape, fans, rng: np.ones(shape),
    # Data.
    "Dataset.Dataset.images": lambda w: w.dataset.images,
    "from_arrays.train": lambda w: (w.dataset.images, w.labels),
    "from_arrays.test": lambda w: (w.dataset.images, w.labels),
    "n": lambda w: 5,
    "indices": lambda w: np.arange(5),
    "order": lambda w: np.arange(SAMPLES),
    "epoch.start": lambda w: 1,
    "prefetch": lambda w: False,
    "Augmenter.__call__.key": lambda w: np.uint64(3),
    "augmentation": lambda w: augmentation.from_string("crop:1,flip"),
    "augmentation.from_string.text": lambda w: "crop:1,flip",
    "class_names": lambda w: [f"class {n}" for n in range(CLASSES)],
    "from_arrays.moments": lambda w: (0.0, 1.0),
    "split_in_two.moments": lambda w: (0.0, 1.0),
    "part": lambda w: 4,
    "validation": lambda w: w.dataset,
    "Settings.Settings.validation": lambda w: 4,
    "load_published.name": lambda w: "mnist",
    "load_published.folder": lambda w: w.data,
    "load_images.folder": lambda w: w.pictures,
    "image_size": lambda w: 4,
    "read_picture.path": lambda w: w.pictures / "cat" / "0.png",
    "read_picture.shape": lambda w: (1, 28, 28),
    "mean_border.images": lambda w: w.dataset.images,
    "centre_digit.ink": lambda w: np.eye(9, dtype=np.uint8),
    "load_arrays.path": lambda w: w.arrays,
    "load_run.run": lambda w: _resumable(w),
    "load_runs.runs": lambda w: [_resumable(w)],
    "softmax.scores": lambda w: w.floats(3, CLASSES),
    "see": lambda w: lambda *given: None,
    "say_what_is_executed.values": lambda w: w.settings.as_dict(),
    "say_what_is_executed.given": lambda w: (),
    "curves.run": lambda w: _resumable(w),
    "trained": lambda w: load_run(_resumable(w), input_gradient=True),
    "find_files.folder": lambda w: w.data,
    "missing_files.folder": lambda w: w.data,
    "load_folder.folder": lambda w: w.data,
    "load_mnist.folder": lambda w: w.data,
    "sources.load.name": lambda w: str(w.data),
    "minicnn.data.sources.load.name": lambda w: str(w.data),
    "read_idx.path": lambda w: w.data / "train-labels-idx1-ubyte.gz",
    "max_bytes": lambda w: 10_000,
    "load.module": lambda w: "math",
    "load.purpose": lambda w: "a test",
    # gradcheck, LSUV
    "check_function.value": lambda w: lambda: 0.0,
    "check_function.arrays": lambda w: {"x": w.floats(3, dtype=np.float64)},
    "check_function.gradients": lambda w: {"x": np.zeros(3)},
    "check_function.step": lambda w: 1e-5,
    "check_layer.step": lambda w: 1e-5,
    "check_layer.layer": lambda w: Conv2d(2, 3),
    "check_layer.x": lambda w: w.floats(3, *SHAPE, dtype=np.float64),
    "check_layer.samples": lambda w: 3,
    "check_loss.step": lambda w: 1e-5,
    "check_loss.scores": lambda w: w.floats(3, CLASSES, dtype=np.float64),
    "check_loss.labels": lambda w: w.labels[:3],
    "passes": lambda w: 2,
    "look": lambda w: None,
    "compute_gradients.passes": lambda w: None,
    # Training
    "patience": lambda w: 2,
    "min_delta": lambda w: 0.0,
    "MetricsLog.MetricsLog.path": lambda w: w.new_folder / "metrics.jsonl",
    "parse_interval.text": lambda w: "2epoch",
    "Checkpoint.Checkpoint.every": lambda w: "1epoch",
    "about": lambda w: {"a": 1},
    "has_checkpoint.folder": lambda w: w.new_folder,
    "write_atomically.path": lambda w: w.new_folder / "file",
    "write_atomically.data": lambda w: b"data",
    "keep": lambda w: None,
    "flush_folder.path": lambda w: w.new_folder,
    "is_temporary.path": lambda w: w.new_path,
    "json_file.value": lambda w: {"a": 1},
    "to_json.value": lambda w: {"a": 1},
    "values": lambda w: [1.0, 2.0, 3.0],
    "json_lines.values": lambda w: [{"a": 1}],
    "indent": lambda w: 2,
    "which": lambda w: "training",
    "RunFolder.write.name": lambda w: "config.json",
    "write.data": lambda w: b"data",
    "save": lambda w: None,
    "epoch_line.line": lambda w: w.outcomes[0].history[0],
    "recipe.name": lambda w: "fastest",
    "checkpoint_every": lambda w: None,
    "resume.path": lambda w: _resumable(w),
    "RunFolder.reopen.path": lambda w: _resumable(w),
    "FolderLock.FolderLock.path": lambda w: w.new_folder,
    "capture.data": lambda w: snapshot.describe_data(w.trainer),
    "restore.data": lambda w: snapshot.describe_data(w.trainer),
    "restore.arrays": lambda w: snapshot.capture(w.trainer, {})[0],
    "restore.about": lambda w: snapshot.capture(w.trainer, snapshot.describe_data(w.trainer))[1],
    "restore_callbacks.about": lambda w: {"callbacks": {}},
    "encode.arrays": lambda w: {"a": w.floats(3)},
    "digest_of_arrays.arrays": lambda w: {"a": w.floats(3)},
    "read.path": lambda w: _tensors(w),
    "load_weights.path": lambda w: _weights(w),
    "RunningMetrics.add.loss": lambda w: 1.0,
    "quiet": lambda w: True,
    "make_model.dataset": lambda w: w.settings.load_data()[0],
    "model_file.about": lambda w: {"a": 1},
    "file": lambda w: None,
    # Zoo
    "parts": lambda w: Parts(),
    "widths": lambda w: [8],
    "depth": lambda w: 20,
    "small": lambda w: True,
    "normal_conv.kernel_size": lambda w: 3,
    "plain.depth": lambda w: 10,
    "channels": lambda w: 4,
    "features": lambda w: 4,
    "build.name": lambda w: "lenet5",
    # Lab
    "axes": lambda w: {"init": ["msra", "zeros"]},
    "seeds": lambda w: 1,
    "first_seed": lambda w: 0,
    "base": lambda w: {},
    "texts": lambda w: ["init=msra,zeros"],
    "convert": lambda w: lambda name, text: text,
    "from_strings.convert": lambda w: lambda name, text: str(text),
    "recipe": lambda w: None,
    "arm": lambda w: {"init": "msra"},
    "Outcome.Outcome.trial": lambda w: w.grid.trials()[0],
    "trial": lambda w: w.grid.trials()[0],
    "status": lambda w: "finished",
    "summary": lambda w: {},
    "history": lambda w: w.outcomes[0].history,
    "Outcome.Outcome.error": lambda w: "",
    "sentence": lambda w: "It failed.",
    "details": lambda w: "",
    "Probes.Probes.every": lambda w: 2,
    "processors": lambda w: 1,
    "Baseline.Baseline.settings": lambda w: {"init": "msra"},
    "Baseline.of_arms.accuracy": lambda w: [{0: 0.5}, {0: 0.6}],
    "Baseline.from_strings.texts": lambda w: ["init=msra"],
    "paired.values": lambda w: {0: 1.0, 1: 2.0},
    "paired.others": lambda w: {0: 1.5, 1: 2.5},
    "least": lambda w: 0.0,
    "lab.trial.Trial.Trial.loss": lambda w: 2.0,
    "loss_before": lambda w: 2.3,
    "std_before": lambda w: 0.1,
    "moved": lambda w: 0.1,
    "steps": lambda w: 20,
    "guess": lambda w: 2.3,
    "faded": lambda w: 2.5e-4,
    "lab.trial.attempt.data": lambda w: w.dataset,
    "jobs": lambda w: [(w.settings.as_dict(), w.new_path)],
    "train_trial.settings": lambda w: w.settings.as_dict(),
    "Ablation.Ablation.train": lambda w: None,
    "train_all.train": lambda w: _trains,
    "drawn": lambda w: {},
    "missing": lambda w: None,
    "errors.outcomes": lambda w: w.outcomes,
    "header": lambda w: ["a", "b"],
    "as_text.rows": lambda w: [["1", "2"]],
    "freedom": lambda w: 3,
    "confidence": lambda w: 0.9,
    "half_width": lambda w: 0.1,
    "visit": lambda w: lambda *given: None,
    "names": lambda w: None,
    "among": lambda w: None,
    "updates": lambda w: {},
    "frequencies": lambda w: np.full(CLASSES, 1 / CLASSES),
    "before": lambda w: w.model.state_dict(),
    "after": lambda w: w.model.state_dict(),
    "MaxPooling.MaxPooling.before": lambda w: w.field,
    "weight_of.layer": lambda w: w.layer,
    "Signals.Signals.dtype": lambda w: np.float64,
    "Signals.outputs.batch": lambda w: Batch(w.packed, w.labels, SAMPLES),
    "predict.model": lambda w: w.plain,
    "Sequential.predict.images": lambda w: w.images,
    "preflight.model": lambda w: w.plain,
    "beside_theory.model": lambda w: w.plain,
    "jacobian.model": lambda w: w.plain,
    "singular_values.model": lambda w: w.plain,
    "Jacobian.Jacobian.model": lambda w: w.plain,
    "jacobian.layers": lambda w: None,
    "singular_values.layers": lambda w: None,
    "Jacobian.Jacobian.layers": lambda w: None,
    "verdict.model": lambda w: w.plain,
    "first_steps.model": lambda w: w.plain,
    "certify.model": lambda w: w.plain,
    "Network.Network.model": lambda w: w.plain,
    "balanced": lambda w: True,
    "rank_tolerance": lambda w: None,
    "matrix": lambda w: w.floats(4, 3),
    "Jacobian.transposed_times.u": lambda w: np.ones(CLASSES),
    "of": lambda w: "output",
    "second_moments.of": lambda w: "output",
    "measured": lambda w: {"a": 1.0},
    "z_scores.measured": lambda w: w.record.second_moments(),
    "z_scores.predicted": lambda w: prediction.second_moments(w.predictions),
    "above": lambda w: 1.0,
    "below": lambda w: 2.0,
    "scored": lambda w: [],
    "within.z": lambda w: w.floats(5),
    "rms.z": lambda w: w.floats(5),
    "network": lambda w: "mlp:8",
    "score.seeds": lambda w: [0, 1],
    "score.init": lambda w: "msra",
    "score.dataset": lambda w: w.settings.load_data()[0],
    "quick": lambda w: True,
    "of_settings.dataset": lambda w: w.settings.load_data()[0],
    "remedy.dataset": lambda w: w.settings.load_data()[0],
    "report.dataset": lambda w: w.settings.load_data()[0],
    "report.settings": lambda w: w.settings,
    # Lab, inner: what flows through theories.
    "share": lambda w: np.ones((3, 3)),
    "Gradient.Gradient.field": lambda w: w.field,
    "memory": lambda w: w.signal,
    "recomputed": lambda w: Recomputed([], 0, False, False),
    "gradient": lambda w: subject(w, weight_gradients.Gradient),
    "a": lambda w: w.signal,
    "b": lambda w: w.signal,
    "units": lambda w: 2,
    "forward.layer": lambda w: ReLU(),
    "push.layer": lambda w: w.plain.layers[0],
    "push.x": lambda w: w.packed,
    "tangent": lambda w: w.packed,
    "weights": lambda w: np.ones((1, 1)),
    "promised.layer": _conv,
    "tap_weights.layer": _conv,
    "law.layer": _conv,
    "window_coherence.layer": _conv,
    "connections.layer": _conv,
    "rule_of.layer": _conv,
    "weight_gradient.layer": lambda w: w.plain.layers[3],
    "windows.layer": lambda w: _pool(w),
    "AveragePooling.AveragePooling.layer": lambda w: _pool(w),
    "Upsampling.Upsampling.layer": lambda w: built(w, Upsample),
    "Upsampling.backward.field": lambda w: maps.from_images(w.images[:3].repeat(2, 2).repeat(2, 3)),
    "Upsampling.aligned.share": lambda w: np.ones((3, 2 * SHAPE[1], 2 * SHAPE[2])),
    "MaxPooling.MaxPooling.layer": lambda w: _pool(w),
    "windows.x": lambda w: w.images[0],
    "moments_of.layer": lambda w: ReLU(),
    "moments": lambda w: moments.LeakyMoments(0.0),
    "function": lambda w: "tanh",
    "q": lambda w: 1.0,
    "other": lambda w: w.field,
    "Moments.kernel.other": lambda w: 1.0,
    "LeakyMoments.kernel.other": lambda w: 1.0,
    "correlation.other": lambda w: 1.0,
    "Moments.slope_kernel.other": lambda w: 1.0,
    "LeakyMoments.slope_kernel.other": lambda w: 1.0,
    "covariance": lambda w: 0.5,
    "other_mean": lambda w: 0.0,
    "coefficients.function": lambda w: np.tanh,
    "Moments.value.z": lambda w: np.ones(3),
    "Moments.derivative.z": lambda w: np.ones(3),
    "factor": lambda w: 2.0,
    "from_images.images": lambda w: w.images[:3],
    "pairs": lambda w: w.field.pairs,
    "same": lambda w: w.field.same,
    "cross": lambda w: w.field.cross,
    "taps": lambda w: np.ones((3, 3)),
    "sums": lambda w: maps.window_sums,
    "window": lambda w: [np.ones((3, 3)), (1, 1), (1, 1), (1, 1), (6, 6)],
    "window_sums.array": lambda w: w.floats(3, 6, 6),
    "spread_sums.array": lambda w: w.floats(3, 6, 6),
    "window_sums.stride": lambda w: (1, 1),
    "window_sums.padding": lambda w: (1, 1),
    "window_sums.dilation": lambda w: (1, 1),
    "window_sums.size": lambda w: (6, 6),
    "spread_sums.stride": lambda w: (1, 1),
    "spread_sums.padding": lambda w: (1, 1),
    "spread_sums.dilation": lambda w: (1, 1),
    "spread_sums.size": lambda w: (6, 6),
    "box_factor.size": lambda w: (6, 6),
    "box_factor.kernel_size": lambda w: (3, 3),
    "box_factor.padding": lambda w: (1, 1),
    "asymptotic_box_factor.size": lambda w: (6, 6),
    "asymptotic_box_factor.kernel_size": lambda w: (3, 3),
    "places": lambda w: [[0, 1]],
    "pixels": lambda w: 4,
    "spectrum": lambda w: np.ones(3),
    "participation": lambda w: 1.0,
    "second": lambda w: 1.0,
    "positions": lambda w: 4,
    "rows": lambda w: w.floats(5, 3),
    "live": lambda w: np.array([True, False]),
    "level": lambda w: np.array([0, 1]),
    "varies": lambda w: np.array([True, False]),
    "differs": lambda w: np.array([True, False]),
    "depends": lambda w: np.array([True, False]),
    "first_step": lambda w: {},
    "tied": lambda w: {},
    "collapsed": lambda w: (),
    "front": lambda w: gradient_front.verdict(w.plain),
    "found": lambda w: subject(w, preflight.Preflight),
    "accuracy": lambda w: 0.5,
    "reached": lambda w: True,
    "flat": lambda w: np.array([False, False]),
    "second_moment": lambda w: 1.0,
    "quantiles": lambda w: {0.5: 0.1},
    "Moment.Moment.value": lambda w: 1.0,
    "Moment.Moment.error": lambda w: 0.1,
    "Moment.z.measured": lambda w: 1.2,
    "through_windows.window": lambda w: [np.ones((3, 3)), (1, 1), (1, 1), (1, 1), (6, 6)],
    "membership.places": lambda w: np.array([[0, 1]]),
    "AveragePooling.backward.field": lambda w: maps.from_images(w.images[:3, :, :3, :3]),
    "MaxPooling.backward.field": lambda w: maps.from_images(w.images[:3, :, :3, :3]),
    "AveragePooling.aligned.share": lambda w: np.ones((3, 3, 3)),
    "MaxPooling.aligned.share": lambda w: np.ones((3, 3, 3)),
    "tap_weights.weights": lambda w: finite_width.law(w.plain.layers[0]),
    "linear_spread.weights": lambda w: finite_width.law(w.plain.layers[0]),
    "gradient.added.a": lambda w: subject(w, gradient.Gradient),
    "gradient.added.b": lambda w: subject(w, gradient.Gradient),
    "at_scores.signal": lambda w: w.sums,
    "at_scores.labels": lambda w: w.labels[:3],
    "runs.Run.parameters": lambda w: w.model.parameters()[:1],
    "Run.Run.averages": lambda w: {},
    "SymmetryWatch.SymmetryWatch.every": lambda w: 2,
    "activations.from_string.text": lambda w: "relu",
    "schedules.from_string.text": lambda w: "cosine",
    "zoo.build.name": lambda w: "mlp:8",
    "Adam.beta1.value": lambda w: 0.5,
    "Adam.beta2.value": lambda w: 0.5,
    "Adagrad.lr_decay.value": lambda w: 0.5,
    "Adagrad.initial_accumulator_value.value": lambda w: 0.5,
    "Lion.beta1.value": lambda w: 0.5,
    "Lion.beta2.value": lambda w: 0.5,
    "NAdam.momentum_decay.value": lambda w: 0.5,
    "RMSProp.alpha.value": lambda w: 0.5,
    "RMSProp.momentum.value": lambda w: 0.5,
    "SGD.dampening.value": lambda w: 0.5,
    "SGD.momentum.value": lambda w: 0.5,
    "Jacobian.times.v": lambda w: np.ones(72),
    # The equations for one sample.
    "reference.x": lambda w: w.images[0],
    "reference.w": lambda w: w.floats(3, 2, 3, 3),
    "reference.delta": lambda w: w.floats(3, 4, 4),
    "reference.b": lambda w: w.floats(3),
    "reference.rows": lambda w: (1, 1),
    "reference.columns": lambda w: (1, -1),
    "reference.value": lambda w: 0,
    "reference.kernel_size": lambda w: 2,
    "reference.input_shape": lambda w: SHAPE,
    "reference.w_shape": lambda w: (3, 2, 3, 3),
    "reference.padding": lambda w: 0,
    "reference.stride": lambda w: 1,
    "reference.groups": lambda w: 1,
    "reference.dense.x": lambda w: w.floats(5),
    "reference.dense.w": lambda w: w.floats(3, 5),
    "reference.dense_input_gradient.w": lambda w: w.floats(3, 5),
    "reference.dense_input_gradient.delta": lambda w: w.floats(3),
    "reference.max_pool_gradient.delta": lambda w: w.floats(2, 3, 3),
    "reference.average_pool_gradient.delta": lambda w: w.floats(2, 3, 3),
    "reference.masked_upsample.delta": lambda w: w.floats(2, 3, 3),
    "mask": lambda w: np.ones((2, 3, 3, 2, 2)),
    "reference.name": lambda w: "tanh",
    "reference.z": lambda w: w.floats(3, 4, 4),
    "reference.a": lambda w: [],
    "reference.scores": lambda w: w.floats(CLASSES),
    "reference.label": lambda w: 1,
    "reference.smoothing": lambda w: 0.1,
    "target": lambda w: w.floats(CLASSES),
    "reference.batch_norm.x": lambda w: w.images,
    "reference.batch_norm_gradients.x": lambda w: w.images,
    "reference.batch_norm_gradients.delta": lambda w: w.images,
    "beta": lambda w: w.floats(2),
    "reference.group_norm.gamma": lambda w: 1.0,
    "reference.group_norm_gradients.gamma": lambda w: 1.0,
    "reference.group_norm.groups": lambda w: 1,
    "reference.group_norm_gradients.groups": lambda w: 1,
    "reference.layer_norm_2d.gamma": lambda w: 1.0,
    "reference.layer_norm_2d_gradients.gamma": lambda w: 1.0,
    "reference.layer_norm_2d.beta": lambda w: 0.0,
    "reference.batch_norm.gamma": lambda w: w.floats(2),
    "reference.batch_norm_gradients.gamma": lambda w: w.floats(2),
}


def _pool(world):
    pool = MaxPool2d(2)
    pool.build(SHAPE, np.random.default_rng(0))
    return pool


def _trains(settings, folder):
    return None


def _resumable(world):
    run = Run(world.settings, world.new_folder)
    run.train(quiet=True)
    return run.folder.path


def _tensors(world):
    path = world.new_folder / "file"
    path.write_bytes(tensors.encode({"a": world.floats(3)}, {"b": 1}))
    return path


def _weights(world):
    from minicnn.training.runs.weights import model_file

    path = world.new_folder / "model.safetensors"
    path.write_bytes(model_file(world.trainer, {}))
    return path
