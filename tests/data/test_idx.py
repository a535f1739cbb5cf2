"""The IDX reader: what is whole reads back, what is damaged in any way is refused."""

import gzip
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minicnn.data.idx import read_idx
from minicnn.errors import DataError
from tests.data.idx_files import CODES, header, idx_bytes

SMALL = np.arange(30, dtype=np.uint8).reshape(2, 3, 5)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A place for one file after the other."""
    return tmp_path_factory.mktemp("idx") / "file"


def read(file, content):
    file.write_bytes(content)
    return read_idx(file)


def refuse(file, content, message=None, **options):
    """`content` gives a DataError that names the file and matches `message`."""
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(file, **options)
    assert str(caught.value).startswith(f"{file}: ")


def peak_memory(file, content, message):
    """Bytes allocated at most while `content` is refused."""
    file.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        read_idx(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@settings(max_examples=150, deadline=None)
@given(
    array=st.sampled_from([np.dtype(name) for name in CODES]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=6, max_side=4))
    ),
    zipped=st.booleans(),
)
def test_every_type_and_shape_reads_back_bit_for_bit(file, array, zipped):
    content = idx_bytes(array)
    found = read(file, gzip.compress(content) if zipped else content)
    assert found.dtype == array.dtype and found.dtype.isnative
    assert found.shape == array.shape
    assert found.flags.c_contiguous and found.flags.writeable
    assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", CODES)
def test_values_of_several_bytes(file, dtype):
    found = read(file, header(CODES[dtype], 2) + struct.pack({
        "uint8": ">2B", "int8": ">2b", "int16": ">2h", "int32": ">2i", "float32": ">2f",
        "float64": ">2d",
    }[dtype], 1, 100))  # fmt: skip
    np.testing.assert_array_equal(found, [1, 100])


def test_the_first_bytes_tell_gzip_and_not_the_name(tmp_path):
    (tmp_path / "raw.gz").write_bytes(idx_bytes(SMALL))
    (tmp_path / "zipped").write_bytes(gzip.compress(idx_bytes(SMALL)))
    np.testing.assert_array_equal(read_idx(tmp_path / "raw.gz"), SMALL)
    np.testing.assert_array_equal(read_idx(str(tmp_path / "zipped")), SMALL)


def test_members_one_after_the_other_are_one_stream(file):
    content = idx_bytes(SMALL)
    parts = [content[:7], content[7:20], b"", content[20:]]
    np.testing.assert_array_equal(read(file, b"".join(map(gzip.compress, parts))), SMALL)


def test_more_than_a_chunk(file):
    array = np.random.default_rng(0).integers(0, 256, (3, 70_001), dtype=np.uint8)
    for content in (idx_bytes(array), gzip.compress(idx_bytes(array))):
        np.testing.assert_array_equal(read(file, content), array)


@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), (3, 0, 2), (1,), (1,) * 32])
@pytest.mark.parametrize("dtype", CODES)
def test_shapes_at_the_edge(file, dtype, shape):
    array = np.zeros(shape, dtype)
    assert read(file, idx_bytes(array)).shape == shape
    assert read(file, gzip.compress(idx_bytes(array))).shape == shape


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_cut_off_anywhere(file, pack):
    content = pack(idx_bytes(SMALL))
    assert read(file, content).shape == SMALL.shape
    for length in range(len(content)):
        refuse(file, content[:length])


@pytest.mark.parametrize("length", range(len(idx_bytes(SMALL))))
def test_whole_gzip_of_a_file_that_was_cut_off(file, length):
    refuse(file, gzip.compress(idx_bytes(SMALL)[:length]), "empty|found")


@pytest.mark.parametrize("extra", [b"\0", b"x", b"\0" * 512, idx_bytes(SMALL)])
def test_longer_than_declared(file, extra):
    whole = idx_bytes(SMALL)
    refuse(file, whole + extra, f"30 bytes must follow, found {30 + len(extra)}")
    refuse(file, gzip.compress(whole + extra), "30 bytes must follow, found more")
    refuse(file, gzip.compress(whole) + gzip.compress(extra), "found more")
    refuse(file, gzip.compress(whole) + extra, "gzip data")
    refuse(file, gzip.compress(whole) + zlib.compress(b""), "gzip data")


def test_every_flipped_bit_of_a_raw_header(file):
    """All but one: 0x08 and 0x09, and 0x0C and 0x0D, are types of the same length."""
    for array in (SMALL, SMALL.astype(np.int16), SMALL.astype(np.int32), SMALL.astype(np.float64)):
        whole = idx_bytes(array)
        for place in range(4 + 4 * array.ndim):
            for bit in range(8):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << bit
                if (flipped[2], whole[2]) in {(0x09, 0x08), (0x0D, 0x0C)}:
                    assert read(file, flipped).dtype != array.dtype
                else:
                    refuse(file, flipped)


def test_every_flipped_bit_of_a_gzip_file(file):
    """A flip is caught, or falls where nothing is kept: the time stamp, the padding."""
    array = np.random.default_rng(0).integers(0, 9, (4, 40), dtype=np.uint8)
    whole = gzip.compress(idx_bytes(array))
    meaningless = {3, *range(4, 10), len(whole) - 9}
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            file.write_bytes(flipped)
            try:
                found = read_idx(file)
            except DataError:
                continue
            assert place in meaningless, f"bit {bit} of byte {place} was not noticed"
            np.testing.assert_array_equal(found, array)


def test_a_gzip_file_with_wrong_crc_or_length_says_so(file):
    whole = gzip.compress(idx_bytes(SMALL))
    refuse(file, whole[:-8] + b"1234" + whole[-4:], r"gzip data is damaged.*data check")
    refuse(file, whole[:-4] + b"1234", r"gzip data is damaged.*length check")


def bomb(head, megabytes):
    """Gzip of a header and many zeros, about a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(2**20)
    return b"".join(
        [packer.compress(head), *(packer.compress(zeros) for _ in range(megabytes)), packer.flush()]
    )


