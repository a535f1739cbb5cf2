"""The folder of a run that was interrupted, as ``--resume`` finds it."""

import functools
import json
from dataclasses import fields

import numpy as np

from minicnn.training.callbacks.base import Callback
from minicnn.training.runs.resume import resume
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings
from tests.data.idx_files import write_folder
from tests.long.corpus import JSON, accidents, documents, tensor_files

SHARE = 8
WRITES = True  # it goes on with the run, so it may write into its folder
NEWEST, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
TARGETS = ("config.json", "summary.json", "metrics.jsonl", NEWEST, PREVIOUS)
INTERRUPTED_AFTER = 7  # steps, of which an epoch has 4

# Words that are options' values, and ask for more than anyone should get.
GREEDY = {
    "model": ("mlp:1x1000000000", "mlp:1000000000", "mlp:" + "9" * 5000, "plain1000000000",
              "resnet6000002", "mlp:100000000x2", "mlp:10x100000"),
    "init": ("constant:1e999", "normal:" + "9" * 500, "uniform:nan,nan", "orthogonal:1e308",
             "os.path:join", "subprocess.nowhere:x", "../outside/a.py:A", "a.py:A(" + "[" * 10**4,
             "/dev/zero.py:A"),
    "activation": ("elu:1e999", "leaky-relu:nan", "prelu:" + "channel," * 10_000),
    "schedule": ("step:" + "0.5," * 10_000 + "0.5", "step:nan", "constant:" + "9" * 5000),
    "data": ("/dev", "/proc/self", "/proc/self/fd", "..", "../outside", "\0", "x" * 5000,
             "~nobody", "~nobody/x"),
    "epochs": (10**18, 10**30), "batch_size": (10**18, 10**30), "limit": (10**18, 10**30),
    "seed": (2**64, 10**400), "threads": (10**9, 2**64), "lr": (1e308, 5e-324, 10**30),
    "checkpoint_every": (10**30, "9" * 5000 + "epochs", [1], {"a": 1}),
}  # fmt: skip


class _Interrupt(Callback):
    """As Ctrl-C does."""

    def on_step_end(self, trainer):
        if trainer.step == INTERRUPTED_AFTER:
            raise KeyboardInterrupt


@functools.cache
def _good(folder):
    """The files of a run in that folder, by name; its data stay in a folder beside it."""
    data = write_folder(folder.parent / "data")
    settings = Settings(
        model="mlp:3", data=str(data), epochs=3, batch_size=5, optimizer="adam", threads=1
    )
    Run(settings, folder, 2).train(quiet=True, callbacks=[_Interrupt()])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def prepare(folder):
    """The run's files."""
    for name, content in _good(folder).items():
        (folder / name).write_bytes(content)


def read(folder):
    """Get ready to go on."""
    run = resume(folder)
    if run is not None:
        run.folder.release()
    return run


def check(folder, run):
    """It stands at a step of its training, with a line for each epoch and finite weights."""
    if run is not None:
        trainer = run.trainer
        assert 0 <= trainer.step <= trainer.total_steps
        assert len(trainer.history) == trainer.epoch <= trainer.epochs
        assert all(np.isfinite(p.value).all() for p in run.model.parameters())


def held(content):
    """Of JSON see `JSON`; a state is read and then taken over."""
    if content[8:9] == b"{":
        return tensor_files.held(content) + len(content)
    return JSON * len(content)


def mutated(content, rng):
    """Accidents that fit the kind of file."""
    if content[:1] != b"{":
        return tensor_files.mutated(content, rng)
    if b"\n{" in content or rng.random() < 0.3:
        return accidents.mutated(content, rng)
    return documents.mutated(json.loads(content), rng)


def handmade(target, content):
    """Every value replaced by others, one at a time; files that lie; and what is no file."""
    attacks = {**accidents.NO_FILES, **accidents.ANY_CONTENT}
    if target == NEWEST:
        attacks |= tensor_files.handmade(content)
        arrays, about = tensor_files.decoded(content)
        changes = [*documents.without(about), *documents.replacements(about)]
        attacks |= {n: tensor_files.encoded(arrays, document) for n, document in changes[::2]}
    elif target in ("config.json", "summary.json"):
        attacks |= documents.texts(content)
        value = json.loads(content)
        settings = {field.name for field in fields(Settings)} | {"checkpoint_every", "status"}
        rest = {name: inner for name, inner in value.items() if name not in settings}
        value = {name: inner for name, inner in value.items() if name in settings}
        changes = [*documents.without(value), *documents.replacements(value)]
        changes = [(name, {**rest, **other}) for name, other in changes if isinstance(other, dict)]
        changes += [(name, {**value, **other}) for name, other in documents.without(rest)]
        if target == "config.json":
            changes += [
                (f"{name} is {str(word)[:30]}, greedy", {**rest, **value, name: word})
                for name, words in GREEDY.items()
                for word in words
            ]
        attacks |= {name: json.dumps(document).encode() for name, document in changes}
    return attacks
