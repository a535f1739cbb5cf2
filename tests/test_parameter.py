"""A parameter's arrays: what is assigned is checked, for the kernels take it as it is."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import Sequential, lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.layers import Dense
from minicnn.parameter import Parameter

START = np.arange(6, dtype=np.float32).reshape(2, 3)


def read_only(array):
    array.flags.writeable = False
    return array


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return room.view(array.dtype).reshape(array.shape)


WRONG = {
    "another shape": np.ones((2, 2), np.float32),
    "transposed": np.ones((3, 2), np.float32),
    "one number": np.float32(1),
    "flat": np.ones(6, np.float32),
    "another dtype": np.ones((2, 3)),
    "big-endian": np.ones((2, 3), ">f4"),
    "integers": np.ones((2, 3), np.int32),
    "Fortran's order": np.ones((2, 3), np.float32, order="F"),
    "every second": np.ones((2, 6), np.float32)[:, ::2],
    "broadcast": np.broadcast_to(np.float32(1), (2, 3)),
    "read-only": read_only(np.ones((2, 3), np.float32)),
    "unaligned": unaligned(START),
    "a matrix": np.asmatrix(START),
    "masked": np.ma.masked_array(START),
    "a list": START.tolist(),
    "None": None,
}


@pytest.mark.parametrize("which", ["value", "grad"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_kernels_could_not_take_is_refused_when_it_is_assigned(which, wrong):
    parameter = Parameter(START.copy())
    parameter.name = "0.weight"
    before = getattr(parameter, which)
    with pytest.raises(ArgumentError, match=f"{which} of parameter '0.weight' must be .* got"):
        setattr(parameter, which, WRONG[wrong])
    assert getattr(parameter, which) is before


def test_an_array_of_the_same_kind_is_taken_as_it_is():
    parameter, other = Parameter(START.copy()), START + 1
    parameter.value = parameter.grad = other
    assert parameter.value is other and parameter.grad is other
    parameter.grad *= 2  # Python assigns the result
    np.testing.assert_array_equal(parameter.value, 2 * (START + 1))


@pytest.mark.parametrize("value", [np.arange(3), "abc", None, np.ones(2, complex), np.float16(1)])
def test_only_float32_and_float64_are_trained(value):
    with pytest.raises(ArgumentError, match="an array of float32 or float64, got"):
        Parameter(value)


@pytest.mark.parametrize("given", ["every second", "read-only", "unaligned", "a matrix"])
def test_a_parameter_is_made_of_a_copy_where_kernels_need_one(given):
    parameter = Parameter(WRONG[given])
    np.testing.assert_array_equal(parameter.value, np.asarray(WRONG[given]))
    parameter.value = parameter.value + 1


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_has_arrays_that_are_its_own(twin):
    parameter = Parameter(START.copy(), decay=False)
    other = twin(parameter)
    other.value += 1
    np.testing.assert_array_equal(parameter.value, START)
    with pytest.raises(ArgumentError, match="grad of parameter"):
        other.grad = None


def test_a_model_computes_with_what_was_assigned():
    model = Sequential(Dense(3, bias=False), Dense(2))
    model.initialize((4,))
    weight, x = model.parameters()[0], np.ones((5, 4), np.float32)
    weight.value = np.zeros_like(weight.value)
    np.testing.assert_array_equal(model.predict(x), 0)
    weight.grad = grad = np.zeros_like(weight.grad)
    model.backward(model.forward(lanes.pack(x), True, 5) + 1)
    assert weight.grad is grad and grad.any()
    optimizers.SGD(model.parameters(), lr=1.0).step()
    np.testing.assert_array_equal(weight.value, -grad)
