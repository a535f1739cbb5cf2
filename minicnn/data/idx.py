"""The IDX file format, in which MNIST was published, read strictly.

An IDX file is two zero bytes, a type code, the number of dimensions, each dimension as a
big-endian uint32, and then the elements, big-endian, in C order. Yann LeCun, Corinna Cortes
& Christopher Burges, *THE MNIST DATABASE of handwritten digits*, "File formats".
"""

import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from minicnn.checks import check_count, takes
from minicnn.errors import DataError
from minicnn.paths import is_locked

TYPES: dict[int, np.dtype] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MAX_DIMENSIONS = 32  # what every version of NumPy can hold
MAX_BYTES = 2**31
GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW = 31  # zlib's name for: a gzip header, and the CRC checked
DEFLATE_LIMIT = 1032  # deflate spends at least 2 bits on a run of at most 258 bytes
CHUNK = 2**16


@takes(path=(str, os.PathLike), max_bytes=check_count)
def read_idx(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Read an IDX file, gzip-compressed or not (its first bytes tell, not its name).

    The header is checked against the file first: a raw file must be exactly as long as it
    declares; a gzip file cannot hold more than 1032 times its size, is unpacked no further than
    declared, and must end there with the right CRC. Memory is taken as the elements come, so
    that a header that lies costs none: at most 9/8 of what the file really holds.

    Parameters
    ----------
    path : str or Path
    max_bytes : int
        Refuse a file that declares more bytes of elements.

    Returns
    -------
    ndarray
        C-contiguous, in the machine's byte order; uint8, int8, int16, int32, float32 or
        float64.

    Raises
    ------
    DataError
        If the file cannot be read, is no file (a pipe would keep the reader waiting), is no
        IDX file, is damaged, or is shorter or longer than it declares; the message names it.
    """
    path = Path(path)
    if is_locked(path):
        raise DataError(f"{path}: cannot be read, as a folder around it may not be searched.")
    if not os.path.isfile(path):  # not path.is_file(), which raises for a name that is too long
        found = "a pipe or a device" if os.path.exists(path) else "no such file"
        found = "a folder" if os.path.isdir(path) else found
        raise DataError(f"{path}: expected an IDX file, found {found}.")
    try:
        with open(path, "rb") as file:
            return _read(file, max_bytes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except zlib.error as error:
        raise DataError(f"{path}: the gzip data is damaged ({error}). Fetch it again.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _read(file, max_bytes):
    size = os.fstat(file.fileno()).st_size
    zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    stream = _Gzip(file) if zipped else file
    dtype, shape = _read_header(stream)
    declared = math.prod(shape) * dtype.itemsize
    # NumPy multiplies the dimensions other than 0 even when the array is empty.
    extent = math.prod(max(n, 1) for n in shape) * dtype.itemsize
    if extent > max_bytes:
        raise DataError(
            f"its header declares shape {shape} of {dtype.name}, {extent} bytes, above the limit"
            f" of {max_bytes}. If that is right, give a larger max_bytes."
        )
    if zipped and declared > DEFLATE_LIMIT * size:
        raise DataError(
            f"its header declares shape {shape} of {dtype.name}, {declared} bytes, more than"
            f" {size} bytes of gzip can hold: the file is damaged or made to harm."
        )
    if not zipped and size - file.tell() != declared:
        raise _wrong_length(shape, dtype, declared, size - file.tell())
    data = bytearray()
    while len(data) < declared:
        chunk = stream.read(min(CHUNK, declared - len(data)))
        if not chunk:
            raise _wrong_length(shape, dtype, declared, len(data))
        data += chunk
    if stream.read(1):
        raise _wrong_length(shape, dtype, declared, "more")
    elements = np.frombuffer(data, dtype)
    if not dtype.isnative:
        elements = elements.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return elements.reshape(shape)


def _read_header(stream):
    """The dtype and the shape that a file declares."""
    magic = stream.read(4)
    if not magic:
        raise DataError("the file is empty. Fetch it again.")
    if magic[:2] != b"\0\0"[: len(magic)]:
        start = magic + stream.read(28)
        page = start.lstrip().startswith(b"<")
        hint = " It looks like a web page, such as an error page saved as data." if page else ""
        raise DataError(
            f"this is no IDX file: it begins with {start!r}, expected two zero bytes.{hint}"
            " Fetch it again."
        )
    if len(magic) < 4:
        raise DataError(f"the file ends in its header: expected 4 bytes, found {len(magic)}.")
    code, dimensions = magic[2:]
    if code not in TYPES:
        known = ", ".join(f"0x{code:02X} {dtype.name}" for code, dtype in TYPES.items())
        raise DataError(f"its type code is 0x{code:02X}, expected one of {known}.")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(
            f"its header declares {dimensions} dimensions, expected 1 to {MAX_DIMENSIONS}."
        )
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(
            f"the file ends in its header: expected {dimensions} dimensions in"
            f" {4 * dimensions} bytes, found {len(sizes)} bytes."
        )
    return TYPES[code], struct.unpack(f">{dimensions}I", sizes)


def _wrong_length(shape, dtype, declared, found):
    return DataError(
        f"its header declares shape {shape} of {dtype.name}, so {declared} bytes must follow,"
        f" found {found}: the file is damaged. Fetch it again."
    )


class _Gzip:
    """The unpacked bytes of a gzip file, as a stream.

    Stricter than the standard library's GzipFile, which lets zeros after the end pass.
    """

    def __init__(self, file):
        self._file, self._packed, self._ended = file, b"", False
        self._member = zlib.decompressobj(GZIP_WINDOW)

    def read(self, count):
        """The next `count` bytes, fewer only at the end of the stream."""
        unpacked = b""
        while len(unpacked) < count and not self._ended:
            unpacked += self._some(count - len(unpacked))
        return unpacked

    def _some(self, count):
        """At most `count` bytes, perhaps none; nothing is unpacked beyond them."""
        self._packed = self._packed or self._file.read(CHUNK)
        if not self._packed:
            raise DataError("the gzip data ends too early: the file is cut off. Fetch it again.")
        unpacked = self._member.decompress(self._packed, count)
        self._packed = self._member.unconsumed_tail
        if self._member.eof:
            self._packed = self._member.unused_data or self._file.read(CHUNK)
            self._ended = not self._packed
            self._member = zlib.decompressobj(GZIP_WINDOW)
        return unpacked
