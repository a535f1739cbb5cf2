"""Files of tensors: what comes back, and what is found out."""

import json

import numpy as np
import pytest
import safetensors.numpy

from minicnn.errors import DataError
from minicnn.training.runs import tensors

ARRAYS = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "average": np.array([0.1, -2.5, np.nan]),
    "steps": np.array(7, np.int64),
    "nothing": np.zeros((0, 3), np.float32),
}
ABOUT = {"seed": 2**127 + 1, "lr": 0.1, "words": ["ü", None, True], "inner": {"tiny": 5e-324}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.safetensors"
    path.write_bytes(tensors.encode(ARRAYS, ABOUT))
    return path


def test_what_is_written_is_read(path):
    arrays, about = tensors.read(path)
    assert about == ABOUT and arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes()


def test_equal_content_gives_equal_bytes(path):
    for _ in range(5):
        backwards = {name: ARRAYS[name] for name in reversed(ARRAYS)}
        assert tensors.encode(backwards, ABOUT) == path.read_bytes()


def test_the_json_is_such(path):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    with safetensors.safe_open(path, "np") as file:
        assert list(file.metadata()) == ["minicnn"]
        json.loads(file.metadata()["minicnn"], parse_constant=refuse)


def test_no_byte_can_change_unnoticed(path):
    """What is read is the same, or nothing; if it is the entry's name, a file of others."""
    data, digest, read = path.read_bytes(), tensors.digest_of_arrays(ARRAYS), 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        try:
            arrays, about = tensors.read(path)
        except DataError:
            continue
        read += 1
        assert about == ABOUT or (about == {} and b"minicnn" not in path.read_bytes())
        assert tensors.digest_of_arrays(arrays) == digest
    assert read < 30


def test_no_part_is_a_whole(path):
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match="is damaged"):
            tensors.read(path)


@pytest.mark.parametrize(
    "metadata",
    ["", "{", "[]", "1", "{}", '{"digest": 1}', '{"digest": "00"}', "[" * 10**5, "9" * 5000],
)
def test_metadata_that_are_none(path, metadata):
    path.write_bytes(safetensors.numpy.save(ARRAYS, {"minicnn": metadata}))
    with pytest.raises(DataError, match="is damaged"):
        tensors.read(path)


def test_a_file_that_others_made(path):
    path.write_bytes(safetensors.numpy.save(ARRAYS, {"format": "pt"}))
    arrays, about = tensors.read(path)
    assert about == {} and arrays["steps"] == 7


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_has_not(path, dtype):
    data = safetensors.numpy.save({"a": np.zeros(2, np.uint16 if dtype == "BF16" else np.uint8)})
    code, other = (b'"U16"', b'"BF16"') if dtype == "BF16" else (b'"U8"', b'"F8_E4M3"')
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].rstrip().replace(code, other)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    with pytest.raises(DataError, match="no array of numbers"):
        tensors.read(path)


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            tensors.read(path)


def test_more_than_anybody_writes_is_refused_before_it_is_read(path, monkeypatch):
    path.write_bytes((2**24 + 1).to_bytes(8, "little") + b"{}")
    with pytest.raises(DataError, match="header would be 16,777,217 bytes long"):
        tensors.read(path)
    path.write_bytes(tensors.encode({str(n): np.zeros(0) for n in range(5)}, {}))
    monkeypatch.setattr(tensors, "MOST_TENSORS", 4)
    with pytest.raises(DataError, match="more than 4 tensors"):
        tensors.read(path)


def test_the_digest_is_of_names_types_shapes_and_numbers():
    base = {"a": np.zeros((2, 3), np.float32), "b": np.ones(1)}
    others = [
        {"a": np.zeros((2, 3), np.float32), "c": np.ones(1)},
        {"a": np.zeros((3, 2), np.float32), "b": np.ones(1)},
        {"a": np.zeros((2, 3), np.int32), "b": np.ones(1)},
        {"a": np.zeros((2, 3), np.float32), "b": -np.ones(1)},
        {"a": np.zeros((2, 3), np.float32)},
    ]
    digests = [tensors.digest_of_arrays(arrays) for arrays in (base, *others)]
    assert len(set(digests)) == 6
    assert tensors.digest_of_arrays(dict(reversed(base.items()))) == digests[0]
