"""A user's file of Python: found, hashed and executed, in this order.

A file is executed from the bytes that were hashed, once in a process, so that its digest says what
ran. What it imports itself is not part of the digest; modules beside it are found.

For the package itself: it checks nothing of what it is handed.
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import pkgutil
import re
import stat
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from minicnn.errors import ArgumentError

MOST_BYTES = 2**24

_LOADED: dict[tuple[str, str], ModuleType] = {}  # modules by path and digest
_LOCK = threading.RLock()  # a file that is executed may name another


def find_module(name: str) -> Path:
    """The file of a module such as ``"package.module"``, installed or in the working directory.

    Neither the module nor its package is executed. There being no such module, or no file of it, is
    an ArgumentError.
    """
    _let_find(os.getcwd())
    importlib.invalidate_caches()
    parts = name.split(".")
    finders: list[Any] = sys.meta_path
    spec: Any = None
    for end in range(1, len(parts) + 1):
        found = (finder.find_spec(".".join(parts[:end]), None) for finder in finders)
        specs = [spec for spec in found if spec is not None]
        spec = next((spec for spec in specs if spec.loader is not None), None)
        packages = [spec] if spec else specs  # without a loader: parts of a namespace package
        folders = [f for package in packages for f in package.submodule_search_locations or ()]
        finders = list(filter(None, map(pkgutil.get_importer, folders)))
    if spec is None:
        raise ArgumentError(
            f"there is no module {name}, neither among the installed ones nor in the working"
            " directory."
        )
    if not spec.has_location:
        raise ArgumentError(f"the module {name} has no file: name one that has.")
    return Path(os.path.abspath(spec.origin))


def digest(file: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal, or an ArgumentError if it cannot be read."""
    return hashlib.sha256(_read(file)).hexdigest()


def load_file(file: Path) -> ModuleType:
    """The module that a file makes when it is executed; the same one until the file changes.

    The path is absolute. A file that cannot be read is an ArgumentError; whatever it raises itself
    is not caught.
    """
    data = _read(file)
    key = os.path.realpath(file), hashlib.sha256(data).hexdigest()
    with _LOCK:
        if key not in _LOADED:
            _let_find(str(file.parent))
            _LOADED[key] = _execute(_module_name(*key), file, data)
        return _LOADED[key]


def last_line(error: BaseException, file: str | os.PathLike[str]) -> str:
    """The last line of a traceback, with the line of the file that it goes through."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    where = f" ({file}, line {lines[-1]})" if lines else ""
    said = " ".join(str(error).split())
    return type(error).__name__ + (f": {said}" if said else "") + where


def _read(file):
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise ArgumentError(f"{file} is no file.")
        with open(file, "rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ArgumentError(f"cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:  # a null character
        raise ArgumentError(f"cannot read {str(file)!r}: {error}.") from error
    if len(data) > MOST_BYTES:
        raise ArgumentError(f"{file} is too large for a program: at most {MOST_BYTES:,} bytes.")
    return data


def _let_find(folder):
    """Let modules of a folder be found, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)


def _module_name(path, digest):
    """One for each path and digest; without a dot, which would make it part of a package."""
    stem = re.sub(r"\W", "_", Path(path).stem)
    return f"{stem}_{hashlib.sha256(os.fsencode(path + digest)).hexdigest()[:12]}"


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles bytes that were read before, never a file under ``__pycache__``."""

    def __init__(self, name, path, data):
        super().__init__(name, path)
        self._bytes = data

    def get_code(self, fullname):
        return self.source_to_code(self._bytes, self.path)


def _execute(name, file, data):
    """A new module; it stays among ``sys.modules``, as dataclasses and copies look it up there."""
    spec: Any = importlib.util.spec_from_loader(name, _Loader(name, str(file), data))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
