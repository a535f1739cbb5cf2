"""Whether two runs ended alike, but for what the clock decides."""

import json

import numpy as np

from minicnn.training.runs import tensors

LINE_TIMES = ("seconds", "images_per_second")
SUMMARY_TIMES = ("images_per_second", "train_seconds", "compile_seconds", "peak_memory_mb")
STATE_TIMES = ("step_seconds", "train_seconds", "epoch_seconds")


def without(values, times):
    return {name: value for name, value in values.items() if name not in times}


def lines(folder):
    """Of ``metrics.jsonl``, without their times."""
    text = (folder / "metrics.jsonl").read_text()
    return [without(json.loads(line), LINE_TIMES) for line in text.splitlines()]


def summary(folder):
    return without(json.loads((folder / "summary.json").read_text()), SUMMARY_TIMES)


def checkpoint(folder, name="checkpoint.safetensors"):
    """Arrays as bytes with their type and shape, and the plain values without times."""
    arrays, about = tensors.read(folder / name)
    state = without(about["trainer"], STATE_TIMES)
    state["history"] = [without(line, LINE_TIMES) for line in state["history"]]
    found = {n: (a.dtype.name, a.shape, a.tobytes()) for n, a in arrays.items()}
    return found, {**about, "trainer": state}


def differences(one, other):
    """What is not alike in two folders of finished runs, as a list of str.

    Parameters
    ----------
    one, other : Path
    """
    names = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    found = [] if names[0] == names[1] else [f"files {names[0]} and {names[1]}"]
    if set(names[0]) != set(names[1]):
        return found
    for name in {"model.safetensors", "best.safetensors", "steps.jsonl"} & set(names[0]):
        if (one / name).read_bytes() != (other / name).read_bytes():
            found.append(name)
    for what in (lines, summary, checkpoint):
        if what(one) != what(other):
            found.append(what.__name__)
    return found


def bits(trainer):
    """All arrays and results of a trainer, comparable."""
    arrays = {**trainer.model.state_dict(), **trainer.optimizer.state_dict()}
    history = [without(line, LINE_TIMES) for line in trainer.history]
    predicted = np.asarray(trainer.predicted)
    return {n: a.tobytes() for n, a in arrays.items()}, history, predicted.tobytes(), trainer.step
