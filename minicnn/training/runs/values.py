"""What the values of settings stand for: names of the same thing, and a user's files.

For the package itself: it checks nothing of what it is handed.
"""

import os
import platform
import re
from collections.abc import Collection
from typing import Any

import numba
import numpy as np

import minicnn
from minicnn import initializers, schedules
from minicnn.data import sources
from minicnn.layers import activations
from minicnn.models import zoo
from minicnn.plugins import lookup
from minicnn.training.runs.files import to_json

#: Settings that do not change the result, so that a resumed run may have others.
FREE = ("threads", "data")

#: Settings that may name something of the user's (:mod:`minicnn.plugins.lookup`), and what errors
#: call it.
OWN = {"init": "initializer", "model": "model", "activation": "activation", "data": "data"}


def describe_own(values: dict[str, Any]) -> dict[str, Any] | None:
    """What settings, as a dict, name of the user's, see `Settings.own`; None if nothing."""
    found = {
        name: lookup.parse(values[name], kind).describe()
        for name, kind in OWN.items()
        if is_own(name, values.get(name))
    }
    return found or None


def is_own(name: str, value: Any) -> bool:
    """Whether a setting's value names something of the user's."""
    return name in OWN and (sources.is_own if name == "data" else lookup.is_own)(value)


def absolute(name: str, value: Any) -> Any:
    """A setting's value that means the same in every working directory."""
    return str(lookup.parse(value, OWN[name])) if is_own(name, value) else value


def meaning(name: str, value: Any) -> Any:
    """What stands for a setting's value: equal for two that make the same training.

    Nothing of the user's is executed, and a value that cannot be stands for itself.
    """
    try:
        if name in MEANINGS and not is_own(name, value):
            return MEANINGS[name](value)
        return absolute(name, value)
    except (TypeError, ValueError):
        return value


def decisive(settings: Any, free: Collection[str] = FREE) -> str | None:
    """The settings that decide what is computed, as JSON has them; None for what is no dict.

    Of a user's file it is the digest, not where it stands.
    """
    if not isinstance(settings, dict):
        return None
    kept = {name: value for name, value in settings.items() if name not in free}
    files = kept.pop("own", None)
    for name, entry in files.items() if isinstance(files, dict) else ():
        if name in kept:
            digest = entry.get("sha256") if isinstance(entry, dict) else entry
            kept[name] = [lookup.short(kept[name]), digest]
    return to_json(kept)


def file_word(text: Any) -> Any:
    """A setting's value as a word in the name of a file: of a user's thing without its place."""
    if not lookup.is_own(text):
        return text
    return re.sub(r"[^A-Za-z0-9.-]+", "_", lookup.short(text)).strip("_")


def _data(name):
    return name if name in sources.names() else os.path.realpath(os.path.expanduser(name))


def _activation(text):
    layer = activations.from_string(text)
    names = ("alpha", "slope", "per_channel", "approximate")
    settings = (getattr(layer, name, None) for name in names)
    return ":".join(map(str, (type(layer).__name__, *settings)))


def _model(text):
    recipe, sizes = zoo.parse(text)
    return ":".join(map(str, (recipe.__name__, *sizes)))


MEANINGS = {
    "init": lambda text: str(initializers.from_string(text)),
    "model": _model,
    "activation": _activation,
    "schedule": lambda text: str(schedules.from_string(text)),
    "data": _data,
}


def versions() -> dict[str, str]:
    """The versions that decide a run's bits, by name, as a dict of str."""
    return {
        "minicnn": minicnn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }
