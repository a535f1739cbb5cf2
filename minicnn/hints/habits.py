"""Habits from PyTorch and Keras: what is spelled differently here is named in one sentence.

Layers, losses, optimizers, initializers and trainers derive from `Habits`, which looks at the
arguments that an object is made with, and at attributes that it does not have. Modules ask
`no_such_name` for what cannot be imported from them.

For the package itself: it checks nothing of what it is handed.
"""

import difflib
import functools
import inspect
from collections.abc import Mapping
from typing import Any

from minicnn.checks import is_third_party
from minicnn.errors import ArgumentError


class SettingError(ArgumentError, TypeError):
    """Arguments that a class does not take."""


class AttributeHabit(ArgumentError, AttributeError):
    """An attribute that other frameworks have."""


class NameHabit(ArgumentError, ImportError):
    """A name that other frameworks have."""


#: Names of settings elsewhere, and ours.
SETTINGS = {
    "filters": "out_channels", "units": "out_features", "strides": "stride",
    "pool_size": "kernel_size", "dilation_rate": "dilation", "use_bias": "bias",
    "kernel_initializer": "init", "weight_init": "init", "bias_initializer": "bias_init",
    "rate": "p", "epsilon": "eps", "negative_slope": "slope", "alpha": "slope",
    "learning_rate": "lr", "params": "parameters", "beta_1": "betas", "beta_2": "betas",
    "num_epochs": "epochs", "groups": "num_groups", "init_values": "init",
}  # fmt: skip

#: Settings that have no other name, and what there is.
INSTEAD = {
    "activation": "an activation is a layer of its own after this one, such as ReLU(); a softmax is"
    " part of SoftmaxCrossEntropy",
    "input_shape": "model.initialize(shape) says it once, for the whole model",
    "input_dim": "model.initialize(shape) says it once, for the whole model",
    "num_features": "the number is found by model.initialize",
    "num_channels": "the number is found by model.initialize",
    "normalized_shape": "the whole sample is normalized, whose shape model.initialize finds",
    "track_running_stats": "each image is normalized by itself, in training and evaluation alike",
    "data_format": "images are always (N, C, H, W)",
    "inplace": "memory is reused by itself",
    "name": "layers are named by their place, as 0.conv2d",
    "device": "everything runs on the processor",
    "dtype": "model.initialize(shape, dtype=...) says it for the whole model",
}

#: What is found rather than given, by the class.
SIZES = {
    "Conv2d": "the input's channels are found by model.initialize, so nn.Conv2d(1, 8, 3) is"
    " Conv2d(8, 3)",
    "ConvTranspose2d": "the input's channels are found by model.initialize, so"
    " nn.ConvTranspose2d(16, 8, 4) is ConvTranspose2d(8, 4)",
    "Dense": "the number of inputs is found by model.initialize, so nn.Linear(400, 120) is"
    " Dense(120)",
    "BatchNorm": "the channels are found by model.initialize, so nn.BatchNorm2d(16) is BatchNorm()",
    "GroupNorm": "the channels are found by model.initialize, so nn.GroupNorm(4, 16) is"
    " GroupNorm(4)",
    "InstanceNorm2d": "the channels are found by model.initialize, so nn.InstanceNorm2d(16) is"
    " InstanceNorm2d()",
    "LayerNorm": "the whole sample is normalized, whose shape model.initialize finds, so"
    " nn.LayerNorm(16) is LayerNorm()",
    "LayerNorm2d": "the channels are found by model.initialize, so LayerNorm2d(96) is"
    " LayerNorm2d()",
    "RMSNorm": "the whole sample is normalized, whose shape model.initialize finds, so"
    " nn.RMSNorm(16) is RMSNorm()",
    "GlobalAvgPool2d": "it takes the mean over the whole image, whatever its size",
    "GlobalMaxPool2d": "it takes the maximum over the whole image, whatever its size",
}


def _each(table):
    """A table by name, made of one that has several names in a row for the same words."""
    return {name: said for names, said in table.items() for name in names.split()}


