"""Files of compiled kernels: named by all that the code depends on, checked, and bounded."""

import ast
import os
import warnings
from pathlib import Path

import numba
import pytest

import minicnn
from minicnn.kernels.runtime import cache, jit
from minicnn.kernels.runtime.cache import KEPT, KernelFiles

PACKAGE = Path(minicnn.__file__).parent
KEY = ("float32", ("x86_64", "cpu", "+avx"), ("code", "closure"))


@pytest.fixture
def files(tmp_path):
    return KernelFiles(tmp_path / "minicnn-now", "add", ("stamp", "host"))


def test_what_was_saved_is_loaded_under_its_own_key_only(files):
    assert files.load(KEY) is None
    files.save(KEY, {"code": b"1"})
    assert files.load(KEY) == {"code": b"1"}
    for index in range(len(KEY)):
        other = (*KEY[:index], "other", *KEY[index + 1 :])
        assert files.load(other) is None
    for name, stamp in (("pad", files.stamp), ("add", ("stamp", "other processor"))):
        assert KernelFiles(files.folder, name, stamp).load(KEY) is None
    files.save(KEY, {"code": b"2"})
    assert files.load(KEY) == {"code": b"2"} and len(list(files.folder.iterdir())) == 1
    files.flush()
    assert files.load(KEY) is None


def test_a_file_under_another_key_s_name_is_not_taken(files):
    """Should two digests be equal, or a file be renamed."""
    files.save(KEY, "code")
    os.rename(files.path(KEY), files.path("another"))
    assert files.load("another") is None


def test_every_damage_is_noticed(files):
    files.save(KEY, "code")
    path = files.path(KEY)
    whole = path.read_bytes()
    for damaged in [whole[:n] for n in range(len(whole))] + [whole + b"\0"] + [
        whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in range(len(whole))
    ]:  # fmt: skip
        path.write_bytes(damaged)
        assert files.load(KEY) is None
    path.write_bytes(whole)
    assert files.load(KEY) == "code"


def test_a_file_that_cannot_be_written_leaves_nothing_behind(files, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    files.save(KEY, "code")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        files.save("another", "code")
    assert [path.name for path in files.folder.iterdir()] == [files.path(KEY).name]


def test_only_the_folders_used_last_are_kept(tmp_path):
    def folder(number):
        return KernelFiles(tmp_path / f"minicnn-{number}", "add", "stamp")

    (tmp_path / "other").mkdir()
    for number in range(KEPT + 3):
        folder(number).save(KEY, number)
        os.utime(tmp_path / f"minicnn-{number}", (number, number))
        assert folder(0).load(KEY) == 0  # which marks it as used now
    kept = sorted(path.name for path in tmp_path.iterdir())
    last = [f"minicnn-{number}" for number in range(4, KEPT + 3)]
    assert kept == ["minicnn-0", *last, "other"] and len(kept) == KEPT + 1


def imports(path):
    """The files of this package that a module imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "minicnn":
                yield _file(parts)


def _file(parts):
    """Of a module, or of the module that a name stands in."""
    for stop in (len(parts), len(parts) - 1):
        path = PACKAGE.joinpath(*parts[1:stop])
        for found in (path.with_suffix(".py"), path / "__init__.py"):
            if found.is_file():
                return found
    raise AssertionError(f"{'.'.join(parts)} is not found")


def reached(start):
    """All that is imported from `start` on, itself included."""
    found, left = set(), list(start)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += imports(path)
    return found


def test_all_that_kernels_import_is_in_the_fingerprint():
    found = reached((PACKAGE / "kernels").rglob("*.py"))
    # No kernel holds a sentence, or how many processors there are.
    apart = {PACKAGE / "errors.py", PACKAGE / "processors.py"}
    assert apart < found and found - {*apart, PACKAGE / "__init__.py"} == set(cache.SOURCES)
    assert PACKAGE / "kernels" / "simd" / "vector.py" in found
    models = PACKAGE / "models"
    assert models / "sequential.py" in reached([models / "zoo.py"])  # the walk does walk


@pytest.mark.parametrize("module", ["numba", "llvmlite", "np"])
def test_another_version_is_another_fingerprint(module, monkeypatch):
    assert cache._fingerprint() == cache.FINGERPRINT
    monkeypatch.setattr(getattr(cache, module), "__version__", "0.0")
    assert cache._fingerprint() != cache.FINGERPRINT


def test_numba_has_the_settings_that_are_looked_at():
    assert all(hasattr(numba.config, name) for name in cache.SETTINGS)


def test_a_kernel_of_another_package_goes_by_its_own_source_too(tmp_path, monkeypatch):
    """Its file is in no fingerprint."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    paths = set()
    for number in (1, 2):
        source = tmp_path / "users.py"
        source.write_text(f"def own(x):\n    return x + {number}\n")
        os.utime(source, (number, number))
        space = {}
        exec(compile(source.read_text(), str(source), "exec"), space)
        own = jit.kernel(space["own"])
        assert own(1) == 1 + number
        paths |= set((tmp_path / "cache").rglob("*.kernel"))
    assert len(paths) == 2


def test_without_a_folder_there_is_one_warning(monkeypatch):
    def none(*_):
        raise RuntimeError("no locator available")

    monkeypatch.setattr(cache.KernelCache, "__init__", none)
    monkeypatch.setattr(cache, "_told", False)
    with pytest.warns(UserWarning, match="each process compiles them anew.*no locator"):
        cache.cache_of(none)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.cache_of(none)


def test_what_a_killed_process_left_is_removed_by_and_by(files):
    files.save(KEY, "code")
    old, young = (files.folder / f"add-0.{n}.tmp" for n in (1, 2))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    files.save("another", "code")
    assert not old.exists() and young.exists()


def test_an_interruption_leaves_nothing_half_written(files, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.save(KEY, "code")
    assert not list(files.folder.iterdir())


def test_kernels_of_sources_that_were_edited_meanwhile_are_not_kept(tmp_path, monkeypatch):
    """Even if the edit was taken back, the process may have imported it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def fresh():
        @jit.kernel
        def double(x):
            return 2 * x

        return double

    monkeypatch.setattr(cache, "DATES", [date - 1 for date in cache.DATES])
    assert fresh()(3) == 6 and not list(tmp_path.rglob("*.kernel"))
    monkeypatch.undo()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert fresh()(3) == 6 and list(tmp_path.rglob("*.kernel"))
