"""Fine-tuning: begin with the weights of another training, and with a head of one's own."""

import os

import numpy as np

from minicnn.checks import listed, takes
from minicnn.errors import ArgumentError
from minicnn.models.sequential import Sequential, initialized
from minicnn.parameter import assign
from minicnn.training.runs import tensors
from minicnn.training.runs.weights import COUNT, named_arrays, weights_file

SHOWN = 3  # names of each kind in an error


@takes(model=initialized, path=(str, os.PathLike))
def fine_tune(model: Sequential, path: str | os.PathLike[str]) -> list[str]:
    """Give a model the weights and running statistics of a file, but for a head that differs.

    The head is the last layer with parameters, which gives the scores. It stays as it was
    initialized if the file's has other shapes, as for another number of classes. To keep the other
    layers as they are, or to train them more slowly, see :class:`minicnn.optimizers.Group`.

    Parameters
    ----------
    model : Sequential
        Initialized.
    path : str or Path
        A run's folder, or a file of weights as for :func:`minicnn.training.load_weights`.

    Returns
    -------
    list of str
        The names of the arrays that were not taken over.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    ArgumentError
        If anything but the head differs: some names that are missing, that there are only in the
        file, and whose shapes differ, three of each. Nothing has been changed then.
    """
    file = weights_file(path)
    own, (given, _) = named_arrays(model), tensors.read(file)
    given = {name: array for name, array in given.items() if name.rpartition(".")[2] != COUNT}
    head = _head(model, own)
    differing = {n for n in own.keys() & given.keys() if own[n].shape != given[n].shape}
    fresh = sorted(head) if differing & head or not head <= given.keys() else []
    kinds = {
        "missing in the file": own.keys() - given.keys() - set(fresh),
        "only in the file": given.keys() - own.keys() - set(fresh),
        "of another shape": differing - set(fresh),
    }
    if any(kinds.values()):
        said = "; ".join(
            f"{kind}: {_listed(names, own, given)}" for kind, names in kinds.items() if names
        )
        raise ArgumentError(
            f"{file} is not of this model, whose layers but the last must be the same. {said}."
        )
    taken = own.keys() - set(fresh)
    with model.lock.taken():
        assign({name: own[name] for name in taken}, {name: given[name] for name in taken})
    return fresh


def _head(model, own):
    """The names of the arrays of the last layer that has parameters."""
    learned = {id(p.value) for p in model.parameters()}
    last = [name for name in own if id(own[name]) in learned][-1].rpartition(".")[0]
    return {name for name in own if name.rpartition(".")[0] == last}


def _listed(names, own, given):
    words = (
        f"{n} {_shape(given[n])} for {_shape(own[n])}" if n in own and n in given else n
        for n in sorted(names)
    )
    return listed(words, SHOWN)


def _shape(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape))
