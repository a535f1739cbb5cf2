"""What may happen to JSON: other values, lost and repeated names, depth without end."""

import copy
import json
import math

from tests.long.corpus import accidents

VALUES = (
    None, True, False, 0, 1, -1, 2, 7, 0.5, -0.0, 1e-300, 1e308, -1e308, math.nan, math.inf,
    -math.inf, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, "", "x", "0",
    "nan", "1e999", "\0", "\ud800", "é" * 40, "a" * 5000, "../../outside/precious", "..", ".", "/",
    "/dev/zero", "/proc/self/mem", "~", "$HOME", "help", "__class__", "%s%n", [], {}, [[]], [None],
    [0] * 1000, ["x"], {"": 0}, {"a": {"b": {}}}, [[[[[[[[]]]]]]]], [1, "a", None], [-1], [2**63],
)  # fmt: skip


def mutated(value, rng):
    """The bytes of a JSON document after one to three changes to its values or its text."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(1, 4)):
        value = CHANGES[rng.integers(len(CHANGES))](value, rng)
    text = json.dumps(value).encode()
    return accidents.mutated(text, rng) if rng.random() < 0.2 else text


def changed(value, rng):
    """The document itself, after one to three changes to its values."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(1, 4)):
        value = CHANGES[rng.integers(len(CHANGES))](value, rng)
    return value


def replacements(value):
    """``(name, document)`` with each value in turn replaced by each of `VALUES`."""
    for place in _places(value):
        for number, other in enumerate(VALUES):
            document = copy.deepcopy(value)
            name = f"{'.'.join(map(str, place))} is value {number}"
            yield name, _put(document, place, copy.deepcopy(other))


def without(value):
    """``(name, document)`` with each of its names left out in turn."""
    for place in _places(value):
        document = copy.deepcopy(value)
        if place:
            _inside(document, place[:-1]).pop(place[-1])
            yield f"without {'.'.join(map(str, place))}", document


def texts(good):
    """Text that is hard on a parser, or that other programs take for JSON; bytes by name."""
    deep = 100_000
    return {
        "deep lists": b"[" * deep, "deep lists, closed": b"[" * deep + b"]" * deep,
        "deep objects": b'{"a":' * deep,
        "deep objects, closed": b'{"a":' * deep + b"1" + b"}" * deep,
        "deep within": good.rstrip()[:-1] + b',"deep":' + b"[" * deep + b"]" * deep + b"}",
        "a number of 100,000 digits": good.rstrip()[:-1] + b',"n":' + b"9" * deep + b"}",
        "an exponent": good.rstrip()[:-1] + b',"n":1e' + b"9" * 1000 + b"}",
        "twice": good + good, "every name twice": good.rstrip()[:-1] + b"," + good.lstrip()[1:],
        "no end": good.rstrip()[:-1], "a comment": b"// good\n" + good, "no object": b"[]",
        "null": b"null", "a string": b'"x"', "true": b"true", "an empty object": b"{}",
        "not UTF-8": good.replace(b'"', b'"\xff', 1), "a zero byte": good.replace(b'"', b'"\0', 1),
        "UTF-16": good.decode().encode("utf-16"), "UTF-32": good.decode().encode("utf-32"),
        "many names": b"{" + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}",
        "a long string": b'{"a":"' + b"x" * 2**20 + b'"}',
        "escapes": b'{"a":"' + b"\\u0000" * 10_000 + b'"}',
    }  # fmt: skip


def _places(value, start=()):
    """The path of every value in a document, the document itself first."""
    yield start
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for name, child in inner:
        yield from _places(child, (*start, name))


def _inside(document, place):
    for name in place:
        document = document[name]
    return document


def _put(document, place, value):
    if not place:
        return value
    _inside(document, place[:-1])[place[-1]] = value
    return document


def _chosen(document, rng):
    places = list(_places(document))
    return places[rng.integers(len(places))]


def _value(rng):
    """One of `VALUES`, a copy that later changes may change."""
    return copy.deepcopy(VALUES[rng.integers(len(VALUES))])


def _replace(document, rng):
    return _put(document, _chosen(document, rng), _value(rng))


def _remove(document, rng):
    place = _chosen(document, rng)
    if place:
        _inside(document, place[:-1]).pop(place[-1])
    return document


def _move(document, rng):
    """Copy one value to the place of another."""
    value = copy.deepcopy(_inside(document, _chosen(document, rng)))
    return _put(document, _chosen(document, rng), value)


def _add(document, rng):
    inside = _inside(document, _chosen(document, rng))
    value = _value(rng)
    if isinstance(inside, dict):
        inside[str(_value(rng))[:300]] = value
    elif isinstance(inside, list):
        inside.insert(int(rng.integers(len(inside) + 1)), value)
    return document


def _nudge(document, rng):
    """Change a number a little, or a word by a letter."""
    place = _chosen(document, rng)
    value = _inside(document, place)
    if isinstance(value, (int, float)):
        return _put(document, place, value + int(rng.choice([-1, 1, 10, -1000])))
    if isinstance(value, str) and value:
        at = int(rng.integers(len(value)))
        return _put(document, place, value[:at] + chr(int(rng.integers(32, 127))) + value[at + 1 :])
    return document


CHANGES = (_replace, _replace, _remove, _move, _add, _nudge)
