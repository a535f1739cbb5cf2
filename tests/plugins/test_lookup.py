"""A user's own things by file or module: found, read by their digest, called, or refused."""

import copy
import dataclasses
import pickle
import sys

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.data import load
from minicnn.errors import ArgumentError, DataError
from minicnn.initializers import Fans, Initializer, from_string
from minicnn.layers import Conv2d, Dense, activations
from minicnn.models import zoo
from minicnn.plugins import lookup
from tests.data.idx_files import write_folder

FANS = Fans(300, 100)

THINGS = '''
from dataclasses import dataclass

import numpy as np

from minicnn import Sequential, lanes
from minicnn.data import Dataset
from minicnn.initializers import Initializer, Xavier
from minicnn.layers import Conv2d, Dense, Flatten, NumpyLayer, ReLU


@dataclass(frozen=True)
class HalfXavier(Initializer):
    """Var w = 2 scale / (fan_in + fan_out)."""

    scale: float = 0.5
    name, distribution = "half-xavier", "normal"

    def moments(self, fans, shape):
        return 0.0, 2 * self.scale / (fans.fan_in + fans.fan_out)


half = HalfXavier()


def draw(shape, fans, rng, factor=1.0):
    return factor * rng.standard_normal(shape) / fans.fan_in**0.5


def flat(shape, fans, rng):
    return rng.standard_normal(3)


class Square(NumpyLayer):
    def forward(self, x):
        self._x = x
        return x * x

    def backward(self, dy):
        return 2 * self._x * dy


class Power(Square):
    def __init__(self, exponent=2):
        super().__init__()
        self.exponent = exponent


def power(exponent):
    return Power(exponent)


SHARED = Square()


def shared():
    return SHARED


def build(classes, activation, init, width=8):
    return Sequential(
        Conv2d(width, 3, init=init), activation(), Flatten(), Dense(classes, init=init)
    )


def plain(classes):
    return Sequential(Flatten(), Dense(classes))


def one_layer(classes):
    return Dense(classes)


def anything(**given):
    assert sorted(given) == ["activation", "algorithm", "classes", "init"]
    return plain(given["classes"])


MODEL = plain(10)


def same_model(classes):
    return MODEL


def number(classes):
    return classes


def crash():
    return {}["missing"]


def arrays(images=20):
    pixels = np.arange(images * 16, dtype=np.uint8).reshape(images, 4, 4)
    labels = np.arange(images) % 4
    return (pixels, labels), (pixels[:8], labels[:8] % 2)


def datasets():
    return tuple(Dataset(*one, classes=4) for one in arrays())


def one_set():
    return datasets()[0]
'''


