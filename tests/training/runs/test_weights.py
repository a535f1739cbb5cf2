"""The file of weights: PyTorch's names and layouts, and back."""

import ast
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import minicnn
from minicnn import Sequential
from minicnn.errors import ArgumentError, DataError
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
    PReLU,
    ReLU,
    RMSNorm,
)
from minicnn.models import Residual, zoo
from minicnn.training.runs.weights import COUNT, load_weights, model_file, named_arrays
from tests.training.toys import CLASSES, toy, trainer

SHAPE = (2, 6, 6)


def model(seed=0):
    made = Sequential(
        Conv2d(4, 3, padding=1, groups=2), BatchNorm(), ReLU(),
        Residual(Sequential(Conv2d(4, 3, padding=1, bias=False), BatchNorm()), Conv2d(4, 1)),
        Sequential(Conv2d(6, (3, 5)), PReLU(per_channel=True)),
        Residual(Conv2d(3, 1, stride=2)), Flatten(), Dense(CLASSES),
    )  # fmt: skip
    made.initialize(SHAPE, seed=seed)
    return made


def trained():
    data = toy(shape=SHAPE)
    run = trainer(model(), train=data, test=data)
    run.fit()
    return run


#: What torch.nn.Sequential with a module Residual(body, shortcut) calls them, and their shapes.
TWIN = {
    "0.weight": (4, 1, 3, 3), "0.bias": (4,),
    "1.weight": (4,), "1.bias": (4,), "1.running_mean": (4,), "1.running_var": (4,),
    "1.num_batches_tracked": (),
    "3.body.0.weight": (4, 4, 3, 3), "3.body.1.weight": (4,), "3.body.1.bias": (4,),
    "3.body.1.running_mean": (4,), "3.body.1.running_var": (4,),
    "3.body.1.num_batches_tracked": (),
    "3.shortcut.weight": (4, 4, 1, 1), "3.shortcut.bias": (4,),
    "4.0.weight": (6, 4, 3, 5), "4.0.bias": (6,), "4.1.weight": (6,),
    "5.body.weight": (3, 6, 1, 1), "5.body.bias": (3,), "5.shortcut.weight": (3, 6, 1, 1),
    "7.weight": (3, 6), "7.bias": (3,),
}  # fmt: skip


def test_normalizations_within_samples_are_named_as_in_pytorch():
    made = Sequential(
        Conv2d(4, 3), GroupNorm(2), InstanceNorm2d(), InstanceNorm2d(affine=True), LayerNorm(),
        LayerScale(0.1), LayerNorm2d(), Flatten(), RMSNorm(), Dense(2),
    )  # fmt: skip
    made.initialize(SHAPE, seed=0)
    found = {name: array.shape for name, array in named_arrays(made).items()}
    assert found == {
        "0.weight": (4, 2, 3, 3), "0.bias": (4,), "1.weight": (4,), "1.bias": (4,),
        "3.weight": (4,), "3.bias": (4,), "4.weight": (4, 4, 4), "4.bias": (4, 4, 4),
        "5.weight": (4,), "6.weight": (4,), "6.bias": (4,), "8.weight": (64,),
        "9.weight": (2, 64), "9.bias": (2,),
    }  # fmt: skip


def test_names_and_shapes_are_those_of_a_twin_in_pytorch(tmp_path):
    (tmp_path / "file").write_bytes(model_file(trained(), {}))
    saved = safetensors.numpy.load_file(tmp_path / "file")
    assert {name: array.shape for name, array in saved.items()} == TWIN
    counts = [array for name, array in saved.items() if name.endswith("tracked")]
    assert [(count.dtype, int(count)) for count in counts] == [(np.int64, 6)] * 2


def test_a_model_takes_the_weights_of_another(tmp_path):
    run, other = trained(), model(seed=1)
    (tmp_path / "file").write_bytes(model_file(run, {"settings": {"lr": 0.1}}))
    about = load_weights(other, tmp_path / "file")
    for name, array in run.model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    images = run.train.normalized(slice(None))
    np.testing.assert_array_equal(other.predict(images), run.model.predict(images))
    assert about["step"] == 6 and about["settings"] == {"lr": 0.1}
    described = {"shape": list(SHAPE), "mean": [0, 0], "std": [1, 1], "classes": 3, "border": None}
    assert about["images"] == {**described, "class_names": ["0", "1", "2"]}


def test_a_file_from_pytorch(tmp_path):
    """Without metadata, and running statistics in float32."""
    rng = np.random.default_rng(0)
    arrays = {
        name: np.array(3) if not shape else rng.random(shape, np.float32)
        for name, shape in TWIN.items()
    }
    safetensors.numpy.save_file(arrays, tmp_path / "file", {"format": "pt"})
    other = model()
    assert load_weights(other, tmp_path / "file") == {}
    for name, array in named_arrays(other).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_files_that_do_not_fit_change_nothing(tmp_path):
    path, other, good = tmp_path / "file", model(), model_file(trained(), {})
    start = other.state_dict()
    path.write_bytes(good)
    arrays = safetensors.numpy.load_file(path)
    for spoil, error, words in (
        ({"7.bias": np.zeros(4, np.float32)}, ArgumentError, "7.bias: the model has .*shape"),
        ({"8.weight": np.zeros(4)}, ArgumentError, "8.weight"),
        ({"7.bias": np.zeros(3, bool)}, ArgumentError, "bool"),
    ):
        safetensors.numpy.save_file({**arrays, **spoil}, path)
        with pytest.raises(error, match=f"file is not of this model: .*{words}"):
            load_weights(other, path)
    path.write_bytes(good[:-5])
    with pytest.raises(DataError, match="damaged"):
        load_weights(other, path)
    with pytest.raises(ArgumentError, match="no weights yet"):
        load_weights(zoo.build("lenet5"), path)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, start[name])


