"""Settings: everything that decides what a run computes."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numba
import numpy as np

from minicnn import initializers, optimizers, processors, schedules
from minicnn.checks import check_count, check_dict, check_flag, check_seed, check_text, takes
from minicnn.data import augmentation
from minicnn.data.sources.images import check_size
from minicnn.data.split import check_part
from minicnn.errors import ArgumentError
from minicnn.optimizers import groups as parameter_groups
from minicnn.parameter import Parameter
from minicnn.paths import name_of
from minicnn.plugins import lookup
from minicnn.training.runs.makers import Makers
from minicnn.training.runs.values import OWN, describe_own, file_word

MOMENTUM = 0.9
#: Settings that only some optimizers have, what others have in their place, and how that is said.
INSTEAD = {
    "momentum": ("betas", ", its betas play that part"),
    "betas": ("momentum", ", its momentum plays that part"),
}

#: Settings that earlier versions did not have, with what they did.
LATER = {
    "image_size": None, "skip_bad": False, "validation": None, "augment": None,
    "groups": None, "clip_norm": None, "clip_value": None,
    "class_weights": None, "ema": None, "swa": None, "eval_flip": False,
    "eval_shift": 0, "eval_every": 1,
    "drop_last": False, "early_stopping": None, "plateau": None, "weights": None,
}  # fmt: skip


@dataclass(frozen=True)
class Settings(Makers):
    """The settings of a run, checked when they are made; two equal ones give equal bits.

    Anything unknown or out of range is an ArgumentError.

    Parameters
    ----------
    init : str
        An initializer of weights, see `initializers.from_string`.
    model : str
        A name in the zoo.
    activation : str
    algorithm : str
        How convolutions are computed, see `zoo.build`.
    data : str
        The name of a data set, a folder or a file, see `data.load`.
    epochs, batch_size : int
    optimizer : str
    lr : float, optional
        By default what `optimizers.settings` says.
    momentum : float, optional
        0.9 by default where the optimizer takes a momentum, else None.
    betas : pair of float, optional
        Of adam, adamw, nadam and lion, theirs by default; for other optimizers None.
    weight_decay, label_smoothing : float
    schedule : str
        See `schedules.from_string`.
    seed : int
        At least 0; of the weights, the shuffle and the dropout.
    threads : int, optional
        All that Numba may use by default. Does not change the bits.
    limit : int, optional
        Train on the first so many images; on all by default.
    image_size : int or pair of int, optional
        Of a folder of images, see `data.load_images`.
    skip_bad : bool
        Whether to leave out files in it that are no images.
    validation : int or float, optional
        How many training images, or which share of them, are kept to choose by, see `data.split`;
        the seed draws them.
    augment : str, optional
        See `augmentation.from_string`.
    groups : str or list of str, optional
        Parameters with other settings, see `optimizers.groups.from_string`.
    clip_norm, clip_value : float, optional
        To which gradients are clipped, see `Optimizer`.
    class_weights : str, optional
        Of the loss, see `class_weights.from_string`.
    ema : float, optional
        The decay of an `EMA` of the weights.
    swa : float, optional
        Where an `SWA` of the weights starts; not with `ema`.
    eval_flip, drop_last : bool
        Whether images are evaluated with their mirror images, and whether a smaller last batch is
        left out, see `Trainer`.
    eval_shift : int
        By how many pixels they are moved for further views when evaluated.
    eval_every : int
        After how many epochs the model is evaluated, and after the last.
    early_stopping, plateau : int, optional
        The patience, in epochs, of `EarlyStopping` and of `ReduceLROnPlateau`; both go by the
        validation set.
    weights : str, optional
        A run's folder or a file of weights to begin with, see `fine_tune`.

    Attributes
    ----------
    own : dict or None
        For each setting that names something of the user's, the file, the name, the arguments and
        the file's SHA-256, as when the settings were made.
    """

    init: str = "msra"
    model: str = "lenet5"
    activation: str = "relu"
    algorithm: str = "auto"
    data: str = "mnist"
    epochs: int = 5
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float | None = None
    betas: tuple | None = None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    schedule: str = "one-cycle"
    seed: int = 0
    threads: int | None = None
    limit: int | None = None
    image_size: int | tuple | None = None
    skip_bad: bool = False
    validation: int | float | None = None
    augment: str | None = None
    groups: tuple | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    class_weights: str | None = None
    ema: float | None = None
    swa: float | None = None
    eval_flip: bool = False
    eval_shift: int = 0
    eval_every: int = 1
    drop_last: bool = False
    early_stopping: int | None = None
    plateau: int | None = None
    weights: str | None = None
    own: dict | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", describe_own(vars(self)))
        for name in self.own or ():
            object.__setattr__(self, name, str(lookup.parse(getattr(self, name))))
        initializers.from_string(self.init)
        self.build_model(classes=10)
        schedules.from_string(self.schedule)
        self._set_optimizer_defaults()
        if self.groups is not None:
            groups = parameter_groups.as_groups(self.groups)
            object.__setattr__(self, "groups", tuple(map(str, groups)) or None)
        self._make_optimizer([Parameter(np.zeros(1, np.float32))])
        self.make_loss()
        self.make_average()
        self.make_callbacks()
        for name in ("eval_flip", "drop_last"):
            check_flag(getattr(self, name), name)
        check_count(self.eval_shift, "eval_shift", least=0)
        check_count(self.eval_every, "eval_every")
        if self.weights is not None:
            check_text(self.weights, "weights")
        for name in ("epochs", "batch_size"):
            check_count(getattr(self, name), name)
        if self.limit is not None:
            check_count(self.limit, "limit")
        check_size(self.image_size)
        check_flag(self.skip_bad, "skip_bad")
        if self.validation is not None:
            check_part(self.validation, "validation")
        if self.augment is not None:
            object.__setattr__(self, "augment", str(augmentation.from_string(self.augment)))
        check_seed(self.seed)
        self._set_threads_default()

    def _set_optimizer_defaults(self):
        taken = optimizers.settings(self.optimizer)
        defaults = {**taken, "momentum": MOMENTUM}
        for name in ("lr", "momentum", "betas"):
            value = getattr(self, name)
            if name not in taken and value is not None:
                raise ArgumentError(self._not_taken(name, taken))
            if name in taken and value is None:
                object.__setattr__(self, name, defaults[name])
        if self.betas is not None:
            object.__setattr__(self, "betas", tuple(self.betas))

    def _not_taken(self, name, taken):
        other, part = INSTEAD[name]
        having = [known for known in optimizers.OPTIMIZERS if name in optimizers.settings(known)]
        return (
            f"{self.optimizer} takes no {name}{part if other in taken else ''}: leave out {name},"
            f" or choose {', '.join(having[:-1])} or {having[-1]}."
        )

    def _set_threads_default(self):
        most = numba.config.NUMBA_NUM_THREADS
        if self.threads is None:
            object.__setattr__(self, "threads", processors.default_threads(most))
        if check_count(self.threads, "threads") > most:
            raise ArgumentError(
                f"threads must be from 1 to {most}, as many as Numba may use here, got"
                f" {self.threads}."
            )

    def name(self) -> str:
        """A name for the run that can be a folder's, such as ``lenet5-relu-msra-sgd-0``."""
        words = (self.model, self.activation, self.init, self.optimizer, self.seed)
        return name_of(*map(file_word, words))

    def as_dict(self) -> dict[str, Any]:
        """All settings by name, ready for JSON.

        Without `own` if there is nothing of the user's, and without what earlier versions did not
        have where it is as it was then: their runs go on.
        """
        left_out = {**LATER, "own": None}
        return {n: v for n, v in asdict(self).items() if n not in left_out or v != left_out[n]}

    @classmethod
    @takes(values=check_dict)
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """The settings that `as_dict` gave, if the user's files are still what they were.

        One that has changed or is missing is an ArgumentError: before anything in it is executed.
        """
        values = dict(values)
        for name, entry in (values.pop("own", None) or {}).items():
            lookup.check_same(values[name], OWN[name], entry["sha256"])
        return cls(**values)
