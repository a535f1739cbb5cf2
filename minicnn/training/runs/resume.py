"""Resume: go on with a run that was killed, interrupted or switched off, or give it more epochs."""

import json
import os
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import numba

from minicnn import schedules
from minicnn.checks import check_count, check_dict, check_iterable, check_path, takes
from minicnn.console.output import show_note
from minicnn.errors import ArgumentError, DataError, unknown
from minicnn.plugins import lookup
from minicnn.training.callbacks.checkpoint import BEST, EVERY, has_checkpoint
from minicnn.training.runs import tensors
from minicnn.training.runs.files import json_file
from minicnn.training.runs.folder import RunFolder
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import LATER, Settings
from minicnn.training.runs.values import FREE, OWN, is_own, meaning, versions
from minicnn.training.runs.weights import weights_digest

MOST_JSON = 2**20  # bytes; the longest network that there is takes half of that


@takes(given=check_dict)
def resume(
    path: str | os.PathLike[str],
    given: dict[str, Any] | None = None,
    checkpoint_every: str | int | None = None,
) -> Run | None:
    """The run of a folder, ready to go on from its newest checkpoint.

    It ends with the same bits as one that was never interrupted, on the same versions of
    NumPy and Numba. Without a checkpoint it begins anew in the same folder.

    Parameters
    ----------
    path : str or Path
    given : dict, optional
        Settings by name. The run has its own, and those given must be the same. Free are only
        the number of `threads`, by default the run's as far as this machine has them, and
        where the `data` are now, which must be the same images. A user's file may stand elsewhere
        by now, if it is the same. There may be more `epochs` if the run's schedule is open-ended
        (`Schedule.open_ended`), even after it has finished.
    checkpoint_every : str or int, optional
        By default the run's.

    Returns
    -------
    Run or None
        None if the run has finished, and nothing is left to do.

    Raises
    ------
    ArgumentError
        If there is no run, another process is at work in it, it diverged, or a setting
        differs.
    DataError
        If a file of the run or the data are missing, damaged or changed.
    """
    given = {name: value for name, value in (given or {}).items() if name != "own"}
    folder = RunFolder.reopen(path)
    try:
        config = _read(folder.path / "config.json")
        values = _settings(folder.path, config, given)
        summary = folder.path / "summary.json"  # missing if it was killed before it could tell
        status = _read(summary).get("status") if os.path.lexists(summary) else None
        longer = values["epochs"] != config["epochs"]
        if status == "finished" and not longer:
            folder.release()
            return None
        if status == "diverged":
            raise ArgumentError(
                f"the run in {folder.path} diverged, and would again: begin a new one with a"
                " smaller --lr or another --init."
            )
        _check_weights(folder.path, config, values, "weights" in given)
        say_what_is_executed(folder.path, values, given)
        settings = Settings.from_dict(values)
        run = Run(settings, folder, checkpoint_every or config.get("checkpoint_every", EVERY))
        if longer:
            _lengthen(folder, config, run)
    except BaseException:
        folder.release()
        raise
    run.notes += _other_versions(config)
    return run


def _read(path):
    """A JSON file with an object, as a dict."""
    if not os.path.isfile(path) or path.stat().st_size > MOST_JSON:
        raise DataError(f"{path} is damaged: expected a file of at most {MOST_JSON:,} bytes.")
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}.") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: expected an object of JSON.")
    return value


def _settings(folder, config, given):
    """The run's settings as a dict, after a look at those that are given now."""
    kept: dict[str, Any] = {}
    for field in (field for field in fields(Settings) if field.init):
        value = config.get(field.name, LATER.get(field.name))
        value = tuple(value) if isinstance(value, list) else value
        kind: Any = field.type
        number = type(value) is int and isinstance(1.0, kind)
        if not (number or isinstance(value, kind)):
            raise DataError(f"{folder / 'config.json'} is damaged: {field.name} is {value!r}.")
        kept[field.name] = value
    files = _files(folder, config, kept)
    for name, value in given.items():
        if name not in kept:
            raise unknown("setting", name, kept)
        both_own = name in files and is_own(name, value)
        if name == "epochs":
            kept["epochs"] = _epochs(folder, kept, value)
        elif both_own and lookup.short(value) == lookup.short(kept[name]):
            kept[name] = str(lookup.parse(value))  # the same thing, perhaps at another place
        elif name not in FREE and meaning(name, value) != meaning(name, kept[name]):
            raise ArgumentError(
                f"the run in {folder} has {name} {_word(kept[name])}, and goes on with it; got"
                f" {_word(value)}. Leave --{name.replace('_', '-')} out, or begin a new run."
            )
    most = numba.config.NUMBA_NUM_THREADS
    if given.get("data", kept["data"]) != kept["data"]:
        kept["data"] = given["data"]
        files.pop("data", None)
    kept["threads"] = given.get("threads", min(kept["threads"] or most, most))
    return {**kept, "own": files} if files else kept


