"""Hostile files for each reader: made from good ones by accident, or by hand.

A kind of file is a module of this folder with

- ``SHARE``: how many of the mutated inputs are of this kind, relative to the other kinds;
- ``prepare(folder)``: write a good file, or folder of files, that the reader accepts;
- ``TARGETS``: the names of the files in it that are attacked, one at a time;
- ``read(folder)``: call the reader under test, and return what it gives;
- ``check(folder, found)``: assert what must hold of what a reader has accepted;
- ``mutated(content, rng)``: bytes made from a good file's bytes by some accidents;
- ``handmade(target, content)``: ``{name: attack}``, where an attack is bytes, or a function
  that puts something else at the path that it is given, such as a pipe;
- ``held(content)``: how many bytes a file may rightly make its reader hold, see `JSON`;
- ``WRITES``, if it may write into that folder.
"""

import importlib

#: Bytes that a byte of JSON may take when read: ``[],`` becomes a list, and a place in another.
JSON = 64

KINDS = ("idx", "folder", "weights", "run")


def load(name):
    """The module of a kind."""
    return importlib.import_module(f"{__name__}.{name}")
