"""CIFAR's folders: binary and pickled give the same arrays, and a pickle executes nothing."""

import pickle

import numpy as np
import pytest

from minicnn.data import load
from minicnn.data.sources import cifar
from minicnn.errors import DataError

CLASSES = ["airplane", "automobile", "bird"]


def arrays(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), np.arange(count) % 3


def as_python_2(value):
    """A pickle as Python 2 wrote the published files: protocol 2, its texts are bytes."""
    if isinstance(value, dict):
        pairs = b"".join(as_python_2(k)[2:-1] + as_python_2(v)[2:-1] for k, v in value.items())
        return b"\x80\x02}(" + pairs + b"u."
    if isinstance(value, str):
        return b"\x80\x02U" + bytes([len(value)]) + value.encode() + b"."
    if isinstance(value, list):
        return b"\x80\x02](" + b"".join(as_python_2(one)[2:-1] for one in value) + b"e."
    if isinstance(value, (int, np.integer)):
        return b"\x80\x02K" + bytes([value]) + b"."
    rows, columns = value.shape
    shape = b"M" + rows.to_bytes(2, "little") + b"M" + columns.to_bytes(2, "little") + b"\x86"
    kind = (
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + 2 * b"J\xff\xff\xff\xff"
        + b"K\x00tb"
    )
    content = b"T" + value.size.to_bytes(4, "little") + value.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return b"\x80\x02" + array + b"(K\x01" + shape + kind + b"\x89" + content + b"tb."


def python_3(value):
    return pickle.dumps(value, 2)


def write(folder, dump, hundred=False):
    """A folder with pickled files."""
    folder.mkdir()
    batches = ["train"] if hundred else [f"data_batch_{i}" for i in range(1, 6)]
    for seed, name in enumerate([*batches, "test" if hundred else "test_batch"]):
        data, labels = arrays(6, seed)
        key = "fine_labels" if hundred else "labels"
        content = {"data": data, key: [int(label) for label in labels], "batch_label": name}
        (folder / name).write_bytes(dump(content))
    key = "fine_label_names" if hundred else "label_names"
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(dump({key: CLASSES}))
    return folder


@pytest.mark.parametrize("dump", [as_python_2, python_3, pickle.dumps])
@pytest.mark.parametrize("hundred", [False, True])
def test_pickled(tmp_path, dump, hundred):
    train, test = load(write(tmp_path / "cifar", dump, hundred))
    batches = 1 if hundred else 5
    assert (len(train), len(test)) == (6 * batches, 6) and train.class_names == tuple(CLASSES)
    expected = np.concatenate([arrays(6, seed)[0] for seed in range(batches)])
    np.testing.assert_array_equal(train.images, expected.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(test.images, arrays(6, batches)[0].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(test.labels, arrays(6, batches)[1])


@pytest.mark.parametrize("hundred", [False, True])
def test_binary(tmp_path, hundred):
    batches = ["train"] if hundred else [f"data_batch_{i}" for i in range(1, 6)]
    for seed, name in enumerate([*batches, "test" if hundred else "test_batch"]):
        data, labels = arrays(6, seed)
        coarse = [np.full((6, 1), 19, np.uint8)] * hundred
        records = np.hstack([*coarse, labels[:, None].astype(np.uint8), data])
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    train, test = load(tmp_path)
    assert train.class_names == ("0", "1", "2")  # nothing tells their names
    np.testing.assert_array_equal(train.images[:6].reshape(6, -1), arrays(6, 0)[0])
    np.testing.assert_array_equal(test.labels, arrays(6, len(batches))[1])
    (tmp_path / f"{batches[-1]}.bin").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"expected records of 307\d bytes, found 100 bytes"):
        load(tmp_path)


def test_a_batch_that_is_missing_is_named(tmp_path):
    write(tmp_path / "cifar", python_3)
    (tmp_path / "cifar" / "data_batch_4").unlink()
    with pytest.raises(DataError, match="found no data_batch_4: CIFAR has all of them"):
        load(tmp_path / "cifar")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def evil_numpy(path):
    """Executes by way of a function of numpy, as a filter by the module's name would allow."""
    return b"\x80\x02cnumpy.testing._private.utils\nrunstring\n" + b"U\x01aU\x01b\x86R."


def test_nothing_in_a_pickle_is_executed(tmp_path):
    folder, made = write(tmp_path / "cifar", python_3), tmp_path / "made"
    assert pickle.loads(pickle.dumps(Evil(made))) and made.exists()  # it would have
    made.unlink()
    for content in (pickle.dumps({"data": Evil(made)}), evil_numpy(made)):
        (folder / "data_batch_2").write_bytes(content)
        with pytest.raises(DataError, match=r"data_batch_2: it names .* it is refused"):
            load(folder)
    assert not made.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a pickle"),
        (b"\x80\x02}", "cannot be read as a pickle"),
        (python_3([1]), "expected a dict, found list"),
        (python_3({"data": np.zeros((2, 5), np.uint8), "labels": [0, 1]}), r"of shape \(N, 3072\)"),
        (python_3({"labels": [0]}), "expected a dict with 'data'"),
        (python_3({"data": np.zeros((2, 3072)), "labels": [0, 1]}), "array of f8: expected bytes"),
    ],
)
def test_damaged_pickles(tmp_path, content, message):
    folder = write(tmp_path / "cifar", python_3)
    (folder / "data_batch_1").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        cifar.read(folder)
    assert "data_batch_1" in str(caught.value)
