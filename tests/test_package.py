"""What is installed: the package with its types, and nothing that belongs to the repository."""

import configparser
from pathlib import Path

import pytest

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
