"""What nobody should hand over: a valid argument made wrong."""

import ctypes
import mmap
import sys
import types

import numpy as np

from minicnn import optimizers
from minicnn.data import Dataset
from minicnn.errors import MinicnnError
from minicnn.layers import Conv2d, Dense, Flatten, Layer
from minicnn.models import Sequential
from minicnn.optimizers import Optimizer
from minicnn.parameter import Parameter
from minicnn.training.trainer import Trainer
from tests.long.calls.world import CLASSES, SHAPE, Own

DTYPES = (
    np.int8, np.int32, np.int64, np.uint8, np.uint64, np.float16, np.float32, np.float64,
    np.longdouble, np.complex128, object, bool, "U3", ">f4", ">i8", "datetime64[s]",
)  # fmt: skip
LONG = "x" * 5000
IMPOSSIBLE = IndexError, TypeError, ValueError  # there is no such mutation of this value


def scalars():
    """Values of other kinds, made anew."""
    return [
        None, "", [], {}, (), set(), b"", "nonsense", "relu", "\0", LONG, "é\ud800", "a:b", ":",
        0, 1, -1, 2, 3, 17, 10**9, 10**18, 2**64, -(2**70), 0.0, -0.5, 0.5, 1e-320, 1e308, np.nan,
        np.inf, -np.inf, True, False, 1j, np.float32(0.5), np.int64(3), np.uint8(200),
        np.float16(1), np.array(2), np.array(0.5), np.str_("x"), (0, 0), (3, -1), (2**40, 2**40),
        (1, 2, 3), [1, 2], ["a", "b"], {"a": 1}, range(5), slice(None), slice(2, 10**9),
        np.zeros((0, 3), np.float32), np.zeros(3), np.arange(4), np.array(["a"]),
        np.array([None]), np.ones((2, 3, 4), np.float32), np.ones((2, 4, 16), np.float32),
        np.float32, float, object, Dense, Dense(3), Exception("x"), Ellipsis, NotImplemented,
        types, sys, len, lambda *given, **named: None, (n for n in range(3)), iter([]),
        memoryview(b"abc"), np.random.default_rng(0), np.random.RandomState(0), object(),
        np.dtype([("a", "f4")]), np.finfo(np.float32), Own(np.ones((2, 2))), Own("abc"),
        Own(np.ones(3, np.complex128)), Own(None), Sequential(),
    ]  # fmt: skip


class Mutations:
    """Makes valid values wrong.

    Parameters
    ----------
    rng : numpy.random.Generator
    """

    def __init__(self, rng):
        self.rng = rng

    def choice(self, options):
        """One of them."""
        return options[int(self.rng.integers(len(options)))]

    def of(self, value):
        """Another value in the place of a valid one, most often of a similar kind."""
        try:
            return self._similar(value)
        except (*IMPOSSIBLE, MinicnnError, MemoryError):
            return self.choice(scalars())

    def _similar(self, value):
        alike = self.rng.random() < 0.7
        if alike and isinstance(value, np.ndarray) and value.size:
            return self._array(value)
        if alike and isinstance(value, (Layer, Parameter, Dataset, Optimizer, Trainer)):
            return self._state(value)
        if alike and isinstance(value, (list, tuple)) and value:
            return self._sequence(value)
        if alike and isinstance(value, dict) and value:
            return self._mapping(value)
        if alike and isinstance(value, (int, float)) and not isinstance(value, bool):
            return self.choice(
                [-value, value * 10**9, 0, value + 0.5, str(value), np.array(value), [value],
                 np.nan, 2**64, -1, 10**18, complex(value), value - 1, value + 1, None]
            )  # fmt: skip
        if alike and isinstance(value, str) and value:
            return self.choice(
                [value + "\0", value[:-1], value.upper(), value + ":", value + ":nan",
                 value * 999,
                 value + ":1,2,3", value.encode(), [value], f" {value}", value + ":-1"]
            )  # fmt: skip
        return self.choice(scalars())

    def _array(self, array):
        way = self.choice([_other_shape, _other_dtype, _other_order, _other_content, _other_size])
        try:
            return guarded(way(array, self.choice))
        except IMPOSSIBLE:
            return self.choice(scalars())

    def _sequence(self, values):
        index = int(self.rng.integers(len(values)))
        changed = list(values)
        changed[index] = self.of(changed[index])
        return self.choice(
            [type(values)(changed) if type(values) in (list, tuple) else changed, changed,
             list(values) * 2, list(values)[:-1], (value for value in values), np.array(changed,
             object), values[0], list(values)[::-1], set(map(str, values))]
        )  # fmt: skip

    def _mapping(self, values):
        key = self.choice(sorted(values, key=str))
        changed = {**values, key: self.of(values[key])}
        less = {k: v for k, v in values.items() if k != key}
        return self.choice([changed, changed, less, {**values, "more": 1}, {**values, 3: None},
                            list(values.items()), values.values(), {}])  # fmt: skip

    def _state(self, thing):
        """An object of the right class that is not as it should be."""
        if isinstance(thing, Sequential):
            return self._model(thing)
        if isinstance(thing, Layer):
            return self.choice([Conv2d(3, 3), Dense(2), Flatten(), _built((3,)), _built((1, 1, 1))])
        if isinstance(thing, Parameter):
            return Parameter(self.of(np.array(thing.value)))
        if isinstance(thing, Dataset):
            return self._dataset(thing)
        if isinstance(thing, Optimizer):
            other = _model()
            return self.choice(
                [optimizers.Adam(other.parameters(), 0.1),
                 optimizers.SGD([Parameter(np.ones(3))], 0.1)]
            )  # fmt: skip
        return self.choice([None, object()])

    def _model(self, model):
        number = int(self.rng.integers(8))
        if number == 0:
            return Sequential(Dense(3))  # not initialized
        if number == 1:
            return Sequential()
        if number == 2:
            _model(*model.layers)  # the layers are another model's
            return model
        if number == 3:
            return _model(dtype=np.float64)
        if number == 4:
            model.forward(np.zeros((3, *model.input_shape, 16), model.dtype), True)
            return model
        if number == 5:
            return _model(Conv2d(3, 3))  # gives no scores
        if number == 6:
            return _model(shape=(1, 9, 9))
        return Dense(3)

    def _dataset(self, dataset):
        images, labels = dataset.images, dataset.labels
        return self.choice([
            Dataset(images[:1], labels[:1]), Dataset(images[:, :, 1:], labels),
            Dataset(images.astype(np.float64), labels), Dataset(images, labels + 50),
            (images, labels),
        ])  # fmt: skip


