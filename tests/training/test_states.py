"""Saved states: what is none is refused as a whole, before anything has changed."""

import copy

import pytest

from minicnn.errors import DataError, MinicnnError
from minicnn.training.callbacks.early_stopping import EarlyStopping
from minicnn.training.callbacks.gradient_watch import GradientWatch
from minicnn.training.callbacks.loss_watch import LossWatch
from minicnn.training.callbacks.step_log import StepLog
from tests.training.toys import trainer

KEPT = {
    "EarlyStopping": lambda path: EarlyStopping(),
    "GradientWatch": lambda path: GradientWatch(),
    "LossWatch": lambda path: LossWatch(),
    "StepLog": lambda path: StepLog(path / "steps.jsonl"),
    "Trainer": lambda path: trainer(epochs=1),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_state_without_an_entry_changes_nothing(name, tmp_path):
    thing = KEPT[name](tmp_path)
    state = copy.deepcopy(thing.state_dict())
    for missing in state:
        with pytest.raises(DataError, match=f"no state of this {name}, .* KeyError"):
            thing.load_state_dict({key: n for key, n in state.items() if key != missing})
        assert repr(thing.state_dict()) == repr(state)
    thing.load_state_dict(state)


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("wrong", [object(), [1, 2], {"a": 1}, "abc", 1j])
def test_a_state_of_other_values_is_refused_or_taken(name, wrong, tmp_path):
    thing = KEPT[name](tmp_path)
    for key, value in copy.deepcopy(thing.state_dict()).items():
        try:
            thing.load_state_dict({**thing.state_dict(), key: wrong})
        except MinicnnError:
            pass
        thing.load_state_dict({**thing.state_dict(), key: value})


@pytest.mark.parametrize("wrong", [None, 3, [("best", 1)], "best"])
def test_a_state_is_a_dict(wrong):
    with pytest.raises(MinicnnError, match="EarlyStopping: state must be a dict"):
        EarlyStopping().load_state_dict(wrong)
