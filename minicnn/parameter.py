"""A learned array and its gradient: the only contract between layers and optimizers."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minicnn import checks, lanes
from minicnn.errors import ArgumentError

#: Numbers that an array side by side with others begins at a multiple of: a cache line.
ALIGNMENT = lanes.LANES
SHOWN = 6  # names in an error


class _Flag:
    """An attribute whose changes count; it is read from the parameter itself, without a call."""

    def __set_name__(self, owner, name):
        self.name = name

    def __set__(self, parameter, value):
        parameter.__dict__[self.name] = value
        Parameter.changes += 1


class _Array(_Flag):
    """One that is checked when it is set, for kernels take it as it is."""

    def __set__(self, parameter, array):
        value = parameter.__dict__["value"]
        if array is parameter.__dict__.get(self.name):  # as after ``parameter.grad *= 2``
            return
        what = f"{self.name} of parameter {parameter.name!r}"
        advice = f" To copy numbers into it, write parameter.{self.name}[...] = array."
        checks.check_array(array, value.shape, value.dtype, what, advice)
        if not array.flags.writeable:
            raise ArgumentError(f"{what} must be writeable, got a read-only array.{advice}")
        super().__set__(parameter, array)


class Parameter:
    """An array that training changes.

    Parameters
    ----------
    value : array_like of float32 or float64
        Copied if it is not C-contiguous, aligned and writeable. Optimizers change it in place.
    decay : bool
        Whether weight decay applies (weights: yes; biases, slopes and scales: no).

    Attributes
    ----------
    grad : ndarray
        d(loss)/d(value), same shape; a layer's ``backward`` overwrites it.
    name : str
        Its name in the model, such as ``"0.weight"``; set by the model.
    frozen : bool
        Whether its gradient is left out of training; set by an optimizer's ``groups``. PyTorch has
        ``requires_grad=False`` for it.
    changes : int
        Of the class: how often any parameter was given another array or flag. Who has looked at
        all of some parameters need not do so again as long as it stays.

    Raises
    ------
    ArgumentError
        If `value` is no array of float32 or float64, or when `value` or `grad` is set to
        anything but a C-contiguous array of the same shape and dtype.
    """

    if TYPE_CHECKING:
        value: np.ndarray
        grad: np.ndarray
        decay: bool
        frozen: bool
    else:
        value, grad, decay, frozen = _Array(), _Array(), _Flag(), _Flag()
    changes = 0

    def __init__(self, value: npt.ArrayLike, decay: bool = True):
        own = np.require(np.ascontiguousarray(value), requirements=["C", "A", "W", "E"])
        if own.dtype not in (np.float32, np.float64):
            raise ArgumentError(
                f"a parameter must be an array of float32 or float64, got {checks.described(own)}."
            )
        self.__dict__["value"] = own
        self.name = ""
        self.grad = np.zeros_like(own)
        self.decay = checks.check_flag(decay, "Parameter: decay")
        self.frozen = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})"


def as_parameters(given: Iterable[Parameter], who: str) -> list[Parameter]:
    """A list of parameters from any iterable, which may be a generator and is read once.

    Anything else, no parameter, or one that is there twice is an ArgumentError that says `who`
    needs them.
    """
    try:
        parameters = list(given)
    except TypeError as error:
        raise ArgumentError(
            f"{who} needs a list of parameters, as model.parameters() gives it, got {given!r}."
        ) from error
    if not parameters:
        raise ArgumentError(
            f"{who} needs parameters, got none: build the model first, by model.initialize(shape),"
            " and make a generator anew, as it gives them once only."
        )
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise ArgumentError(
                f"{who} needs parameters, as model.parameters() gives them, got {parameter!r}."
            )
    if len({id(p) for p in parameters}) < len(parameters):
        raise ArgumentError(f"{who} got a parameter twice: it would be changed twice.")
    return parameters


@checks.takes(
    parameters=checks.list_of(Parameter), value=checks.check_number,
    what=checks.check_text, whose=checks.check_text,
)  # fmt: skip
def check_normal(
    parameters: Iterable[Parameter], value: float, what: str, whose: str = "parameters'"
) -> None:
    """Raise an ArgumentError unless each dtype of the parameters holds `value` in full.

    That is as 0 or a normal number: kernels round it to that dtype.
    """
    for dtype in {parameter.value.dtype for parameter in parameters}:
        least = float(np.finfo(dtype).tiny)
        if 0 < value < least:
            raise ArgumentError(
                f"{what} must be at least {least:.3g}, the smallest normal number of the {whose}"
                f" {dtype}, got {value!r}."
            )


@checks.takes(arrays=checks.list_of(np.ndarray))
def zeros_side_by_side(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Zeros of the shapes of some arrays of one dtype, one after the other in memory.

    Each begins at a multiple of 16 numbers; those between are zeros, too.
    """
    sizes = [-(-array.size // ALIGNMENT) * ALIGNMENT for array in arrays]
    if len({array.dtype for array in arrays}) != 1:
        return [np.zeros_like(array) for array in arrays]
    room, made = lanes.zeros((sum(sizes),), arrays[0].dtype), []
    for array, size in zip(arrays, sizes):
        made.append(room[: array.size].reshape(array.shape))
        room = room[size:]
    return made


@checks.takes(parameters=checks.list_of(Parameter))
def lay_side_by_side(parameters: Iterable[Parameter]) -> None:
    """Move the arrays of some parameters together in memory, those that decay first."""
    ordered = sorted(parameters, key=lambda parameter: not parameter.decay)
    if not ordered:
        return
    values = zeros_side_by_side([parameter.value for parameter in ordered])
    grads = zeros_side_by_side([parameter.value for parameter in ordered])
    for parameter, value, grad in zip(ordered, values, grads):
        value[...], grad[...] = parameter.value, parameter.grad
        parameter.value, parameter.grad = value, grad


@checks.takes(own=checks.check_dict)
def assign(
    own: dict[str, np.ndarray],
    arrays: Mapping[str, Any] | Iterable[tuple[str, Any]],
    advice: str = "",
) -> None:
    """Take the values of `arrays` for those of the same names in `own`, all or none.

    An ArgumentError if a name is missing or unknown, which ends with `advice`, a shape differs, or
    something is no array of numbers; nothing is changed then.
    """
    try:
        arrays = dict(arrays)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"a state is a dict of arrays by name, as state_dict() gives it, got {arrays!r}."
        ) from error
    missing, unknown = own.keys() - arrays.keys(), arrays.keys() - own.keys()
    if missing or unknown:
        sides = (f"Missing in the state: {_listed(missing)}.", f"Only there: {_listed(unknown)}.")
        which = " ".join(side for side, names in zip(sides, (missing, unknown)) if names)
        raise ArgumentError(
            f"some names are not in both the model and the state. {which} {advice}".rstrip()
        )
    for name, array in own.items():
        if not isinstance(array, np.ndarray) or not array.flags.writeable:
            got = checks.shown(array)
            raise ArgumentError(f"{name} must be an array that can be written, got {got}.")
        given = checks.as_array(arrays[name])
        if given.shape != array.shape or given.dtype.kind not in "fiu":
            raise ArgumentError(
                f"{name}: the model has numbers of shape {array.shape}, the state"
                f" {given.dtype} of shape {given.shape}."
                + (" Its transpose fits." if given.T.shape == array.shape else "")
            )
    for name, array in own.items():
        array[...] = arrays[name]


def _listed(names):
    return checks.listed(sorted(map(str, names)), SHOWN)
