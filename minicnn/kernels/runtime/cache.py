"""Compiled kernels on disk: found again by the next process, and never taken for others.

Numba's own files are not safe enough for that. It looks at the date of a kernel's own file
only, so an edit in a module that the kernel builds on goes unnoticed. It keeps an index apart
from the code: a process that is killed between writing the two, or two processes at once,
leave one kernel's code under another's name. And it ends the program where a file is damaged
or no folder can be written.

Here a file holds one kernel, is named by all that its code depends on, and is written whole
or not at all; it begins with a checksum, so that what is damaged is compiled anew. The files of
one state of the sources and of the libraries stand in a folder of their own, and of such
folders those used last are kept.
"""

import hashlib
import os
import pickle
import shutil
import sys
import time
import warnings
from pathlib import Path
from types import CodeType, FunctionType

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    NullCache,
    UserWideCacheLocator,
    ZipCacheLocator,
)
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

KEPT = 4  # folders
LEFT = 3600  # seconds after which nobody is still writing a file
PREFIX = "minicnn-"
DIGEST = hashlib.sha256().digest_size

#: Everything of this package that the code of a kernel depends on.
SOURCES = sorted(Path(__file__).parents[1].rglob("*.py"))

#: Settings of Numba that change what it compiles, and that its own keys leave out.
SETTINGS = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")


def _dates():
    """When each source was written last; an edit that was taken back shows in these."""
    return [source.stat().st_mtime_ns for source in SOURCES]