def _files(folder, config, values):
    """The user's files that the run was begun with, by setting; nothing is executed yet."""
    files = config.get("own", {})
    named = {name for name in OWN if is_own(name, values[name])}
    whole = isinstance(files, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in files.values()
    )
    if not whole or files.keys() != named:
        raise DataError(
            f"{folder / 'config.json'} is damaged: expected the SHA-256 of the file of"
            f" {' and '.join(sorted(named)) or 'no setting'}, got {files!r}."
        )
    return dict(files)


@takes(folder=check_path, values=check_dict, given=check_iterable)
def say_what_is_executed(folder: Path, values: dict[str, Any], given: Collection[str]) -> None:
    """Name the files on stderr that nobody has named now, before they are executed; or refuse."""
    files = []
    for name, entry in values.get("own", {}).items():
        lookup.check_same(values[name], OWN[name], entry["sha256"])
        file = lookup.parse(values[name]).file()
        if name in given or file in files:
            continue
        if Path(folder).resolve() in file.resolve().parents:
            raise ArgumentError(
                f"{file} lies in the run's own folder, where a run puts no programs: it is not"
                f" executed. If it is yours, move it and give --{name} with its new place."
            )
        files.append(file)
    for file in files:
        show_note(f"{file} is executed, the run was begun with it.")


def _check_weights(folder, config, values, given):
    """Refuse another file of weights, if one is given again or the run has to begin anew."""
    digest = config.get("weights_sha256")
    if digest is None or not (given or not has_checkpoint(folder)):
        return
    now = weights_digest(values["weights"])
    if now != digest:
        raise ArgumentError(
            f"{values['weights']} has changed since the run in {folder} began with it: its SHA-256"
            f" was {str(digest)[:12]}..., now it is {now[:12]}... Bring the old file back, leave"
            " --weights out if the run has a checkpoint, or begin a new run."
        )


def _epochs(folder, kept, epochs):
    """The epochs that were asked for, if the run can have so many."""
    has = f"the run in {folder} has epochs {kept['epochs']}, got {check_count(epochs, 'epochs')}"
    if epochs < kept["epochs"]:
        raise ArgumentError(f"{has}: it can only be given more. Leave --epochs out.")
    if epochs > kept["epochs"] and not schedules.from_string(kept["schedule"]).open_ended:
        raise ArgumentError(
            f"{has}. Its schedule {kept['schedule']} sets every learning rate by the length of the"
            " whole training, so a longer one differs from the first step. Begin a new run with"
            f" --epochs {epochs}; with --schedule constant a run can be given more epochs later."
        )
    return epochs


def _lengthen(folder, config, run):
    """Write the new epochs into the files that have the old; if killed, the run can still go on."""
    best = folder.path / BEST
    if best.exists():
        arrays, about = tensors.read(best)
        about["settings"] = {**about["settings"], "epochs": run.settings.epochs}
        folder.write(BEST, tensors.encode(arrays, about))
    if (folder.path / "summary.json").exists():
        summary = {**_read(folder.path / "summary.json"), "status": "interrupted"}
        folder.write("summary.json", json_file(summary))
    length = {"epochs": run.settings.epochs, "total_steps": run.trainer.total_steps}
    folder.write("config.json", json_file({**config, **length}))


def _word(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _other_versions(config):
    then, now = config.get("versions"), versions()
    if then == now or not isinstance(then, dict):
        return []
    changed = [f"{n} {then.get(n)} then, {v} now" for n, v in now.items() if then.get(n) != v]
    return [f"the bits may differ from those of a run in one go: {', '.join(changed)}."]
