"""Files of weights, as a run writes them and as PyTorch does."""

import functools

import numpy as np

from minicnn import Sequential
from minicnn.errors import MinicnnError
from minicnn.layers import BatchNorm, Conv2d, Dense, Flatten
from minicnn.models import Residual
from minicnn.training.runs import tensors
from minicnn.training.runs.weights import load_weights, named_arrays
from tests.long.corpus import accidents, tensor_files

SHARE = 4
TARGETS = ("model.safetensors", "torch.safetensors")

mutated, held = tensor_files.mutated, tensor_files.held


@functools.cache
def _model():
    model = Sequential(
        Conv2d(3, 3), BatchNorm(), Residual(Sequential(Conv2d(3, 1))), Flatten(), Dense(4)
    )
    model.initialize((1, 5, 4), seed=0)
    return model


def _arrays():
    return {name: array.copy() for name, array in named_arrays(_model()).items()}


@functools.cache
def _good():
    arrays = _arrays()
    return {
        TARGETS[0]: tensors.encode(arrays, {"version": "1", "settings": {"seed": 0}, "step": 3}),
        TARGETS[1]: tensor_files.encoded(arrays, {}),
    }


def prepare(folder):
    """Both files."""
    for name, content in _good().items():
        (folder / name).write_bytes(content)


def read(folder):
    """Load both into a model; one that is refused changes nothing."""
    for name in TARGETS:
        before = _arrays()
        try:
            load_weights(_model(), folder / name)
        except MinicnnError:
            for path, array in named_arrays(_model()).items():
                np.testing.assert_array_equal(array, before[path], err_msg=path)
            raise


def check(folder, found):
    """The last file's numbers are in the model."""
    given, _ = tensors.read(folder / TARGETS[-1])
    for name, array in named_arrays(_model()).items():
        np.testing.assert_array_equal(array, given[name].astype(array.dtype), err_msg=name)


def handmade(target, content):
    """Headers that lie, digests that are right over what is wrong, and what is no file."""
    return {**accidents.NO_FILES, **accidents.ANY_CONTENT, **tensor_files.handmade(content)}