def test_bomb_with_a_small_declared_size_is_not_unpacked(file):
    content = bomb(header(0x08, 10), 64)
    assert peak_memory(file, content, "10 bytes must follow, found more") < 2**19


def test_bomb_with_a_declared_size_unpacks_no_more_than_that(file):
    content = bomb(header(0x08, 2, 2**20), 64)
    assert peak_memory(file, content, "found more") < 2**21 + 2**19


def test_a_header_that_lies_costs_no_memory(file):
    """A megabyte of gzip might hold the gigabyte that is declared; it does not."""
    noise = np.random.default_rng(0).bytes(2**20)
    content = gzip.compress(header(0x08, 2**30) + noise)
    assert peak_memory(file, content, f"must follow, found {2**20}") < 2**21


@pytest.mark.parametrize("shape", [(2**30,), (1024, 1024, 1024), (10, 2**20)])
def test_declared_size_that_cannot_be_true_allocates_nothing(file, shape):
    raw = header(0x08, *shape) + bytes(1000)
    assert peak_memory(file, raw, "must follow, found 1000") < 2**19
    assert peak_memory(file, gzip.compress(raw), "more than .* bytes of gzip can hold") < 2**19


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
@pytest.mark.parametrize(
    "shape",
    [(2**32 - 1,), (2**31, 2**31, 4), (2**16,) * 4, (2**32 - 1,) * 32, (0, *[2**32 - 1] * 4)],
)
def test_sizes_beyond_64_bits_do_not_wrap_around(file, shape, pack):
    content = pack(header(0x0E, *shape))
    assert peak_memory(file, content, "above the limit") < 2**19


def test_the_ratio_of_gzip_is_met_by_real_files(file):
    """A run of zeros, the most that deflate can do, still reads."""
    array = np.zeros((64, 2**16), np.uint8)
    content = gzip.compress(idx_bytes(array), 9)
    assert array.size / len(content) > 950
    assert read(file, content).shape == array.shape


def test_max_bytes(file):
    content = idx_bytes(SMALL.astype(np.int16))
    refuse(file, content, "60 bytes, above the limit of 59.*max_bytes", max_bytes=59)
    refuse(file, gzip.compress(content), "above the limit of 59", max_bytes=59)
    file.write_bytes(content)
    assert read_idx(file, max_bytes=60).shape == SMALL.shape


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>403</title>", b"\n <html>", b"<"])
def test_a_web_page_saved_as_data(file, page, pack):
    refuse(file, pack(page), f"no IDX file: it begins with .*{page[:8].strip().decode()}.*web page")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\x89PNG\r\n", r"no IDX file: it begins with b'\\x89PNG"),
        (b"\0\1\x08\1\0\0\0\0", "no IDX file"),
        (b"\0\0\x08", "ends in its header: expected 4 bytes, found 3"),
        (b"\0\0\x0a\1\0\0\0\0", "type code is 0x0A, expected one of 0x08 uint8"),
        (b"\0\0\x08\0", "declares 0 dimensions"),
        (header(0x08, *[1] * 33) + b"1", "declares 33 dimensions, expected 1 to 32"),
        (b"\0\0\x08\2\0\0\0\1", "expected 2 dimensions in 8 bytes, found 4"),
        (b"\x1f\x8b", "cut off"),
        (b"\x1f\x8b\x07" + bytes(20), "gzip data is damaged"),
    ],
)
def test_what_is_wrong_is_said(file, content, message):
    refuse(file, content, message)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="nothing: expected an IDX file, found no such file"):
        read_idx(tmp_path / "nothing")
    with pytest.raises(DataError, match="expected an IDX file, found a folder"):
        read_idx(tmp_path)
    for name in ("x" * 5000, "\0"):
        with pytest.raises(DataError, match="found no such file"):
            read_idx(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in folders")
def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="found a pipe or a device"):
        read_idx(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match="found no such file"):
        read_idx(tmp_path / "loop")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="every file can be read here")
def test_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(idx_bytes(SMALL))
    path.chmod(0)
    with pytest.raises(DataError, match="secret: cannot be read: Permission denied"):
        read_idx(path)


def test_failing_disk(file, monkeypatch):
    file.write_bytes(idx_bytes(SMALL))

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(DataError, match="cannot be read: Input/output error"):
        read_idx(file)
