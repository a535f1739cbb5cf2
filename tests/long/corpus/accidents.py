"""What may happen to any file: flipped bits, cuts, insertions, numbers that lie."""

import os
import struct
from pathlib import Path

LIARS = (
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 16, 2**64 - 8, 2**64 - 1,
)  # fmt: skip
FIELDS = ("<H", ">H", "<I", ">I", "<Q", ">Q")


def mutated(content, rng):
    """Some accidents, one to four, one after the other."""
    for _ in range(rng.integers(1, 5)):
        content = ACCIDENTS[rng.integers(len(ACCIDENTS))](content, rng)
    return bytes(content)


def _place(content, rng):
    """A place in the file: as often near the start, where headers are, as anywhere."""
    end = min(len(content), 64) if rng.integers(2) else len(content)
    return int(rng.integers(end + 1))


def _flip(content, rng):
    content = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if content:
            content[min(_place(content, rng), len(content) - 1)] ^= 1 << int(rng.integers(8))
    return content


def _truncate(content, rng):
    return content[: _place(content, rng)]


def _insert(content, rng):
    at = _place(content, rng)
    return content[:at] + rng.bytes(int(rng.integers(1, 65))) + content[at:]


def _delete(content, rng):
    at = _place(content, rng)
    return content[:at] + content[at + int(rng.integers(1, 65)) :]


def _repeat(content, rng):
    """Splice a part of the file into another place of it."""
    (start, end), at = sorted(_place(content, rng) for _ in range(2)), _place(content, rng)
    return content[:at] + content[start:end] + content[at:]


def _overwrite(content, rng):
    """Copy a part of the file over another."""
    (start, end), at = sorted(_place(content, rng) for _ in range(2)), _place(content, rng)
    return content[:at] + content[start:end] + content[at + end - start :]


def _lie(content, rng):
    """A length, count or offset that is not true."""
    field, at = FIELDS[rng.integers(len(FIELDS))], _place(content, rng)
    size = struct.calcsize(field)
    value = int(LIARS[rng.integers(len(LIARS))]) % 256**size
    return content[:at] + struct.pack(field, value) + content[at + size :]


def _blank(content, rng):
    """A block that the disk lost."""
    at, size = _place(content, rng), int(rng.integers(1, 513))
    return content[:at] + bytes([int(rng.choice([0, 255]))]) * size + content[at + size :]


ACCIDENTS = (_flip, _truncate, _insert, _delete, _repeat, _overwrite, _lie, _blank)


# What may stand where a file is expected; each is put at a path.
def _link(target):
    def put(path):
        path.symlink_to(target.format(name=path.name, folder=path.parent))

    return put


def _loop_of_two(path):
    other = path.with_name(path.name + ".other")
    other.symlink_to(path.name)
    path.symlink_to(other.name)


def _folder_with_content(path):
    path.mkdir()
    Path(path, "inner").write_bytes(b"content")


def _nothing(path):
    """Leave the path empty."""


NO_FILES = {
    "nothing": _nothing,
    "a folder": Path.mkdir,
    "a folder with content": _folder_with_content,
    "a pipe": os.mkfifo,
    "a link to itself": _link("{name}"),
    "a loop of two links": _loop_of_two,
    "a link to nothing": _link("nowhere"),
    "a link to its folder": _link("."),
    "a link to the root": _link("/"),
    "a link to an endless device": _link("/dev/zero"),
    "a link to an empty device": _link("/dev/null"),
    "a link to another process's memory": _link("/proc/self/mem"),
}

# Content that no format begins with, or that stands for a whole class of accidents.
ANY_CONTENT = {
    "empty": b"",
    "one zero byte": b"\0",
    "a megabyte of zeros": bytes(2**20),
    "a megabyte of ones": b"\xff" * 2**20,
    "a web page": b"<!DOCTYPE html><html><title>503</title></html>",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a zip archive": b"PK\x03\x04" + bytes(60),
    "a pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
    "a script": b"#!/bin/sh\nexit 1\n",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a gzip file of nothing": bytes.fromhex("1f8b08000000000000030300000000000000000000"),
    "a number": b"1" * 5000,
}
