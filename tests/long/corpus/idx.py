"""IDX files, plain and compressed."""

import gzip
import itertools
import math
import struct
import zlib

import numpy as np

from minicnn.data.idx import read_idx
from tests.data.idx_files import CODES, header, idx_bytes
from tests.long.corpus import accidents

SHARE = 5
TARGETS = ("plain", "gzip")
SIZES = dict(zip(CODES.values(), (1, 1, 2, 4, 4, 8)))

_ARRAY = np.random.default_rng(0).integers(0, 200, (5, 7, 6))


def prepare(folder):
    """A plain and a compressed file."""
    (folder / "plain").write_bytes(idx_bytes(_ARRAY.astype(np.int16)))
    (folder / "gzip").write_bytes(gzip.compress(idx_bytes(_ARRAY.astype(np.uint8)), mtime=0))


def read(folder):
    """Both arrays."""
    return [read_idx(folder / name) for name in TARGETS]


def check(folder, found):
    """An array has just the bytes that its file holds after the header."""
    for name, array in zip(TARGETS, found):
        held_there = _elements_end((folder / name).read_bytes())
        assert held_there == 4 + 4 * array.ndim + array.nbytes, (held_there, array.nbytes)


def mutated(content, rng):
    """Accidents to the file, or to what is in it before it is compressed."""
    if content[:2] != b"\x1f\x8b" or rng.integers(2):
        return accidents.mutated(content, rng)
    return gzip.compress(accidents.mutated(gzip.decompress(content), rng), 1, mtime=0)


def held(content):
    """The file's own size, or that of what is in it as far as its header declares it."""
    return max(len(content), _elements_end(content))


def _elements_end(content):
    """The size of a plain file; of a gzip file, how much is in it, but no more than declared."""
    if content[:2] != b"\x1f\x8b":
        return len(content)
    start = _unpacked(content, 4 + 4 * 255)
    if len(start) < 4 or len(start) < 4 + 4 * start[3] or start[2] not in SIZES:
        return 0
    shape = struct.unpack(f">{start[3]}I", start[4 : 4 + 4 * start[3]])
    declared = 4 + 4 * start[3] + math.prod(shape) * SIZES[start[2]]
    return len(_unpacked(content, min(declared, 2**28)))


def _unpacked(content, most):
    """At most so many bytes of a gzip file, as many as are good."""
    found = b""
    while content and len(found) < most:
        member = zlib.decompressobj(31)
        try:
            found += member.decompress(content, most - len(found))
        except zlib.error:
            break
        if not member.eof:
            break
        content = member.unused_data
    return found


def handmade(target, content):
    """Headers that lie, in plain files and compressed ones; bombs; and what is no file."""
    pack = gzip.compress if target == "gzip" else bytes
    attacks = {**accidents.NO_FILES, **accidents.ANY_CONTENT}
    attacks |= {f"packed {name}": pack(inner) for name, inner in accidents.ANY_CONTENT.items()}
    attacks |= {name: pack(raw) for name, raw in _lying_headers().items()}
    attacks |= {f"cut to {n} bytes": content[:n] for n in range(len(content))}
    if target == "gzip":
        attacks |= _bombs()
    return attacks


def _lying_headers():
    """Every type with sizes from 0 to beyond 64 bits, and headers that end early."""
    sizes = (0, 1, 3, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
    some = list(itertools.chain.from_iterable(itertools.product(sizes, repeat=n) for n in (1, 2)))
    some += [(n,) * dimensions for n in sizes for dimensions in (3, 4, 5, 8, 16, 31, 32)]
    some += [(0, *(2**32 - 1,) * 31), (*(2**32 - 1,) * 31, 0), (2**31, 2**31, 4), (2**32 - 1, 0)]
    lies = {}
    for (name, code), shape in itertools.product(CODES.items(), some):
        # One byte too many is after the elements, so that no header here is true.
        true = math.prod(shape) * SIZES[code]
        lies[f"{name} of {shape}"] = header(code, *shape) + bytes(true + 1 if true < 999 else 99)
    for code, dimensions in itertools.product((0, 7, 8, 9, 10, 15, 255), (0, 1, 2, 33, 64, 255)):
        lies[f"type {code} of {dimensions} dimensions"] = bytes([0, 0, code, dimensions]) * 9
        lies[f"type {code} of {dimensions} ones"] = header(code, *[1] * dimensions)
    return lies


def _bombs():
    """Small files that unpack to much more than they declare, or than they are."""
    bombs = {}
    declarations = (0, 1, 1000, 2**20, 2**26 + 1, 2**31)
    pairs = [*itertools.product((1, 8), declarations), (64, 1000), (64, 2**26 + 1)]
    for megabytes, declared in pairs:
        bombs[f"{megabytes} MB, declared {declared}"] = _bomb(header(8, declared), megabytes)
    member = gzip.compress(b"", mtime=0)
    bombs["10,000 empty members"] = member * 10_000 + gzip.compress(header(8, 1) + b"1")
    bombs["20,000 members of a byte"] = gzip.compress(header(8, 20_000)) + 20_000 * gzip.compress(
        b"1", 1, mtime=0
    )
    bombs["a bomb in a bomb"] = gzip.compress(_bomb(header(8, 10), 8))
    bombs["a header that never ends"] = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 2**20
    bombs["an extra field of 64 KB"] = b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" + bytes(70_000)
    return bombs


def _bomb(head, megabytes):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head), *(packer.compress(bytes(2**20)) for _ in range(megabytes))]
    return b"".join([*parts, packer.flush()])
