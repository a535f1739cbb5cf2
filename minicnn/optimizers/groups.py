"""Parameter groups: other settings, or none, for the parameters whose names match a pattern."""

import fnmatch
import math
from collections.abc import Iterable
from dataclasses import dataclass

from minicnn.checks import check_flag, check_number, check_text, list_of, listed, takes
from minicnn.errors import ArgumentError
from minicnn.parameter import Parameter

SHOWN = 8  # names in an error


@dataclass(frozen=True)
class Group:
    """What differs for the parameters that match.

    PyTorch gives each group a learning rate of its own. Here it is a factor of the optimizer's, so
    that a schedule moves all groups together.

    Parameters
    ----------
    pattern : str
        Of names such as ``0.conv2d.weight``, with ``*``, ``?`` and ``[]`` as in a shell, see
        :mod:`fnmatch`: ``*.bias`` are all biases, ``0.*`` is all of the first layer.
    lr_factor : float
        Times the optimizer's learning rate; above 0.
    weight_decay : float, optional
        In the place of the optimizer's; at least 0. Parameters that never decay, such as biases,
        still do not.
    frozen : bool
        Whether the parameters stay as they are.

    Raises
    ------
    ArgumentError
        For a setting out of range.
    """

    pattern: str
    lr_factor: float = 1.0
    weight_decay: float | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        if not check_text(self.pattern, "Group: pattern"):
            raise ArgumentError("Group: pattern must not be empty; * matches all names.")
        factor = check_number(self.lr_factor, "Group: lr_factor")
        if not (0 < factor < math.inf):
            raise ArgumentError(f"Group: lr_factor must be above 0 and finite, got {factor:g}.")
        if self.weight_decay is not None:
            decay = check_number(self.weight_decay, "Group: weight_decay")
            if not (0 <= decay < math.inf):
                raise ArgumentError(f"Group: weight_decay must be at least 0, got {decay:g}.")
        check_flag(self.frozen, "Group: frozen")
        if self.frozen and (factor != 1 or self.weight_decay is not None):
            raise ArgumentError(
                f"Group {self.pattern!r}: frozen parameters take neither lr_factor nor"
                " weight_decay."
            )

    def __str__(self) -> str:
        settings = [
            "frozen" if self.frozen else "",
            f"lr_factor={self.lr_factor!r}" if self.lr_factor != 1 else "",
            "" if self.weight_decay is None else f"weight_decay={self.weight_decay!r}",
        ]
        return f"{self.pattern}:{','.join(filter(None, settings)) or 'lr_factor=1'}"


@takes(text=(str, Group))
def from_string(text: str | Group) -> Group:
    """The group that a string such as ``"*.bias:lr_factor=2,weight_decay=0"`` names.

    Parameters
    ----------
    text : str or Group
        The pattern, a colon, then ``frozen`` or settings by name. A Group is returned as it is.

    Raises
    ------
    ArgumentError
        For settings that are not understood or out of range.
    """
    if isinstance(text, Group):
        return text
    pattern, colon, rest = text.rpartition(":")
    given: dict[str, float | bool] = {}
    for word in rest.split(",") if colon else ():
        name, equals, value = word.strip().partition("=")
        known = name == "frozen" if not equals else name in ("lr_factor", "weight_decay")
        if not known or name in given:
            given.clear()
            break
        given[name] = _number(text, value) if equals else True
    if not given:
        raise ArgumentError(
            f"group {text!r}: expected PATTERN:frozen, or PATTERN: and lr_factor=X, weight_decay=X"
            " or both with a comma between, as in '*.bias:lr_factor=2,weight_decay=0'."
        )
    return Group(pattern, **given)  # type: ignore[arg-type] # by name, each of its type


def _number(text, word):
    try:
        return float(word)
    except ValueError:
        raise ArgumentError(f"group {text!r}: {word!r} is not a number.") from None


def as_groups(given: Iterable[str | Group]) -> tuple[Group, ...]:
    """A tuple of groups from strings and groups; anything else is an ArgumentError."""
    if isinstance(given, (str, Group)):
        given = (given,)
    try:
        listed = list(given)
    except TypeError as error:
        raise ArgumentError(
            f"groups must be a list of Group, or of strings such as '0.*:frozen', got {given!r}."
        ) from error
    return tuple(map(from_string, listed))


@takes(parameters=list_of(Parameter), groups=list_of(Group))
def assign(parameters: list[Parameter], groups: tuple[Group, ...]) -> list[list[int]]:
    """The indices of the parameters of each group, and last of those that are in none.

    A parameter belongs to the first group that matches its name; a nameless one goes by its index.

    Raises
    ------
    ArgumentError
        If a group gets no parameter, or all parameters are frozen.
    """
    names = [p.name or str(i) for i, p in enumerate(parameters)]
    members: list[list[int]] = [[] for _ in range(len(groups) + 1)]
    for index, name in enumerate(names):
        matching = (n for n, g in enumerate(groups) if fnmatch.fnmatchcase(name, g.pattern))
        members[next(matching, len(groups))].append(index)
    for group, own in zip(groups, members):
        if not own:
            taken = any(fnmatch.fnmatchcase(name, group.pattern) for name in names)
            why = "only parameters of groups before it" if taken else "no parameter"
            raise ArgumentError(
                f"group {str(group)!r} matches {why}; there are {listed(names, SHOWN)}."
            )
    if all(group.frozen for group in groups) and groups and not members[-1]:
        raise ArgumentError(
            f"groups {', '.join(map(str, groups))} freeze all parameters, so that nothing would"
            " learn: leave some out."
        )
    return members
