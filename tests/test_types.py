"""Every public function says what it takes and returns, so that a type checker knows it."""

import ast
from pathlib import Path

import pytest

import minicnn

PACKAGE = Path(minicnn.__file__).parent
#: Numba gives kernels their types, for each call anew.
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "kernels" not in path.parts)


def without_types(tree, inside=""):
    """Names of public functions of which a parameter or the result has no type."""
    for node in ast.iter_child_nodes(tree):
        name = getattr(node, "name", "_")
        special = name.startswith("__") and name.endswith("__")
        if name.startswith("_") and not (special and inside):
            continue
        if isinstance(node, ast.ClassDef):
            yield from without_types(node, f"{inside}{name}.")
        elif isinstance(node, ast.FunctionDef):
            given = node.args
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            named += [some for some in (given.vararg, given.kwarg) if some]
            static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
            typed = all(a.annotation for a in named[1 if inside and not static else 0 :])
            if not typed or (node.returns is None and name != "__init__"):
                yield f"{inside}{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_have_types(path):
    assert list(without_types(ast.parse(path.read_text("utf-8")))) == []


def test_a_missing_type_is_seen():
    source = "def a(x): ...\ndef b(x: int) -> int: ...\nclass C:\n    def __call__(self) : ...\n"
    assert list(without_types(ast.parse(source))) == ["a", "C.__call__"]
    assert len(FILES) > 100


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / "py.typed").is_file()
