"""Register: which folders of a comparison hold which arm, as ``grid.json`` keeps it.

A comparison grows: by seeds, by values of an axis, by axes, by epochs. An arm is known by its
settings, so it keeps the folders that it has, whatever is asked for beside it later.

For the package itself: it checks nothing of what it is handed.
"""

import itertools
import json
import re
from pathlib import Path
from typing import Any

from minicnn import schedules
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.grid import NO_AXES, Grid, Trial, file_names, label, text_of
from minicnn.plugins.lookup import check_same
from minicnn.training.runs.files import to_json
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.values import OWN, absolute, is_own, meaning

GRID_FILE = "grid.json"
SHOWN = 6  # arms in a sentence


class Register:
    """All arms that a folder has been asked for so far; at first those of a grid.

    Attributes
    ----------
    axes : dict
        Every axis that there was, with all values.
    seeds : list of int
    base : dict
        The settings that all arms share, as given.
    arms : dict of str to dict
        The settings of each arm, as given, by what the names of its runs' folders begin with.
    own : dict of str to str
        See `Grid.own`.
    """

    def __init__(self, grid: Grid):
        self.axes = {name: list(values) for name, values in grid.axes.items()}
        self.seeds, self.base = list(grid.all_seeds()), dict(grid.base)
        self.arms, self.own = _arms(self.axes, self.base), dict(grid.own)

    @classmethod
    def read(cls, folder: Path) -> "Register":
        """The register that a folder has.

        ArgumentError if its file cannot be read as one, or a user's file has changed since.
        """
        register = cls.__new__(cls)
        try:
            kept = json.loads((folder / GRID_FILE).read_text("utf-8"))
            register.axes = {name: list(map(_value, v)) for name, v in kept["axes"].items()}
            register.seeds, register.base = list(kept["seeds"]), _values(kept["base"])
            if "arms" in kept:
                register.arms = {name: _values(given) for name, given in kept["arms"].items()}
            else:  # as older versions wrote it: the arms were those of the axes, in order
                register.arms = _arms(register.axes, register.base)
            register.own = dict(kept.get("own", {}))
            for given in register.arms.values():
                for name, value in given.items():
                    if is_own(name, value):
                        digest: Any = register.own.get(value)
                        check_same(value, OWN[name], digest)
                _resolved(given)
        except ArgumentError as error:
            raise ArgumentError(
                f"{folder / GRID_FILE} has an arm that cannot be: {error} Choose another --out."
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArgumentError(
                f"{folder / GRID_FILE} cannot be read as a grid: choose another --out."
            ) from error
        return register

    def as_dict(self) -> dict[str, Any]:
        """What ``grid.json`` holds: paths are absolute, so that it holds in every folder."""
        about = {
            "axes": {n: [absolute(n, v) for v in values] for n, values in self.axes.items()},
            "seeds": self.seeds,
            "base": _absolute(self.base),
            "arms": {name: _absolute(given) for name, given in self.arms.items()},
        }
        return {**about, "own": self.own} if self.own else about

    def grow(self, grid: Grid, folder: Path) -> None:
        """Add the arms and seeds of a grid that are not there yet, and its epochs.

        ArgumentError, which names the folder, if a setting that is no axis differs, or the arms
        cannot have so many epochs.
        """
        for file, digest in grid.own.items():
            if self.own.get(file, digest) != digest:
                raise ArgumentError(
                    f"{file} has changed since the comparison in {folder} began: its SHA-256 was"
                    f" {self.own[file][:12]}..., now it is {digest[:12]}... Bring the old file"
                    " back, or choose another --out."
                )
        new = [{**grid.base, **arm} for arm in grid.arms()]
        was, now = list(map(_resolved, self.arms.values())), list(map(_resolved, new))
        for name in now[0].keys() - {"epochs", *NO_AXES}:
            texts = ({to_json(g.get(name)) for g in arms} for arms in (self.arms.values(), new))
            before, after = (_distinct(settings[name] for settings in arms) for arms in (was, now))
            if name not in self.axes and len({*map(frozenset, texts)}) > 1:
                _check_shared(name, before, after, name in grid.axes, folder)
        if self._set_epochs(grid, new, folder):
            was = list(map(_resolved, self.arms.values()))
        known = set(map(_key, was))
        number = max(int(re.split("[^0-9]", name, maxsplit=1)[0] or 0) for name in self.arms)
        for arm, given, settings in zip(grid.arms(), new, now):
            if _key(settings) not in known:
                number += 1
                self.arms[file_names([arm], number)[0]] = given
        for name in {**self.axes, **grid.axes}:
            kept = self.axes.get(name, (settings[name] for settings in was))
            self.axes[name] = _distinct([*kept, *(settings[name] for settings in now)])
        self.base = {name: v for name, v in self.base.items() if name not in self.axes}
        self.seeds = sorted({*self.seeds, *grid.all_seeds()})
        self.own |= grid.own

    def _set_epochs(self, grid, new, folder):
        """Give every arm the grid's epochs if they are more, and say whether that was done."""
        was = _distinct(given.get("epochs", Settings.epochs) for given in self.arms.values())
        now = _distinct(given.get("epochs", Settings.epochs) for given in new)
        if "epochs" in self.axes or was == now or ("epochs" in grid.axes and was[0] in now):
            return False
        has = f"the comparison in {folder} has epochs {was[0]}, got {', '.join(map(str, now))}"
        if "epochs" in grid.axes:
            raise ArgumentError(f"{has}: add {was[0]} to the axis, or choose another --out.")
        if now[0] < was[0]:
            raise ArgumentError(f"{has}: its runs can only be given more. Choose another --out.")
        for given in self.arms.values():
            schedule = _resolved(given)["schedule"]
            if not schedules.from_string(schedule).open_ended:
                raise ArgumentError(
                    f"{has}. The schedule {schedule} sets every learning rate by the length of the"
                    " whole training, so longer runs differ from the first step. Choose another"
                    " --out; with --schedule constant a comparison can be given more epochs later."
                )
        for given in (self.base, *self.arms.values()):
            given["epochs"] = now[0]
        return True

    def trials(self, grid: Grid) -> list[Trial]:
        """The trials of a grid that is in the register, each with the name of its folder."""
        names = {_key(_resolved(given)): name for name, given in self.arms.items()}
        arms = {label(arm): names[_key(_resolved({**grid.base, **arm}))] for arm in grid.arms()}
        return [t._replace(name=f"{arms[label(t.arm)]}-seed{t.seed}") for t in grid.trials()]

    def others(self, grid: Grid, folder: Path) -> str | None:
        """A sentence on runs in the folder that the grid does not ask for; None without any."""
        asked = {trial.name for trial in self.trials(grid)}
        found: dict[str, list[int]] = {}
        for path in folder.iterdir():
            name, _, seed = path.name.rpartition("-seed")
            if name in self.arms and seed.isdigit() and path.name not in asked:
                found.setdefault(name, []).append(int(seed))
        if not found:
            return None
        words = []
        for name in sorted(found, key=list(self.arms).index)[:SHOWN]:
            settings, seeds = _resolved(self.arms[name]), ", ".join(map(str, sorted(found[name])))
            arm = label({axis: settings[axis] for axis in self.axes})
            words.append(f"{arm} (seed{'s'[: len(found[name]) - 1]} {seeds})")
        if len(found) > SHOWN:
            words.append(f"and {len(found) - SHOWN} more arms")
        count = sum(len(seeds) for seeds in found.values())
        return (
            f"{folder} keeps {count} more run{'s'[: count - 1]}, not asked for and not in this"
            f" report: {'; '.join(words)}."
        )


def _arms(axes, base):
    """The settings of every combination, by what the names of its runs' folders begin with."""
    arms = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    return {name: {**base, **arm} for name, arm in zip(file_names(arms), arms)}


def _resolved(given):
    """All settings, with the defaults in force, and absolute paths of a user's files."""
    return {name: v for name, v in Settings(**given).as_dict().items() if name != "own"}


def _key(settings):
    """What two arms have in common if they compute the same, for each seed."""
    return to_json({n: meaning(n, value) for n, value in settings.items() if n not in NO_AXES})


def _check_shared(name, was, now, is_axis, folder):
    """Refuse another value of a setting that all arms had in common."""
    if {text_of(value) for value in was} & {text_of(value) for value in now}:
        return
    option, was, now = name.replace("_", "-"), text_of(was[0]), ",".join(map(text_of, now))
    begin = f"the output folder {folder} holds a comparison with {name} {was}"
    if is_axis:
        raise ArgumentError(
            f"{begin}, which the axis {name}={now} does not have: add it to the axis, or choose"
            " another --out."
        )
    raise ArgumentError(
        f"{begin}, now given is {now}. Choose another --out, leave --{option} as it was, or"
        f" compare the two: --ablate {option}={was},{now}."
    )


def _value(value):
    """A setting as Settings has it, from JSON."""
    return tuple(value) if isinstance(value, list) else value


def _absolute(given):
    return {name: absolute(name, value) for name, value in given.items()}


def _values(given):
    return {name: _value(value) for name, value in given.items()}


def _distinct(values):
    """The values without those that were there before, in order."""
    return list({to_json(value): value for value in values}.values())
