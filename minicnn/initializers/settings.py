"""The settings of initializers: which there are, and what each takes.

For the initializers themselves: this checks nothing of what it is handed.
"""

from dataclasses import Field, fields, is_dataclass
from typing import Any

from minicnn.checks import is_finite
from minicnn.initializers.gains import GAINS, SLOPES

#: Modes of variance scaling: which number of a layer's fans stands for the fan.
MODES = {
    "fan_in": lambda fans: fans.fan_in,
    "fan_out": lambda fans: fans.fan_out,
    "fan_avg": lambda fans: (fans.fan_in + fans.fan_out) / 2,
    "exact": lambda fans: fans.fan_in if fans.taps is None else fans.taps,
    "effective_fan_out": lambda fans: (
        fans.fan_out if fans.effective_fan_out is None else fans.effective_fan_out
    ),
}

WORDS = {  # the settings that take words
    "mode": tuple(MODES),
    "distribution": ("normal", "uniform", "truncated-normal"),
    "gain": (*GAINS, *SLOPES),
}
SIGNED = ("value", "mean", "low", "high", "slope")  # the numbers that may be below 0


def settings_of(initializer: Any) -> dict[str, Field[Any]]:
    """The settings by their key in strings, without the underscore that avoids a method."""
    found = fields(initializer) if is_dataclass(initializer) else ()
    return {field.name.rstrip("_"): field for field in found if field.init}


def takes(key: str, field: Field[Any], value: Any) -> bool:
    """Whether a setting takes that value."""
    if isinstance(value, str):
        return value in WORDS.get(key, ())
    return isinstance(field.default, float) and is_finite(value) and (key in SIGNED or value >= 0)


def expected(key: str, field: Field[Any]) -> str:
    """What a setting takes, in words."""
    if not isinstance(field.default, float) and key not in WORDS:
        return (
            "a number whose default is a float: in the class, write it as in"
            f" {field.name}: float = 2.0 (words are for {', '.join(WORDS)} only)"
        )
    number = "a finite number" + ("" if key in SIGNED else " of at least 0")
    choices = [number] if isinstance(field.default, float) else []
    choices += [f"one of {', '.join(WORDS[key])}"] if key in WORDS else []
    return " or ".join(choices)