#: Attributes elsewhere, and what there is.
ATTRIBUTES = _each(
    {
        "train eval": "there are no modes: a Trainer trains, model.predict and trainer.evaluate()"
        " evaluate",
        "fit compile train_on_batch": "Trainer(model, optimizer, train, test).fit() trains, with"
        " optimizers.SGD(...) and a loss",
        "evaluate": "Trainer(model, optimizer, train, test).evaluate() does",
        "to cuda cpu": "everything runs on the processor: leave it out",
        "float double half": "model.initialize(shape, dtype=...) says the dtype",
        "backward": "model.backward(gradient) does, of the gradient that loss(scores, labels)"
        " returns",
        "zero_grad": "each backward pass overwrites the gradients: leave it out",
        "add append": "all layers are given at once: Sequential(Flatten(), Dense(10))",
        "named_parameters": "each of model.parameters() has a name",
        "modules named_children": "model.all_layers() lists the layers",
        "get_weights weights": "model.state_dict() has them by name",
        "load_weights save_weights save": "training.load_weights(model, path) reads a file; a run"
        " and Checkpoint write them",
        "param_groups": "optimizer.groups are groups by name, as ['*.bias:lr_factor=2'], and"
        " optimizer.lr moves all of them",
    }
)

#: What is imported elsewhere, and what there is, by the module.
NAMES: Mapping[str, Mapping[str, str | None]] = {
    "minicnn.layers": _each({
        "Linear": "Dense(out_features)", "Conv2D": "Conv2d", "Conv2DTranspose": "ConvTranspose2d",
        "BatchNorm1d BatchNorm2d BatchNormalization": "BatchNorm()",
        "MaxPooling2D MaxPool2D": "MaxPool2d",
        "AveragePooling2D AvgPool2D AveragePool2d": "AvgPool2d",
        "AdaptiveAvgPool2d GlobalAveragePooling2D GlobalAvgPool2D": "GlobalAvgPool2d()",
        "AdaptiveMaxPool2d GlobalMaxPooling2D GlobalMaxPool2D": "GlobalMaxPool2d()",
        "Swish": "SiLU()", "Softmax2d": "Softmax()", "HardSwish": "Hardswish()",
        "SpatialDropout2D": "Dropout2d", "ZeroPadding2D": "ZeroPad2d",
        "LayerNormalization": "LayerNorm()", "GroupNormalization": "GroupNorm(num_groups)",
        "RMSNormalization": "RMSNorm()", "InstanceNorm": "InstanceNorm2d()",
        "Module Model": "Layer, to derive from", "Input InputLayer": "model.initialize(shape)",
        "Sequential": "Sequential, from minicnn itself",
        "Branches": "Branches, from minicnn.models", "Residual": "Residual, from minicnn.models",
    }),
    "minicnn.losses": _each({
        "CrossEntropyLoss SparseCategoricalCrossentropy CategoricalCrossentropy":
            "SoftmaxCrossEntropy",
        "MSELoss MSE": "MeanSquaredError", "MAE MeanAbsoluteError": "L1Loss",
        "Huber": "HuberLoss", "CategoricalFocalCrossentropy": "FocalLoss",
        "sigmoid_focal_loss BinaryFocalCrossentropy": "SigmoidFocalLoss",
        "BinaryCrossentropy": "BCEWithLogitsLoss, or BCELoss of probabilities",
    }),
    "minicnn.initializers": _each({
        "HeNormal HeUniform Kaiming kaiming_normal_ kaiming_uniform_": "MSRA",
        "GlorotNormal GlorotUniform glorot_uniform xavier_uniform_ Glorot": "Xavier",
        "RandomNormal": "Normal", "RandomUniform": "Uniform", "LecunNormal": "LeCun",
    }),
    "minicnn.optimizers": _each({
        "Momentum": "SGD(..., momentum=0.9)", "RMSprop": "RMSProp", "AdaGrad": "Adagrad",
        "Nadam": "NAdam",
    }),
    "minicnn": {
        "nn": "layers", "optim": "optimizers", "Model": "Sequential", "Trainer": "training.Trainer",
        "Branches": "models.Branches", "Residual": "models.Residual", "zoo": "models.zoo",
    },
}  # fmt: skip


