"""What may happen to a safetensors file: its header lies, or its content is another's.

A file is the header's length (uint64, little-endian), the header (JSON: for each tensor its
type, shape and the two offsets of its bytes, and ``__metadata__``), and the bytes.
"""

import itertools
import json
import struct

import numpy as np
import safetensors.numpy

from minicnn.training.runs import tensors
from tests.long.corpus import JSON, accidents, documents

DTYPES = (
    "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16", "I32", "U32", "F32",
    "F64", "I64", "U64", "C64", "F4", "f32", "O", "",
)  # fmt: skip
NUMBERS = (0, 1, -1, 3, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1, 2**64, 10**30)


def parts(content):
    """The header as a dict, and the bytes after it."""
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def joined(header, data, size=None):
    """A file of a header, given as bytes or as a dict, with its length or one that lies."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", (len(header) if size is None else size) % 2**64) + header + data


def mutated(content, rng):
    """Accidents to the bytes, to the header, or to what a right digest is then put over."""
    kind = rng.random()
    if kind < 0.35:
        return accidents.mutated(content, rng)
    header, data = parts(content)
    if kind < 0.6:
        text = documents.mutated(header, rng)
        return joined(text, data, len(text) + int(rng.choice([0, 0, 0, -1, 1, 8, 2**40])))
    arrays, about = decoded(content)
    if rng.random() < 0.6 and about:
        about = documents.changed(about, rng)
    else:
        arrays = _other_arrays(arrays, rng)
    return encoded(arrays, about)


def held(content):
    """The file's own size, and what its header may take when it is read."""
    size = int.from_bytes(content[:8], "little")
    return len(content) + JSON * min(size, len(content))


def decoded(content):
    """Arrays and plain values of a file, the digest left out."""
    metadata = parts(content)[0].get("__metadata__") or {}
    about = json.loads(metadata.get(tensors.ENTRY, "{}"))
    about.pop(tensors.DIGEST, None)
    return dict(safetensors.numpy.load(content)), about


def encoded(arrays, about):
    """The bytes of a file with a right digest, whatever the plain values are."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if isinstance(about, dict) and about:
        try:
            return tensors.encode(arrays, about)
        except (ValueError, RecursionError):
            pass  # a lone surrogate has no bytes: as JSON can spell it
    text = json.dumps(about)
    return safetensors.numpy.save(arrays, {tensors.ENTRY: text} if about else None)


def _other_arrays(arrays, rng):
    """Other numbers, types, shapes or names than there were."""
    arrays = dict(arrays)
    names = sorted(arrays)
    name, other = (names[rng.integers(len(names))] for _ in range(2))
    array = arrays[name]
    change = rng.integers(8)
    if change == 0:
        arrays[name] = array.astype(rng.choice(["f2", "f4", "f8", "i1", "i8", "u8", "?"]))
    elif change == 1:
        arrays[name] = np.full_like(array, rng.choice([0, -1, 2**30]))
    elif change == 2 and array.dtype.kind == "f":
        arrays[name] = np.full_like(array, rng.choice([np.nan, np.inf, -np.inf, 3e38, 1e-45]))
    elif change == 3:
        del arrays[name]
    elif change == 4:
        arrays[name] = arrays[other]
    elif change == 5:
        arrays[str(documents.VALUES[rng.integers(len(documents.VALUES))])[:300] + "x"] = array
    elif change == 6:
        arrays[name] = array.reshape(*array.shape, 1)
    else:
        arrays[name] = np.concatenate([array.ravel(), array.ravel()])
    return {n.encode("utf-8", "replace").decode(): a for n, a in arrays.items()}


def handmade(content):
    """Headers that lie, one lie each; bytes by name."""
    header, data = parts(content)
    text = json.dumps(header).encode()
    name = max((n for n in header if n != "__metadata__"), key=lambda n: header[n]["shape"])
    others = [n for n in header if n not in (name, "__metadata__")]
    made = {
        f"header of {n} bytes": joined(text, data, n) for n in (*accidents.LIARS, len(text) - 1)
    }
    made |= {f"cut to {n} bytes": content[:n] for n in range(0, len(content), len(content) // 40)}
    made |= {f"only a header of {n}": struct.pack("<Q", n % 2**64) for n in NUMBERS}

    def lie(what, **entry):
        made[what] = joined({**header, name: {**header[name], **entry}}, data)

    for dtype in DTYPES:
        lie(f"of type {dtype}", dtype=dtype)
    for start, end in itertools.product(NUMBERS, repeat=2):
        lie(f"from {start} to {end}", data_offsets=[start, end])
    for number, length in itertools.product(NUMBERS, (0, 1, 2, 4, 32, 33, 70)):
        lie(f"{length} times {number}", shape=[number] * length)
    for shape in (
        [2**32, 2**32],
        [2**63, 2],
        [2**31, 2**31, 4],
        [0, 2**63],
        [2**62, 4, 0],
        [-1, -36],
    ):
        lie(f"of shape {shape}", shape=shape)
        lie(f"nothing of shape {shape}", shape=shape, data_offsets=[0, 0])
    for offsets in ([], [0], [0, 1, 2], None, "x", [0.0, 4.0], [True, False], {"a": 0}):
        lie(f"offsets {offsets}", data_offsets=offsets)
    for other in others:
        lie(f"over {other}", data_offsets=header[other]["data_offsets"])
        swapped = {**header, name: header[other], other: header[name]}
        made[f"swapped with {other}"] = joined(swapped, data)
    for path in (
        "../x",
        "../../outside/precious",
        "/tmp/x",
        "a/b",
        "..",
        ".",
        "",
        "\0",
        "x" * 10_000,
        "\\x",
        "C:\\x",
    ):
        renamed = {path if n == name else n: entry for n, entry in header.items()}
        made[f"name {path[:30]!r}"] = joined(renamed, data)
        made[f"a second name {path[:30]!r}"] = joined({**header, path: header[name]}, data)
    twice = text[:-1] + b"," + json.dumps({name: header[name]}).encode()[1:]
    made["a name twice"] = joined(twice, data)
    made["bytes after the end"] = content + b"x"
    made["a hole"] = joined(header, data + bytes(64))
    made["no tensors"] = joined({}, b"")
    made["no tensors, and bytes"] = joined({}, data)
    made["100,000 empty tensors"] = joined(
        {str(n): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(100_000)},
        b"",
    )
    made |= {f"header: {what}": joined(bad, data) for what, bad in documents.texts(text).items()}
    for number, value in enumerate(documents.VALUES):
        made[f"metadata is value {number}"] = joined({**header, "__metadata__": value}, data)
        inside = {**header, "__metadata__": {tensors.ENTRY: value}}
        made[f"entry is value {number}"] = joined(inside, data)
        spelled = {**header, "__metadata__": {tensors.ENTRY: json.dumps(value)}}
        made[f"entry spells value {number}"] = joined(spelled, data)
    arrays, about = decoded(content)
    for what, change in _numbers_that_are_none(arrays):
        made[what] = encoded({**arrays, **change}, about)
    return made


def _numbers_that_are_none(arrays):
    """``(name, arrays)``: NaN and infinity in each array, and every type."""
    for name, array in arrays.items():
        for value in (np.nan, np.inf, -np.inf, -1, 0, 2**62):
            if array.dtype.kind == "f" or np.isfinite(value):
                yield f"{name} is {value}", {name: np.full_like(array, value)}
        for dtype in ("?", "i1", "u1", "i2", "f2", "f4", "f8", "i8", "u8"):
            yield f"{name} as {dtype}", {name: array.astype(dtype)}