def guarded(array):
    """The same array, right before memory that may not be read: who reads on dies."""
    plain = type(array) is np.ndarray and array.flags.c_contiguous and not array.dtype.hasobject
    if not plain or not array.nbytes or not array.flags.writeable:
        return array
    page = mmap.PAGESIZE
    room = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, room + page)
    start = _address(memory)
    if _mprotect(start + room, page, 0):
        return array
    made = np.frombuffer(memory, array.dtype, array.size, room - array.nbytes)
    made = made.reshape(array.shape)
    made[...] = array
    return made


def _address(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _mprotect(address, length, protection):
    function = ctypes.CDLL(None, use_errno=True).mprotect
    return function(ctypes.c_void_p(address), ctypes.c_size_t(length), ctypes.c_int(protection))


def _other_shape(array, choice):
    axis = choice(range(max(1, array.ndim)))
    return np.ascontiguousarray(
        choice([
            lambda: array.T, lambda: array[None], lambda: array[..., None], lambda: array[0],
            lambda: array.reshape(-1), lambda: array.reshape(1, -1), lambda: array.swapaxes(0, -1),
            lambda: np.take(array, [0], axis), lambda: np.take(array, [], axis),
            lambda: np.delete(array, 0, axis), lambda: np.concatenate([array, array], axis),
            lambda: np.take(array, [*range(array.shape[axis]), 0], axis), lambda: array[:0],
        ])()
    )  # fmt: skip


def _other_dtype(array, choice):
    with np.errstate(all="ignore"):
        return array.astype(choice(DTYPES))


def _other_order(array, choice):
    twice = np.concatenate([array, array], -1)
    fixed = array.copy()
    fixed.flags.writeable = False
    odd = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    return choice([
        np.asfortranarray(array), array[::-1], array[..., ::-1], twice[..., ::2], fixed, odd,
        np.broadcast_to(array[:1], array.shape), array.byteswap().view(array.dtype.newbyteorder()),
        np.ma.masked_array(array), array.view(np.matrix) if array.ndim == 2 else array.tolist(),
        np.broadcast_to(array.dtype.type(1), array.shape), array.tolist(),
    ])  # fmt: skip


def _other_content(array, choice):
    changed = array.copy()
    changed.flat[choice(range(array.size))] = choice(
        [np.nan, np.inf, -1, 255, 1e30, 2**31, -(2**62)]
    )
    return changed


def _other_size(array, choice):
    return choice([
        np.zeros((0,) * array.ndim, array.dtype), np.zeros((1,) * array.ndim, array.dtype),
        np.broadcast_to(array.reshape(-1)[0], (2**24,)), np.zeros((2, 2), array.dtype),
        np.broadcast_to(array[:1], (20_000, *array.shape[1:])), np.array(array.reshape(-1)[0]),
    ])  # fmt: skip


def _model(*layers, shape=SHAPE, dtype=np.float32):
    model = Sequential(*(layers or (Flatten(), Dense(CLASSES))))
    model.initialize(shape, dtype=dtype)
    return model


def _built(shape):
    layer = Dense(3) if len(shape) == 1 else Conv2d(3, 1)
    layer.build(shape, np.random.default_rng(0))
    return layer
