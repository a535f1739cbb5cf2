"""What settings make: the data, the model, the optimizer and all else that a run is made of."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minicnn import initializers, optimizers
from minicnn.checks import check_count, check_kind
from minicnn.data import Dataset, augmentation, sources
from minicnn.data.augmentation import Augmentation
from minicnn.data.split import split
from minicnn.errors import ArgumentError
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import zoo
from minicnn.models.lsuv import lsuv
from minicnn.models.sequential import Sequential
from minicnn.optimizers import Optimizer
from minicnn.parameter import Parameter
from minicnn.plugins import lookup
from minicnn.training.averaging import EMA, SWA, WeightAverage
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.early_stopping import EarlyStopping, ReduceLROnPlateau
from minicnn.training.runs import class_weights
from minicnn.training.runs.fine_tuning import fine_tune
from minicnn.training.runs.values import OWN

LSUV_IMAGES = 256


class Sets(NamedTuple):
    """The data of a run.

    Attributes
    ----------
    train, test : Dataset
    validation : Dataset or None
        What is kept of the training data to choose by.
    """

    train: Dataset
    test: Dataset
    validation: Dataset | None


class Makers:
    """The methods by which :class:`minicnn.training.runs.settings.Settings` makes a run's parts."""

    init: str
    model: str
    activation: str
    algorithm: str
    data: str
    optimizer: str
    label_smoothing: float
    seed: int
    limit: int | None
    image_size: int | tuple | None
    skip_bad: bool
    validation: int | float | None
    augment: str | None
    groups: tuple | None
    clip_norm: float | None
    clip_value: float | None
    class_weights: str | None
    ema: float | None
    swa: float | None
    early_stopping: int | None
    plateau: int | None
    weights: str | None
    own: dict | None

    def optimizer_settings(self) -> dict[str, Any]:
        """All settings of the optimizer, those that are at its defaults included, as a dict."""
        taken = optimizers.settings(self.optimizer)
        return {name: getattr(self, name, default) for name, default in taken.items()}

    def make_optimizer(self, parameters: Iterable[Parameter]) -> Optimizer:
        """The optimizer of these parameters, with its groups and its clipping.

        A group that matches none of them is an ArgumentError.
        """
        optimizer = self._make_optimizer(parameters)
        optimizer.groups = self.groups or ()
        return optimizer

    def _make_optimizer(self, parameters):
        made = optimizers.create(self.optimizer, parameters, **self.optimizer_settings())
        made.clip_norm, made.clip_value = self.clip_norm, self.clip_value
        return made

    def make_loss(self, train: Dataset | None = None) -> SoftmaxCrossEntropy:
        """The loss of training on a data set, which balanced weights of classes are taken from."""
        text = self.class_weights
        weight = None if text is None else class_weights.from_string(text, train)
        return SoftmaxCrossEntropy(self.label_smoothing, weight=weight)

    def make_average(self) -> WeightAverage | None:
        """The average of the weights that a training is evaluated by, if it is not the weights."""
        if self.ema is not None and self.swa is not None:
            raise ArgumentError("ema and swa are two averages of the weights: choose one of them.")
        if self.swa is not None:
            return SWA(self.swa)
        return None if self.ema is None else EMA(self.ema)

    def make_callbacks(self) -> list[Callback]:
        """What lowers the learning rate or ends training when the validation set says so."""
        made: list[Callback] = []
        if self.plateau is not None:
            made.append(ReduceLROnPlateau(patience=check_count(self.plateau, "plateau")))
        if self.early_stopping is not None:
            made.append(EarlyStopping(check_count(self.early_stopping, "early_stopping")))
        if made and self.validation is None:
            raise ArgumentError(
                "early_stopping and plateau go by a validation set: give one, as validation=0.1"
                " (--validation 0.1)."
            )
        return made

    def reading(self) -> dict[str, Any]:
        """How `data.load` reads the data, as its keyword arguments."""
        return {"image_size": self.image_size, "skip_bad": self.skip_bad}

    def load_data(self) -> Sets:
        """The training set, without what is kept for validation and cut to `limit`, and others."""
        self._check_own()
        train, test = sources.load(self.data, **self.reading())
        held = None
        if self.validation is not None:
            train, held = split(train, self.validation, self.seed, "the validation set")
        return Sets(train if self.limit is None else _first(train, self.limit), test, held)

    def make_augmentation(self) -> Augmentation | None:
        """How training images are changed, if they are."""
        return None if self.augment is None else augmentation.from_string(self.augment)

    def make_model(self, dataset: Dataset) -> Sequential:
        """The model for a data set's images and classes, initialized from the seed.

        Where the initializer needs images, it sees the first of the data set. Weights to begin with
        take the place of the initializer's.
        """
        self._check_own()
        check_kind(dataset, Dataset, "Settings.make_model: dataset")
        model = self.build_model(dataset.classes)
        model.initialize(dataset.shape, seed=self.seed)
        if self.weights is not None:
            fine_tune(model, self.weights)
            return model
        if getattr(initializers.from_string(self.init), "data_dependent", None) == "lsuv":
            lsuv(model, dataset.normalized(range(min(LSUV_IMAGES, len(dataset)))))
        return model

    def build_model(self, classes: int) -> Sequential:
        """The model for so many classes, without shapes yet."""
        return zoo.build(self.model, classes, self.activation, self.init, self.algorithm)

    def _check_own(self):
        """Raise if a file has changed since the settings were made."""
        for name, entry in (self.own or {}).items():
            lookup.check_same(getattr(self, name), OWN[name], entry["sha256"])


def _first(train, limit):
    """The first images of a training set, with a note if classes are lost that way."""
    found = train.subset(limit)
    lost = np.setdiff1d(train.labels, found.labels)
    if lost.size:
        found.notes += (
            f"the first {len(found):,} images are of {found.classes - lost.size} of the"
            f" {found.classes} classes; none is of {found.class_names[lost[0]]}. If the data are in"
            " the order of their classes, shuffle them or raise the limit.",
        )
    return found
