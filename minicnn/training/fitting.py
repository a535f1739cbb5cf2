"""Whether what a trainer is given fits together: said before training, not in its midst."""

from collections.abc import Iterable

from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError, DataError
from minicnn.layers.base import Layer
from minicnn.optimizers import Optimizer
from minicnn.training.callbacks import Callback


def check_parts(model, optimizer, loss):
    """Raise unless they can work together.

    Raises
    ------
    ArgumentError
        For something that is no model, optimizer or loss, or parameters of another model.
    """
    for thing, base, example in (
        (model, Layer, "Sequential(Flatten(), Dense(10))"),
        (optimizer, Optimizer, "SGD(model.parameters(), lr=0.1)"),
    ):
        if not isinstance(thing, base):
            kind = "model" if base is Layer else "optimizer"
            raise ArgumentError(f"{kind} must be one such as {example}, got {thing!r}.")
    own = {id(parameter) for parameter in model.parameters()}
    if not all(id(parameter) in own for parameter in optimizer.parameters):
        raise ArgumentError(
            "the optimizer has parameters that are not the model's, which then would not learn:"
            " make it from model.parameters(), after the model was initialized."
        )
    if loss is not None and (isinstance(loss, type) or not callable(loss)):
        raise ArgumentError(f"loss must be a Loss such as SoftmaxCrossEntropy(), got {loss!r}.")


def check_callbacks(callbacks):
    """`callbacks` as a list.

    Raises
    ------
    ArgumentError
        If it is no list of Callback objects.
    """
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise ArgumentError(
            f"callbacks must be a list of callbacks, such as [NanGuard()], got {callbacks!r}."
        )
    callbacks = list(callbacks)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            is_class = isinstance(callback, type) and issubclass(callback, Callback)
            hint = f" Write {callback.__name__}(), an object of it." if is_class else ""
            raise ArgumentError(
                f"a callback must be an object of a Callback, got {callback!r}.{hint}"
            )
    return callbacks


def check_data(which, dataset, model):
    """Raise unless a data set, `which` one in an error, fits the model.

    Raises
    ------
    ArgumentError
        For something that is no data set, images of another shape, or a model that gives no
        scores.
    DataError
        If there are no images, or a label is outside the model's classes.
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
