"""A killed training goes on: the short form of ``python -m tests.long kills``."""

from tests.long import kills


def test_killed_and_resumed_bit_for_bit():
    found = kills.run(3, models=("mlp:16",))
    assert found.failures == []
    assert found.figures["resumed bit for bit"] == "3 of 3"
