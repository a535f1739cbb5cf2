"""Whether what a trainer is given fits together: said before training, not in its midst."""

import copy
import inspect
from typing import Any

import numpy as np

from minicnn import lanes
from minicnn.checks import check_callable, is_third_party, takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError, DataError
from minicnn.losses import check_result
from minicnn.models.sequential import Sequential, initialized
from minicnn.optimizers import Optimizer
from minicnn.training.callbacks.base import Callback


def as_callbacks(given: Any) -> list[Callback]:
    """A list of callbacks from any iterable, which may be a generator and is read once.

    Anything else, or something in it that is no callback, is an ArgumentError.
    """
    if isinstance(given, Callback):
        raise ArgumentError(
            f"callbacks must be a list: write callbacks=[{type(given).__name__}(...)]."
        )
    try:
        callbacks = list(given)
    except TypeError as error:
        raise ArgumentError(f"callbacks must be a list of Callbacks, got {given!r}.") from error
    for callback in callbacks:
        if not isinstance(callback, Callback):
            is_class = isinstance(callback, type) and issubclass(callback, Callback)
            hint = f" Write {callback.__name__}(), an object of it." if is_class else ""
            raise ArgumentError(
                f"a callback must be an object of a Callback, got {callback!r}.{hint}"
            )
    return callbacks


def check_parts(
    model: Any, optimizer: Any, loss: Any, train: Any, test: Any, validation: Any = None
) -> None:
    """Raise unless the parts of a Trainer can work together.

    That is an ArgumentError for a model that is not as it was initialized, parameters of another
    model, something that is no loss, or data sets as in `check_data`.
    """
    if not isinstance(model, Sequential):
        raise ArgumentError(f"the model must be a Sequential, got {model!r}.")
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            "the optimizer must be one such as SGD(model.parameters(), lr=0.03), got"
            f" {optimizer!r}."
        )
    model.check_layers()
    own = {id(parameter) for parameter in model.parameters()}
    if not all(id(parameter) in own for parameter in optimizer.parameters):
        raise ArgumentError(
            "the optimizer has parameters that are not the model's, which then would not learn:"
            " make it from model.parameters(), and the Trainer with it, after the model was"
            " initialized for the last time."
        )
    if loss is not None and (isinstance(loss, type) or not callable(loss)):
        raise ArgumentError(f"loss must be a Loss such as SoftmaxCrossEntropy(), got {loss!r}.")
    check_data("training", train, model)
    if test is not None:
        check_data("test", test, model)
    if validation is not None:
        check_data("validation", validation, model)


@takes(model=initialized, dataset=Dataset)
def check_loss(loss: Any, model: Sequential, dataset: Dataset) -> None:
    """Raise if a loss that others wrote does not give what a step needs: tried on five images.

    That is an ArgumentError if its gradient has another shape or dtype than the scores, or is not 0
    in spare lanes.
    """
    check_callable(loss, "the loss", arguments=2)
    if not is_third_party(loss if inspect.isfunction(loss) else type(loss)):
        return
    rng, labels = np.random.default_rng(0), dataset.labels[:5]
    scores = rng.standard_normal((1, *model.output_shape, lanes.LANES)).astype(model.dtype)
    try:
        tried = copy.deepcopy(loss)  # what it keeps stays as it is
    except TypeError:
        tried = loss
    _, gradient = check_result(tried(scores, labels), scores)
    if gradient[..., len(labels) :].any():
        raise ArgumentError(
            f"the gradient of a loss must be 0 in lanes without a sample: of {len(labels)} samples"
            f" it is not 0 from lane {len(labels)} on. minicnn.gradcheck.check_loss tries this."
        )


@takes(model=initialized)
def check_data(which: str, dataset: Any, model: Sequential) -> None:
    """Raise unless a data set, `which` one in an error, fits the model.

    Something that is no data set, images of another shape, or a model that gives no scores is an
    ArgumentError. A data set without images, or a label outside the model's classes, is a
    DataError.
    """
    if not isinstance(dataset, Dataset):
        raise ArgumentError(
            f"the {which} set must be a Dataset, as Dataset(images, labels), got"
            f" {type(dataset).__name__}."
        )
    if len(dataset) == 0:
        raise DataError(f"the {which} set is empty: expected at least one image.")
    if tuple(dataset.shape) != model.input_shape:
        raise ArgumentError(
            f"the {which} images have shape {tuple(dataset.shape)}, the model expects"
            f" {model.input_shape}: initialize the model with the data set's shape."
        )
    classes = model.output_shape[0] if len(model.output_shape) == 1 else 0
    if classes < 1:
        raise ArgumentError(
            f"the model's output has shape {model.output_shape}: expected a vector of scores, one"
            " for each class, as Dense gives it."
        )
    least, most = int(dataset.labels.min()), int(dataset.labels.max())
    if least < 0 or most >= classes:
        advice = " Classes are numbered from 0: use labels - 1." if least == 1 else ""
        raise DataError(
            f"labels of the {which} set run from {least} to {most}, but the model gives {classes}"
            f" scores: expected labels from 0 to {classes - 1}.{advice}"
        )
