"""The file of a model's weights, under the names that PyTorch gives them.

A parameter goes by its place, as in a twin of nested ``torch.nn.Sequential``: ``0.weight`` is
that of the first layer, ``3.body.0.weight`` lies in the body of a residual block (a module
with ``body`` and ``shortcut``), ``1.running_mean`` in a batch normalization. Layouts are
PyTorch's, ``(out, in, height, width)`` and ``(out, in)``, so that there
``module.load_state_dict(safetensors.torch.load_file(path))`` takes the file as it is.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.checks import check_dict, check_path, check_text, shown, takes
from minicnn.data.pictures import mean_border
from minicnn.errors import ArgumentError, DataError
from minicnn.models.sequential import Sequential, initialized
from minicnn.parameter import assign
from minicnn.paths import expand
from minicnn.training.runs import tensors
from minicnn.training.runs.files import write_atomically

if TYPE_CHECKING:
    from minicnn.training.trainer import Trainer

#: PyTorch counts the batches that a normalization has seen; ours has no use for it.
COUNT = "num_batches_tracked"
FILES = ("best.safetensors", "model.safetensors")  # of a run, in the order of preference
SOME = 1000  # training images that tell how light their border is


@takes(model=initialized)
def named_arrays(model: Sequential) -> dict[str, np.ndarray]:
    """All parameters and running statistics under their names in a file; not copies."""
    arrays: dict[str, np.ndarray] = {}
    for path, layer in _places(model):
        arrays |= {f"{path}{name}": p.value for name, p in layer.own_parameters().items()}
        arrays |= {f"{path}{name}": array for name, array in layer.state().items()}
    return arrays


def check_trainer(value: Any, what: str) -> Any:
    """`value` if it has what is written of a Trainer, which is imported above this."""
    if isinstance(value, type) or not all(hasattr(value, n) for n in ("model", "train", "step")):
        raise ArgumentError(f"{what} must be a Trainer, got {shown(value)}.")
    return value


@takes(trainer=check_trainer, about=check_dict)
def model_file(trainer: "Trainer", about: dict[str, Any]) -> bytes:
    """The bytes of a file of the weights.

    Its metadata are the plain values `about`, the steps that the model has made, and the shape,
    normalization and classes of its images.
    """
    arrays, train = named_arrays(trainer.model), trainer.train
    arrays |= dict.fromkeys(_counts(trainer.model), np.array(trainer.step, np.int64))
    names = ("shape", "mean", "std", "classes", "class_names")
    images = {**{name: getattr(train, name) for name in names}, "border": _border(train)}
    return tensors.encode(arrays, {**about, "step": trainer.step, "images": images})


def _border(dataset):
    """The mean border of some images: whether they are light on dark; None if they are no bytes."""
    if dataset.storage.dtype != np.uint8:
        return None
    return mean_border(dataset.take(range(min(SOME, len(dataset)))).images)


@takes(model=initialized, path=(str, os.PathLike))
def save_weights(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Write the weights and running statistics of a model to a file that `load_weights` reads.

    A file that is there is replaced once the new one is whole; one that cannot be written is an
    ArgumentError.
    """
    arrays = named_arrays(model) | dict.fromkeys(_counts(model), np.array(0, np.int64))
    write_atomically(expand(path, "save_weights: path"), tensors.encode(arrays, {}))


@takes(model=initialized, path=(str, os.PathLike), prefix=check_text)
def load_weights(
    model: Sequential, path: str | os.PathLike[str], prefix: str = ""
) -> dict[str, Any]:
    """Give a model the weights and running statistics of a file, all or none.

    Parameters
    ----------
    model : Sequential
        Initialized, of the architecture that the file was made of.
    path : str or Path
        A ``model.safetensors`` or ``best.safetensors`` of a run, or a file with the same
        names that PyTorch's ``safetensors.torch.save_file`` made.
    prefix : str
        What the names in the file begin with, such as ``"net."`` if the twin in PyTorch is an
        attribute ``net`` of another module. Arrays whose names begin otherwise are left out.

    Returns
    -------
    dict
        What the file says of itself, such as the settings of the run and the mean and
        standard deviation of its images; empty for a file that others made.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    ArgumentError
        If it is of another architecture or its names have another prefix, the model is not
        initialized, or another thread computes with it.
    """
    own = named_arrays(model)
    arrays, about = tensors.read(path)
    named = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    for name in _counts(model):
        named.pop(name, None)
    try:
        with model.lock.taken():
            assign(own, named, _advice(model, own, arrays))
    except ArgumentError as error:
        raise ArgumentError(f"{path} is not of this model: {error}") from error
    return about


@takes(run=check_path)
def weights_file(run: str | os.PathLike[str]) -> Path:
    """The file of weights that a run's folder, or itself, stands for; none is a DataError."""
    run = Path(run)
    if run.is_file():
        return run
    if not run.is_dir():
        raise DataError(f"{run}: no such run: expected the folder of a run, such as runs/NAME.")
    for name in FILES:
        if (run / name).is_file():
            return run / name
    raise DataError(
        f"{run}: found no {' or '.join(FILES)}: the run has not finished. --resume {run} goes on."
    )


@takes(run=check_path)
def weights_digest(run: str | os.PathLike[str]) -> str:
    """The SHA-256 of the file that `weights_file` gives, in hexadecimal digits."""
    return hashlib.sha256(weights_file(run).read_bytes()).hexdigest()


def _advice(model, own, arrays):
    """What to do with arrays whose names are not those that a file has."""
    if arrays.keys() == model._arrays().keys():
        return (
            "Its names are those of model.state_dict():"
            " model.load_state_dict(safetensors.numpy.load_file(path)) takes it."
        )
    one = next(iter(own), "")
    for prefix in (name.removesuffix(one) for name in arrays if one and name.endswith(f".{one}")):
        if all(prefix + name in arrays for name in own):
            return (
                f"Its names begin with {prefix!r}: load_weights(model, path, {prefix!r}) takes it."
            )
    return "A name begins with the layer's place in the model, as a twin in PyTorch has it."


def _places(layer, path=""):
    """Every layer with its place, such as ``"3.body.0."``."""
    yield path, layer
    for part, child in layer.parts().items():
        yield from _places(child, f"{path}{part}.")


def _counts(model):
    """The names of the normalizations' counts of batches."""
    return [f"{path}{COUNT}" for path, layer in _places(model) if "running_mean" in layer.state()]