class _Hint:
    """A name that there is not, where it is looked for; what an object has itself comes first."""

    def __init__(self, name):
        self._name = name

    def __get__(self, thing, kind):
        raise AttributeHabit(f"{kind.__name__} has no {self._name}: {ATTRIBUTES[self._name]}.")


class Habits:
    """Base of what users make: names what other frameworks spell differently.

    Names that are known are attributes of the class. A ``__getattr__`` would make each look at any
    attribute take three times as long, so that only users' classes have one.
    """

    #: What the base's ``__init__`` always makes, so that its absence shows that it was not called.
    _made: str | None = None

    def __init_subclass__(cls, **named: Any) -> None:
        """Look at the arguments of this package's classes if they are not taken."""
        super().__init_subclass__(**named)
        kind: Any = cls
        if is_third_party(cls):
            if not hasattr(cls, "__getattr__"):
                kind.__getattr__ = _missing
        elif "__init__" in vars(cls):
            kind.__init__ = _explained(cls, kind.__init__)


for _name in ATTRIBUTES:
    setattr(Habits, _name, _Hint(_name))


def _missing(self, name):
    """Say that ``super().__init__()`` was forgotten, if it was."""
    kind = type(self)
    if name in ATTRIBUTES and isinstance(inspect.getattr_static(kind, name, None), _Hint):
        return getattr(kind, name)
    if not name.startswith("__") and self._made is not None and self._made not in vars(self):
        raise AttributeHabit(
            f"{kind.__name__} has no {name}: its __init__ must call super().__init__(...) before"
            " anything else."
        )
    raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")


def _explained(owner, init):
    """`init`, with a SettingError for arguments that it does not take."""

    @functools.wraps(init)
    def __init__(self, *arguments, **settings):
        try:
            init(self, *arguments, **settings)
        except TypeError as error:
            signature = inspect.signature(init)
            try:
                signature.bind(self, *arguments, **settings)
            except TypeError:
                kind = type(self) if type(self).__init__ is __init__ else owner
                known = dict(list(signature.parameters.items())[1:])
                why = _why(kind, known, arguments, settings, error)
                raise SettingError(f"{kind.__name__}: {why}") from None
            raise

    return __init__


def _why(kind, known, arguments, settings, error):
    """What is wrong with the arguments of a class, and what to write."""
    for name in settings:
        if name in known:
            continue
        if SETTINGS.get(name) in known:
            return f"{name} is called {SETTINGS[name]} here."
        if name in INSTEAD:
            return f"it takes no {name}: {INSTEAD[name]}."
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        takes = f"it takes {', '.join(known)}" if known else "it takes no settings"
        return f"unknown setting {name!r}.{hint} {takes.capitalize()}."
    free = [n for n, p in known.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(arguments) > len(free) or settings.keys() & set(free[: len(arguments)]):
        takes = f"takes only {' and '.join(free)}" if free else "takes nothing"
        sizes = f"; {SIZES[kind.__name__]}" if kind.__name__ in SIZES else ""
        twice = "".join(f" and {n} by name, too" for n in free[: len(arguments)] if n in settings)
        return f"it {takes} without a name, got {len(arguments)}{twice}{sizes}."
    needed = [n for n, p in known.items() if p.default is p.empty and n not in settings]
    missing = " and ".join(needed[len(arguments) :])
    return f"it needs {missing}." if missing else f"{error}."


def no_such_name(module: str, name: str) -> NameHabit | AttributeError:
    """The error for a name that a module does not have, to be raised by its ``__getattr__``."""
    if name in NAMES.get(module, {}):
        ours = NAMES[module][name]
        what = f"what is meant is {ours}" if ours else "there is nothing like it"
        return NameHabit(f"{module} has no {name}: {what}.")
    return AttributeError(f"module {module!r} has no attribute {name!r}")