def _fingerprint():
    """A digest of the sources and of the versions of all that compiles them."""
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update(source.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    digest.update(repr((versions, sys.version, sys.implementation.cache_tag)).encode())
    return digest.hexdigest()[:16]


DATES = _dates()  # before the sources are read, and long before they are imported
FINGERPRINT = _fingerprint()

#: What the machine and the settings add.
HOST = repr(
    (
        llvm.get_host_cpu_name(),
        sorted(name for name, has in llvm.get_host_cpu_features().items() if has),
        [str(getattr(numba.config, name, None)) for name in SETTINGS],
    )
)

_told = False


def cache_of(compiled):
    """The cache of a kernel, to stand in the place of Numba's; an empty one where none can be."""
    try:
        return KernelCache(compiled)
    except RuntimeError as error:  # no folder, says Numba
        tried = f" NUMBA_CACHE_DIR is {numba.config.CACHE_DIR}." if numba.config.CACHE_DIR else ""
        _tell(f"{error}.{tried}")
        return NullCache()


def _tell(why):
    """Warn once that kernels cannot be kept; nothing else is wrong then."""
    global _told
    if not _told:
        _told = True
        warnings.warn(
            "compiled kernels cannot be kept on disk, so each process compiles them anew. Set"
            f" NUMBA_CACHE_DIR to a folder that can be written. ({why})",
            stacklevel=2,
        )


def _locators():
    """Numba's ways to a folder; those into the user's cache only if that has a full path.

    Without HOME and an entry in the password file it is ``~/.cache``, literally, which would be
    made in whatever folder the process is.
    """
    known = os.path.isabs(AppDirs("numba", False).user_cache_dir)
    by_user = (UserWideCacheLocator, ZipCacheLocator)
    return [way for way in CompileResultCacheImpl._locator_classes if known or way not in by_user]


class _Place(CompileResultCacheImpl):
    _locator_classes = _locators()

    def rebuild(self, target_context, payload):
        """A kernel from what was kept of it."""
        result = super().rebuild(target_context, payload)
        (_, kind, code), *_ = payload
        if kind == "object":
            _parse_when_linked(result.library, bitcode=code[1])
        return result


def _parse_when_linked(library, bitcode):
    """Keep what a kernel can be linked with as bytes, which are a tenth of the parsed LLVM module.

    Only a kernel that is compiled later in this process, and calls this one, needs it.
    """
    module_for_linking = library._get_module_for_linking

    def parsed():
        if library._shared_module is None:
            library._shared_module = llvm.parse_bitcode(bitcode)
        return module_for_linking()

    library._shared_module = library._compiled_object = None
    library._get_module_for_linking = parsed


class KernelCache(FunctionCache):
    """Numba's cache of a kernel, with files of our own.

    Numba says where the folder is (``NUMBA_CACHE_DIR``, else ``__pycache__`` beside the
    sources, else the user's cache folder) and what tells the kernel's types apart.
    """

    _impl_class = _Place

    def __init__(self, compiled):
        super().__init__(compiled.py_func)
        self._compiled = compiled
        # A date tells the sources of other packages; those of this one name the folder.
        date = None if _is_own(compiled.py_func) else self._impl.locator.get_source_stamp()
        self._cache_file = KernelFiles(
            Path(self._cache_path, PREFIX + FINGERPRINT), self._impl.filename_base, (date, HOST)
        )

    def _index_key(self, sig, codegen):
        """Numba's own differs from process to process for a kernel that was made with another."""
        return sig, codegen.magic_tuple(), _described(self._compiled)

    def load_overload(self, sig, target_context):
        """A kernel that was kept; None if there is none, or nobody can tell which it would be."""
        try:
            return super().load_overload(sig, target_context)
        except _Indescribable:
            return None

    def save_overload(self, sig, data):
        """Keep a compiled kernel if it can be written, and is of the sources that are there."""
        try:
            if _dates() == DATES:  # else nobody knows which of them this process has imported
                super().save_overload(sig, data)
        except _Indescribable:
            pass
        except OSError as error:
            _tell(str(error))


class _Indescribable(Exception):
    """Of something that differs from process to process."""


def _described(thing, known=()):
    """What tells a function from all others, or an object that it was made with, as a digest.

    Numba's own description is a pickle, which for a kernel differs from process to process.
    """
    function = getattr(thing, "py_func", thing)  # of a kernel
    function = getattr(function, "_defn", function)  # of an intrinsic
    if not isinstance(function, FunctionType):
        try:
            return hashlib.sha256(dumps(thing)).hexdigest()
        except Exception as error:
            raise _Indescribable(repr(thing)) from error
    if function in known:
        return f"function {known.index(function)}"
    known = (*known, function)
    settings = getattr(thing, "targetoptions", {})
    about = [
        function.__module__, function.__qualname__, _code(function.__code__),
        sorted((name, str(settings[name])) for name in settings if name != "fastmath"),
        sorted(settings.get("fastmath") or ()),
        _described((function.__defaults__, sorted((function.__kwdefaults__ or {}).items()))),
    ]  # fmt: skip
    about += [_described(cell.cell_contents, known) for cell in function.__closure__ or ()]
    if not _is_own(function):  # whose sources name the folder
        found = ((name, function.__globals__.get(name)) for name in function.__code__.co_names)
        about += [
            (name, _described(value, known)) for name, value in found
            if isinstance(getattr(value, "py_func", value), (FunctionType, int, float, str, tuple))
        ]  # fmt: skip
    return hashlib.sha256(repr(about).encode()).hexdigest()


def _is_own(function):
    return str(function.__module__).partition(".")[0] == "minicnn"


def _code(code):
    """What a function does, without where it stands in memory."""
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_firstlineno


class KernelFiles:
    """The files of one kernel, one for each key, in a folder that is made when first written to.

    A stamp is told apart, as the key is, by its `repr`.
    """

    def __init__(self, folder, name, stamp):
        self.folder, self.name, self.stamp = folder, name, stamp

    def path(self, key):
        """Where the kernel of a key stands."""
        digest = hashlib.sha256(repr((key, self.stamp)).encode()).hexdigest()
        return self.folder / f"{self.name}-{digest[:16]}.kernel"

    def load(self, key):
        """What was saved under a key; None if nothing was, or the file is damaged."""
        try:
            content = self.path(key).read_bytes()
            os.utime(self.folder)  # it is in use
        except OSError:
            return None
        if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
            return None
        stamp, kept, data = pickle.loads(content[DIGEST:])
        return data if (stamp, kept) == (self.stamp, key) else None

    def save(self, key, data):
        """Save under a key; an OSError if it cannot be written."""
        content, path = dumps((self.stamp, key, data)), self.path(key)
        _make(self.folder)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for left in self.folder.glob("*.tmp"):  # by processes that were killed
            if time.time() - _last_use(left) > LEFT:
                left.unlink(missing_ok=True)

    def flush(self):
        """Forget all."""
        for path in self.folder.glob(f"{self.name}-*.kernel"):
            path.unlink(missing_ok=True)


def _make(folder):
    """Make a folder of kernels, and remove those not used for longest."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    others = [other for other in folder.parent.glob(PREFIX + "*") if other != folder]
    others.sort(key=_last_use, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def _last_use(path):
    try:
        return path.stat().st_mtime
    except OSError:  # another process has removed it
        return 0.0