@pytest.fixture(autouse=True)
def things(tmp_path, monkeypatch):
    """A folder with ``things.py`` that is the working directory; what it adds to paths goes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "things.py").write_text(THINGS)
    return tmp_path


def refused(text, *words, read=from_string, error=ArgumentError):
    with pytest.raises(error) as caught:
        read(text)
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "place", ["./things.py", "things.py", "{}/things.py", "{}/../{}/things.py"]
)
def test_a_class_by_its_file(place, things):
    place = place.format(things, things.name)
    halved, default = from_string(f"{place}:HalfXavier(0.25)"), from_string(f"{place}:HalfXavier")
    assert isinstance(halved, Initializer) and str(halved) == "half-xavier:0.25"
    assert halved.variance(FANS) == 0.5 / 400 and default.variance(FANS) == 1 / 400
    assert from_string(f"{place}:HalfXavier( scale = 2.5e-1 )") == halved != default
    assert from_string(f"{place}:half") == from_string(f"{place}:HalfXavier()") == default
    w = halved((100, 300), FANS, np.random.default_rng(0))
    assert w.var() == pytest.approx(0.5 / 400, rel=5 * (2 / w.size) ** 0.5)


def test_a_module_of_a_package_or_folder(things):
    folder = things / "pack" / "inner"
    folder.mkdir(parents=True)
    (folder / "deep.py").write_text(THINGS)  # namespace packages: nothing else is in them
    assert from_string("pack.inner.deep:HalfXavier(0.25)").scale == 0.25
    assert lookup.parse("pack.inner.deep:half").file() == folder / "deep.py"
    found = from_string("minicnn.initializers:Normal(0.5)")
    assert str(found) == "normal:0.5"


def test_a_module_is_found_without_being_executed(things):
    (things / "pack2").mkdir()
    (things / "pack2" / "__init__.py").write_text("raise SystemExit('executed')")
    (things / "pack2" / "inner.py").write_text("raise SystemExit('executed')")
    described = lookup.parse("pack2.inner:x").describe()
    assert described["file"] == str(things / "pack2" / "inner.py")
    refused("pack2.inner:x", "importing it raised SystemExit: executed")


def test_what_is_no_file_keeps_its_meaning():
    for text in (
        "msra", "normal:0.01", "uniform:-0.05,0.05", "msra:fan_out", "mlp:300,100",
        "xavier:gain=1.5", "elu:1.0", "./data", "", "happy:Name", None, 3,
    ):  # fmt: skip
        assert not lookup.is_own(text)
    for text in ("./a.py:B", "a.py", "a.py:", "a.b:C", "a.py:B(1)", "C:\\x\\a.py:B"):
        assert lookup.is_own(text)


def test_one_string_for_one_thing(things):
    spellings = ("things.py:A( .5,b = 'x' )", f'{things}/things.py:A(0.5, b="x")')
    assert {str(lookup.parse(s)) for s in spellings} == {f"{things}/things.py:A(0.5, b='x')"}
    assert (
        str(lookup.parse("things.py:A()"))
        == str(lookup.parse("things.py:A"))
        == f"{things}/things.py:A"
    )
    again = lookup.parse(str(lookup.parse("things.py:A(1e999, -1, (2,), [3], {'a': None}, True)")))
    assert again.given == (float("inf"), -1, (2,), [3], {"a": None}, True)
    assert lookup.short("./a/b.py:C(.5)") == "C(0.5)" and lookup.short("msra") == "msra"


def test_a_file_is_executed_once_until_it_changes(things):
    (things / "count.py").write_text(
        "import sys\nfrom minicnn.initializers import Normal\nsys.counted += [1]\na = Normal(1.0)"
    )
    sys.counted = []
    try:
        first = from_string("count.py:a")
        assert from_string("./count.py:a") is first and sys.counted == [1]
        assert not (things / "__pycache__").exists()
        text = (things / "count.py").read_text()
        (things / "count.py").write_text(text.replace("1.0", "2.0"))  # as long, perhaps as old
        assert str(from_string("count.py:a")) == "normal:2.0" and sys.counted == [1, 1]
    finally:
        del sys.counted


def test_its_objects_are_ordinary_ones(things):
    initializer, layer = from_string("things.py:half"), activations.from_string("things.py:Square")
    assert pickle.loads(pickle.dumps(initializer)) == initializer
    assert dataclasses.replace(initializer, scale=2.0).scale == 2
    assert type(copy.deepcopy(layer)) is type(layer) and layer.in_python
    other = things / "other" / "things.py"
    other.parent.mkdir()
    other.write_text(THINGS)
    assert type(from_string("other/things.py:half")) is not type(initializer)


def test_a_file_named_like_the_package_is_not_of_it(things):
    for name in ("minicnn.py", "minicnn.layers.py"):
        (things / name).write_text(THINGS)
        assert activations.from_string(f"./{name}:Square").in_python


def test_modules_beside_a_file_are_found(things):
    (things / "lib").mkdir()
    (things / "lib" / "helper_of_lib.py").write_text("S = 0.125\n")
    (things / "lib" / "a.py").write_text(
        "from helper_of_lib import S\nfrom minicnn.initializers import Normal\na = Normal(S)\n"
    )
    assert str(from_string("lib/a.py:a")) == "normal:0.125"


def test_a_function_that_draws():
    initializer = from_string("./things.py:draw(factor=2.0)")
    assert str(initializer) == "draw(factor=2.0)"
    rng, shape = np.random.default_rng(3), (100, 300)
    expected = 2 * np.random.default_rng(3).standard_normal(shape) / 300**0.5
    np.testing.assert_array_equal(initializer(shape, FANS, rng, np.float64), expected)
    spread = 5 * (2 / expected.size) ** 0.5
    assert initializer.variance(FANS, shape) == pytest.approx(4 / 300, rel=spread)
    assert initializer.variance(FANS, shape) == initializer.variance(FANS, shape)
    layer = Dense(100, init=initializer)
    layer.build((300,), np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="initializer draw.* needs the shape"):
        initializer.variance(FANS)
    with pytest.raises(ArgumentError, match=r"flat: must draw .*\(100, 300\), drew .*\(3,\)"):
        from_string("./things.py:flat")(shape, FANS, rng)


def test_activations():
    square = activations.from_string("things.py:Square")
    assert type(square).__name__ == "Square" and square is not activations.from_string(
        "things.py:Square"
    )
    assert activations.from_string("things.py:Power(3)").exponent == 3
    assert activations.from_string("things.py:power(exponent=4)").exponent == 4
    model = zoo.build("lenet5", activation="things.py:Square")
    assert sum(type(layer).__name__ == "Square" for layer in model.layers) == 4
    model.initialize((1, 28, 28))
    images = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype(np.float32)
    assert np.isfinite(model.predict(images)).all()


def test_models():
    model = zoo.build("things.py:build(16)", 7, "tanh", "xavier")
    assert [type(layer).__name__ for layer in model.layers] == [
        "Conv2d",
        "Tanh",
        "Flatten",
        "Dense",
    ]
    model.initialize((1, 5, 5))
    assert model.output_shape == (7,) and model.layers[0].output_shape == (16, 3, 3)
    assert isinstance(model.layers[0], Conv2d) and str(model.layers[0].init) == "xavier"
    wide = zoo.build("things.py:build(width=4)", activation="things.py:Square")
    assert type(wide.layers[1]).__name__ == "Square"
    assert len(zoo.build("things.py:plain").layers) == 2
    assert len(zoo.build("things.py:anything", 5, init="zeros").layers) == 2
    alone = zoo.build("things.py:one_layer", 3)
    assert isinstance(alone, Sequential) and alone.initialize((4,)) == (3,)


def test_data(things):
    train, test = load("things.py:arrays(images=12)")
    assert (len(train), len(test), train.shape) == (12, 8, (1, 4, 4))
    assert train.classes == test.classes == 4 and (train.mean == test.mean).all()
    pixels = train.normalized(slice(None))
    assert abs(pixels.mean()) < 1e-6 and pixels.std() == pytest.approx(1, rel=1e-5)
    train, test = load("./things.py:datasets")
    assert train.mean == 0 and train.classes == 4
    write_folder(things / "set.py")  # a folder of any name stays a folder
    assert len(load("./set.py")[0]) == 20


@pytest.mark.parametrize("read", [from_string, activations.from_string, zoo.build, load])
def test_what_cannot_be_read(read, things):
    def no(text, *words):
        refused(text, repr(text)[:9], *words, read=read)

    (things / "folder.py").mkdir()
    (things / "wrong.py").write_text("a = 1\nb = = 2\n")
    (things / "raises.py").write_text("def f():\n    return 1 / 0\n\n\nx = f()\n")
    (things / "chain.py").write_text("\nimport missing_module_of_chain\n")
    (things / "leaves.py").write_text("raise SystemExit\n")
    (things / "nulls.py").write_bytes(b"a = 1\0")
    (things / "latin.py").write_bytes(b"a = '\xe9'\n")
    no("./nothing.py:A", f"cannot read {things}/nothing.py: No such file or directory")
    no("things.py/x.py:A", "cannot read", "Not a directory")
    no("x" * 300 + ".py:A", "File name too long")
    no("a\0.py:A", "NUL character")
    if read is not load:  # a folder of data, whatever its name
        no("folder.py:A", "is no file")
        no("folder.py", "expected PATH.py:NAME")
    no("wrong.py:a", "importing it raised SyntaxError", "wrong.py, line 2")
    no(
        "raises.py:x",
        "importing it raised ZeroDivisionError: division by zero",
        "raises.py, line 2",
    )
    no("chain.py:x", "ModuleNotFoundError: No module named 'missing_module_of_chain'", "line 2")
    no("leaves.py:x", "importing it raised SystemExit")
    no("nulls.py:a", "importing it raised")
    no("latin.py:a", "importing it raised SyntaxError")
    no("things.py", "expected PATH.py:NAME or PATH.py:NAME(ARGUMENTS)")
    no("things.py:", "expected PATH.py:NAME")
    no("things.py:HalfXavier.scale", "expected PATH.py:NAME")
    no("things.py:HalfXavir", "Did you mean 'HalfXavier'", "arrays, build")
    no("things.py:HalfXavier(0.5", "expected PATH.py:NAME")
    for arguments in (
        "(x)",
        "(1)(2)",
        "(*[1])",
        "(**{})",
        "(1 +)",
        "(__import__('os'))",
        "(a=1, a=2)",
    ):
        no(f"things.py:HalfXavier{arguments}", "are no arguments", "literals")
    no("things.py:HalfXavier(" + "[" * 900 + ")", "are no arguments")
    no("things.py:HalfXavier(" + "[" * 10**5 + ")", "at most 1000 characters")
    no("pack.nowhere:A", "there is no module pack.nowhere")
    no("os.nowhere:A", "there is no module os.nowhere")
    no("os.path.join:A", "there is no module os.path.join")


def test_what_is_something_else():
    refused("things.py:HalfXavier(0.5, 2)", "HalfXavier takes (scale: float = 0.5)", "too many")
    refused("things.py:HalfXavier(size=2)", "takes (scale: float = 0.5)", "'size'")
    refused("things.py:HalfXavier('a')", "scale must be a finite number")
    refused("things.py:Square", "expected a subclass of Initializer")
    refused("things.py:half(2)", "an object of one without arguments")
    refused("things.py:np", "expected a subclass of Initializer")
    refused("things.py:build(1, 2)", "takes (classes, activation, init, width=8)")
    refused("things.py:crash", "crash takes ()")
    refused("./things.txt:A", "'./things.txt:A' is no file of Python: expected PATH.py:NAME")
    refused("things.py:HalfXavier", "subclass of Layer", read=activations.from_string)
    refused("things.py:MODEL", "subclass of Layer", read=activations.from_string)
    refused("things.py:HalfXavier", "expected a new Sequential", read=zoo.build)
    refused("things.py:crash", "it raised KeyError: 'missing'", read=activations.from_string)
    refused("things.py:crash", "it raised KeyError: 'missing'", "things.py, line", read=zoo.build)
    refused("things.py:crash", "it raised KeyError", read=load, error=DataError)
    refused("things.py:power", "power takes (exponent)", "'exponent'", read=activations.from_string)
    refused("things.py:SHARED", "a function that makes a new layer", read=activations.from_string)
    refused("things.py:MODEL", "expected a function that makes a Sequential", read=zoo.build)
    refused("things.py:number", "expected a new Sequential at every call, got 10", read=zoo.build)
    refused("things.py:SHARED", "expected a function that returns a training", read=load)
    refused("things.py:one_set", "got Dataset", read=load, error=DataError)
    refused("things.py:plain(2)", "plain takes (classes)", read=zoo.build)
    refused("things.py:build(1, 2)", "takes (classes, activation, init, width=8)", read=zoo.build)
    refused("./net:build", "'./net:build' is no file of Python", read=zoo.build)


def test_what_is_not_new_at_every_call():
    layer = activations.from_string("things.py:shared")
    layer.build((3,), np.random.default_rng(0))
    refused("things.py:shared", "a new layer at every call", read=activations.from_string)
    zoo.build("things.py:same_model").initialize((3,))
    refused("things.py:same_model", "a new Sequential at every call", read=zoo.build)


@pytest.mark.parametrize(
    "chosen", [{"init": "xavier"}, {"activation": "tanh"}, {"algorithm": "direct"}]
)
def test_a_model_without_a_parameter_for_what_is_chosen(chosen):
    """Else the arms of a comparison would be the same, and would not say so."""
    ((name, value),) = chosen.items()
    with pytest.raises(ArgumentError, match=f"plain takes no {name}, so {value} would have no"):
        zoo.build("things.py:plain", **chosen)
