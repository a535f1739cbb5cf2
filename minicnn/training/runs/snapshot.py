"""Snapshot: all that training needs to go on bit for bit, as arrays and plain values.

For the package itself: it checks nothing of what it is handed.
"""

import math
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.errors import DataError
from minicnn.parameter import assign
from minicnn.training.generators import generators
from minicnn.training.runs.tensors import digest_of_arrays
from minicnn.training.runs.weights import named_arrays

if TYPE_CHECKING:
    from minicnn.training.callbacks.base import Callback
    from minicnn.training.trainer import Trainer

FORMAT = 1  # to be raised when older versions could not go on from what is kept
MODEL, OPTIMIZER, AVERAGE, PREDICTED = "model.", "optimizer.", "average.", "predicted"


def capture(
    trainer: "Trainer", data: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Where a trainer stands, after any step and between epochs; `data` is by `describe_data`.

    Returns
    -------
    arrays : dict of str to ndarray
        Weights, running statistics and averages of both, the optimizer's averages, the last
        predictions. Not
        copies: they change with the next step.
    about : dict
        Plain values: the trainer's state, the callbacks', and those of the generators that
        layers draw from (a layer keeps its own as ``rng``).
    """
    arrays = {f"{MODEL}{name}": array for name, array in named_arrays(trainer.model).items()}
    averages = trainer.optimizer.state_dict(copy=False)
    arrays |= {f"{OPTIMIZER}{name}": array for name, array in averages.items()}
    average = None if trainer.average is None else trainer.average.state_dict()
    if average is not None:
        arrays |= {f"{AVERAGE}{name}": array for name, array in average["arrays"].items()}
    if trainer.predicted is not None:
        arrays[PREDICTED] = trainer.predicted
    callbacks: dict[str, list[dict[str, Any]]] = {}
    for callback in trainer.callbacks:
        state = callback.state_dict()
        if state:
            callbacks.setdefault(type(callback).__name__, []).append(state)
    about = {
        "format": FORMAT,
        "data": data,
        "trainer": trainer.state_dict(),
        "generators": {n: rng.state for n, rng in generators(trainer.model).items()},
        "callbacks": callbacks,
        **({} if average is None else {"average": average["about"]}),
    }
    return arrays, about


def restore(
    trainer: "Trainer", arrays: dict[str, np.ndarray], about: dict[str, Any], data: dict[str, Any]
) -> None:
    """Let a fresh trainer stand where another with the same settings stood.

    It may have its callbacks already; see `restore_callbacks`. `arrays` and `about` are what
    `capture` gave, `data` is what `describe_data` gives for this trainer. A snapshot of other data
    or another training, or none at all, is a DataError, and the trainer is of no use then.
    """
    try:
        if about["format"] != FORMAT:
            raise DataError(f"it has format {about['format']!r}, this version writes {FORMAT}.")
        if about["data"] != data:
            raise DataError(
                "the data set is not the one that the run was trained on so far: its images,"
                " labels or normalization have changed. Bring it back, or begin a new run."
            )
        assign(named_arrays(trainer.model), _of(MODEL, arrays))
        trainer.optimizer.load_state_dict(_of(OPTIMIZER, arrays))
        if trainer.average is not None:
            state = {"about": about["average"], "arrays": _of(AVERAGE, arrays)}
            trainer.average.load_state_dict(state)
        drawn = generators(trainer.model)
        for name in drawn.keys() | about["generators"].keys():
            drawn[name].state = about["generators"][name]
        trainer.load_state_dict(_checked(about["trainer"], trainer.test is not None))
        predicted = arrays.get(PREDICTED)
        images = 0 if trainer.test is None else len(trainer.test)
        if predicted is not None and (predicted.shape, predicted.dtype.kind) != ((images,), "i"):
            raise DataError(f"its predictions are {predicted.dtype} of shape {predicted.shape}.")
        trainer.predicted = predicted
        restore_callbacks(trainer.callbacks, about)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise DataError(f"it is no state of this training: {error!r}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error


def restore_callbacks(callbacks: "Iterable[Callback]", about: dict[str, Any]) -> None:
    """Give each callback the state that the snapshot keeps of one of its class, in order."""
    kept = {name: list(states) for name, states in about["callbacks"].items()}
    for callback in callbacks:
        states = kept.get(type(callback).__name__)
        if states:
            callback.load_state_dict(states.pop(0))


def describe_data(trainer: "Trainer") -> dict[str, Any]:
    """What tells a trainer's data from others: digests and normalization, as plain values."""
    train, held = trainer.train, trainer.validation
    return {
        "train": _digest(train),
        **({} if trainer.test is None else {"test": _digest(trainer.test)}),
        **({} if held is None else {"validation": _digest(held)}),
        "mean": train.mean.tolist(),
        "std": train.std.tolist(),
    }


def _digest(dataset):
    arrays = {name: getattr(dataset, name) for name in ("images", "labels", "mean", "std")}
    return digest_of_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _of(prefix, arrays):
    return {n.removeprefix(prefix): array for n, array in arrays.items() if n.startswith(prefix)}


def _checked(state, tested):
    """A trainer's state whose history is of numbers by name, with NaN for JSON's null."""
    if not isinstance(state["step"], int):
        raise DataError(f"its step is {state['step']!r}.")
    lines = []
    for epoch, line in enumerate(state["history"], start=1):
        lines.append({name: math.nan if n is None else n for name, n in line.items()})
        whole = all(isinstance(value, numbers.Real) for value in lines[-1].values())
        if not (whole and line["epoch"] == epoch and ("test_accuracy" in line) == tested):
            raise DataError(f"its line of epoch {epoch} is {line!r}.")
    return {**state, "history": lines}