@pytest.mark.parametrize("name", ["lenet5", "quick", "resnet8"])
def test_every_array_of_a_model_has_a_name(name):
    made = zoo.build(name, init="fixup" if name == "resnet8" else "msra")
    made.initialize((1, 28, 28))
    arrays = named_arrays(made)
    assert len(arrays) == len(made.state_dict())
    assert {id(p.value) for p in made.parameters()} <= {id(array) for array in arrays.values()}


#: Keeps compiled kernels, which are machine code in any form; Numba packs them with pickle.
KERNELS = Path("kernels", "runtime", "cache.py")
INERT = Path("data/sources/cifar.py")  # its own tests show that nothing is executed
FORBIDDEN = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "copyreg"}
CALLS = {"eval", "exec", "compile", "__import__"}


def suspicious(source):
    """What in Python source reads or writes pickles, or makes code of data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [n.name for n in node.names if n.name.split(".")[0] in FORBIDDEN]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in FORBIDDEN else []
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            refuses = any(ast.unparse(k) == "allow_pickle=False" for k in node.keywords)
            if called in CALLS or called in ("joblib.dump", "joblib.load"):
                found.append(called)
            if called in ("np.load", "np.save") and not refuses:
                found.append(called)
        elif isinstance(node, ast.keyword) and ast.unparse(node) == "allow_pickle=True":
            found.append(node.arg)
    return found


def test_no_pickle_and_no_code_made_of_data():
    """No weights, checkpoint, data or settings can make minicnn run what stands in them."""
    package = Path(minicnn.__file__).parent
    sources = sorted(path.relative_to(package) for path in package.rglob("*.py"))
    assert len(sources) > 50
    for path in sources:
        if path not in (KERNELS, INERT):
            assert suspicious((package / path).read_text("utf-8")) == [], path
    words = ("import pickle", "from pickle import loads", "eval(x)", "joblib.dump(x, y)")
    for word in (*words, "np.load(x)", "np.load(x, allow_pickle=True)"):
        assert suspicious(word)


def saved(folder, rename=lambda name: name, **more):
    """A file of a model's weights under other names, and those weights."""
    weights = named_arrays(model(seed=3))
    arrays = {rename(name): array for name, array in weights.items()} | more
    safetensors.numpy.save_file(arrays, folder / "file")
    return folder / "file", weights


@pytest.mark.parametrize("prefix", ["net.", "module.", "model.features."])
def test_the_prefix_of_a_wrapper_is_found_and_left_off(tmp_path, prefix):
    path, weights = saved(tmp_path, lambda n: prefix + n, **{f"{prefix}1.{COUNT}": np.array(3)})
    other = model()
    with pytest.raises(ArgumentError) as caught:
        load_weights(other, path)
    assert "Missing in the state: 0.bias, 0.weight" in str(caught.value)
    assert f"Only there: {prefix}0.bias" in str(caught.value)
    assert f"load_weights(model, path, {prefix!r}) takes it" in str(caught.value)
    load_weights(other, path, prefix)
    for name, array in named_arrays(other).items():
        np.testing.assert_array_equal(array, weights[name])


def test_arrays_beside_the_prefix_are_left_out(tmp_path):
    path, weights = saved(tmp_path, lambda n: f"encoder.{n}", **{"head.0.weight": np.zeros(3)})
    other = model()
    with pytest.raises(ArgumentError, match="begin with 'encoder.'"):
        load_weights(other, path)
    load_weights(other, path, "encoder.")
    np.testing.assert_array_equal(named_arrays(other)["0.weight"], weights["0.weight"])


def test_names_of_a_state_dict_are_known(tmp_path):
    path, state = tmp_path / "file", model(seed=3).state_dict()
    safetensors.numpy.save_file(state, path)
    with pytest.raises(ArgumentError, match=r"are those of model.state_dict\(\): model.load_state"):
        load_weights(model(), path)
    model().load_state_dict(safetensors.numpy.load_file(path))


@pytest.mark.parametrize("rename", [lambda n: n.replace("weight", "kernel"),
                                    "x{}".format, lambda n: n.replace("7.", "8.")])  # fmt: skip
def test_no_advice_that_would_not_help(tmp_path, rename):
    path, _ = saved(tmp_path, rename)
    with pytest.raises(ArgumentError, match="the layer's place in the model") as caught:
        load_weights(model(), path)
    assert "load_weights" not in str(caught.value)


def test_a_kernel_that_is_transposed_is_said(tmp_path):
    path, weights = saved(tmp_path)
    safetensors.numpy.save_file({**weights, "7.weight": weights["7.weight"].T.copy()}, path)
    with pytest.raises(ArgumentError, match="7.weight: .*shape .*Its transpose fits"):
        load_weights(model(), path)
