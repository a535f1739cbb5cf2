"""What is installed: the package with its types, and nothing that belongs to the repository."""

import configparser
import sysconfig
from pathlib import Path

import pytest

import minicnn
from minicnn.data import load_mnist

ROOT = Path(__file__).parents[1]
setuptools = pytest.importorskip("setuptools")


def test_the_wheel_holds_the_package_alone():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    include = config["options.packages.find"]["include"].split()
    found = setuptools.find_packages(str(ROOT), include=include)
    on_disk = {p.parent.relative_to(ROOT) for p in (ROOT / "minicnn").rglob("__init__.py")}
    assert {Path(*name.split(".")) for name in found} == on_disk
    assert "py.typed" in config["options.package_data"]["minicnn"].split()


def test_numba_has_an_upper_bound_as_its_private_parts_are_used():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    (numba,) = [w for w in config["options"]["install_requires"].split() if w.startswith("numba")]
    assert "<" in numba


def test_the_wheel_carries_mnist_where_it_is_looked_for(monkeypatch, tmp_path):
    """Installed, and with no clone beside it."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = config["options.data_files"]["share/minicnn/mnist"].split()
    carried = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert carried == set((ROOT / "datasets" / "mnist").iterdir())
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(minicnn, "__file__", str(tmp_path / "site-packages" / "minicnn" / "x.py"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(tmp_path / "environment"))
    installed = tmp_path / "environment" / "share" / "minicnn" / "mnist"
    installed.mkdir(parents=True)
    for path in carried:
        (installed / path.name).symlink_to(path)
    assert len(load_mnist()[0]) == 60_000
