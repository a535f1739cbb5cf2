"""Grid: the trainings of an ablation, every combination of settings with every seed.

On the command line an axis is ``OPTION=A,B,C``. One rule splits its values: at semicolons if
there is one, else at commas; what stands in parentheses, as in ``./myinit.py:Mixed(0.5, 2)``, stays
together. So values that hold commas themselves are written
``init=uniform:-0.05,0.05;msra`` (in quotes, as a shell has a use of its own for semicolons);
a semicolon may end the list, so that ``betas=0.8,0.95;`` is one value.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, NamedTuple

from minicnn.checks import check_callable, check_count, check_dict, check_seed, list_of, takes
from minicnn.errors import ArgumentError, DataError, unknown
from minicnn.paths import name_of
from minicnn.plugins import lookup
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.values import absolute, describe_own, file_word, is_own, meaning
from minicnn.training.runs.weights import weights_digest

NO_AXES = {
    "seed": "--seeds N repeats every arm with N seeds, counted from --seed",
    "threads": "no result depends on it",
}
AXES = tuple(f.name for f in fields(Settings) if f.init and f.name not in NO_AXES)
COMMAS = (
    "Where values hold commas, put semicolons between them, in quotes, as in"
    " --ablate 'init=uniform:-0.05,0.05;msra'."
)


class Trial(NamedTuple):
    """One training of a grid.

    No other has its name, such as ``2-msra-relu-seed0``, which is that of the run's folder. In a
    folder that has grown the number is that of the arm's first time there.
    """

    arm: dict  # the value of each axis, by name
    seed: int
    name: str


@dataclass(frozen=True)
class Grid:
    """All combinations of the axes' values, the arms, each with the same seeds.

    A seed decides the order of the training images and the random numbers that weights are
    made from, whatever the arm: within a seed arms see the same batches, as long as the
    amount of data and the batch size are no axes.

    Parameters
    ----------
    axes : dict
        For each name of a setting a sequence of its values.
    seeds : int
        How many; at least 1.
    first_seed : int
        They are counted from here.
    base : dict
        Settings that all arms share, those not at their defaults.

    Attributes
    ----------
    own : dict of str to str
        The SHA-256 of the file of each value that names something of the user's, by the value
        with an absolute path.

    Raises
    ------
    ArgumentError
        For an axis that is no setting, empty, or has a value twice, also by two names, as he and
        msra; for a grid without axes, and a file that is not there. Whether the values can be is
        for `check` to say.

    Examples
    --------
    >>> grid = Grid({"init": ["zeros", "msra"], "lr": [0.1]}, seeds=2)
    >>> [trial.name for trial in grid.trials()]
    ['1-zeros-0.1-seed0', '2-msra-0.1-seed0', '1-zeros-0.1-seed1', '2-msra-0.1-seed1']
    """

    axes: dict
    seeds: int = 3
    first_seed: int = 0
    base: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check_count(self.seeds, "seeds")
        check_seed(self.first_seed, "first_seed")
        check_dict(self.axes, "axes")
        check_dict(self.base, "base")
        if not self.axes:
            raise ArgumentError(
                "the grid is empty: give at least one axis, as in --ablate init=zeros,msra."
            )
        for name in (*self.axes, *self.base):
            _check_name(name)
        for name, values in self.axes.items():
            if not isinstance(values, (tuple, list, range)):
                raise ArgumentError(f"axis {name} must be a list of values, got {values!r}.")
            if not values:
                raise ArgumentError(f"axis {name} is empty: give it at least one value.")
            _check_different(name, values)
            if name in self.base:
                raise ArgumentError(
                    f"{name} is an axis of the grid and given besides: leave one of the two out."
                )
        chosen = [(name, value) for name, values in self.axes.items() for value in values]
        for name, value in [*chosen, *self.base.items()]:
            for entry in (describe_own({name: value}) or {}).values():
                self.own[absolute(name, value)] = entry["sha256"]
            if name == "weights" and value is not None:
                self.own[value] = weights_digest(value)

    @classmethod
    @takes(
        texts=list_of(str), convert=partial(check_callable, arguments=2), recipe=check_dict,
        base=check_dict,
    )  # fmt: skip
    def from_strings(
        cls,
        texts: Iterable[str],
        convert: Callable[[str, str], Any],
        recipe: dict[str, Any] | None = None,
        base: dict[str, Any] | None = None,
        **seeds: int,
    ) -> "Grid":
        """The grid whose axes are written as on the command line, such as ``init=zeros,msra``.

        Parameters
        ----------
        convert : callable
            ``convert(name, word)`` makes a setting's value of its word, or raises an
            ArgumentError.
        recipe : dict, optional
            Settings of all arms that `base` and the axes change.
        base, **seeds
            As for the class.

        Raises
        ------
        ArgumentError
            As for the class, and for what is not written so, an axis given twice, and a value
            that cannot be.
        """
        words = _split_axes(texts)
        with _hint_at_semicolons(texts):
            axes = {name: tuple(convert(name, w) for w in parts) for name, parts in words.items()}
        kept = {name: value for name, value in (recipe or {}).items() if name not in axes}
        grid = cls(axes, base={**kept, **(base or {})}, **seeds)
        with _hint_at_semicolons(texts):
            grid.check()
        return grid

    @takes(look=partial(check_callable, arguments=1))
    def check(self, look: Callable[[Settings], Any] = lambda settings: None) -> None:
        """Make the settings of every arm, to find what cannot be before anything is trained.

        `look` is called with each, and may raise as well. An ArgumentError names the arm.
        """
        for arm in self.arms():
            try:
                look(self.settings(arm, self.first_seed))
            except DataError:
                raise
            except (ArgumentError, TypeError, ValueError) as error:
                raise ArgumentError(f"the arm {label(arm)} cannot be: {error}") from error

    def arms(self) -> list[dict[str, Any]]:
        """Every combination of values, as a list of dicts; the last axis changes fastest."""
        return [dict(zip(self.axes, values)) for values in itertools.product(*self.axes.values())]

    def trials(self) -> list[Trial]:
        """Every arm with every seed, as a list of Trial; all arms of one seed come first."""
        arms = self.arms()
        return [
            Trial(arm, seed, f"{name}-seed{seed}")
            for seed in self.all_seeds()
            for name, arm in zip(file_names(arms), arms)
        ]

    def all_seeds(self) -> range:
        """The seeds, as a range."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @takes(arm=check_dict)
    def settings(self, arm: dict[str, Any], seed: int, threads: int | None = None) -> Settings:
        """The Settings of one trial."""
        for name in arm:
            _check_name(name)
        return Settings(**{**self.base, **arm}, seed=seed, threads=threads)

    @takes(arm=check_dict)
    def epochs(self, arm: dict[str, Any]) -> int:
        """How many epochs an arm is trained for."""
        return {"epochs": Settings.epochs, **self.base, **arm}["epochs"]

    @takes(trial=Trial)
    def values(self, trial: Trial) -> dict[str, Any]:
        """The settings of a trial as `Settings.from_dict` takes them, with the files' digests."""
        values = {**self.base, **trial.arm, "seed": trial.seed}
        files = {
            name: {"sha256": self.own[absolute(name, text)]}
            for name, text in values.items()
            if is_own(name, text)
        }
        return {**values, "own": files} if files else values

    def name(self) -> str:
        """A name that can be a folder's, such as ``ablation-init-activation``."""
        return "-".join(["ablation", *self.axes])


@takes(arm=check_dict)
def label(arm: dict[str, Any]) -> str:
    """An arm in words, such as ``init=msra, activation=relu``."""
    return ", ".join(f"{name}={text_of(value)}" for name, value in arm.items())


def text_of(value: Any) -> str:
    """A setting's value as on the command line."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


@takes(arms=list_of(dict), first=check_count)
def file_names(arms: Sequence[dict[str, Any]], first: int = 1) -> list[str]:
    """What the names of the arms' folders begin with, such as ``2-msra-relu``; counted up."""
    width = len(str(len(arms)))
    return [
        f"{number:0{width}}-{name_of(*(file_word(text_of(value)) for value in arm.values()))}"
        for number, arm in enumerate(arms, first)
    ]


def _check_different(name, values):
    """Raise if a value is given twice, or two mean the same."""
    shown = list(map(text_of, values))
    if len(set(shown)) < len(shown):
        raise ArgumentError(f"axis {name} has a value twice: {', '.join(shown)}.")
    for one, other in itertools.combinations(values, 2):
        if meaning(name, one) == meaning(name, other):
            raise ArgumentError(
                f"axis {name} has a value twice: {text_of(one)} and {text_of(other)} are the same."
                " Leave one of them out."
            )


def _check_name(name):
    if name in NO_AXES:
        raise ArgumentError(f"{name} can be no axis of a grid: {NO_AXES[name]}.")
    if name not in AXES:
        raise unknown("axis", name, AXES)


def _split_axes(texts):
    """The words of each axis by its name, as a dict of lists of str."""
    axes = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ArgumentError(f"axis {text!r}: expected OPTION=A,B, as in init=zeros,msra.")
        _check_name(name)
        if name in axes:
            raise ArgumentError(f"axis {name} is given twice: write all its values in one.")
        axes[name] = _split_values(name, values)
    return axes


def _split_values(name, text):
    separator = ";" if len(_split(text, ";")) > 1 else ","
    words = [word.strip() for word in _split(text, separator)]
    if separator == ";" and not words[-1]:
        words.pop()
    if not any(words):
        raise ArgumentError(f"axis {name} is empty: give it at least one value.")
    if not all(words):
        raise ArgumentError(f"axis {name}: a value is missing in {text!r}.")
    return words


def _split(text, separator):
    """Split a text at separators outside parentheses, unless these do not close."""
    words, depth, quote = [""], 0, None
    for character in text:
        if depth and quote is None and character in "'\"":
            quote = character
        elif character == quote:
            quote = None
        elif quote is None:
            depth = max(0, depth + (character in "([{") - (character in ")]}"))
        if character == separator and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return text.split(separator) if depth else words


@contextmanager
def _hint_at_semicolons(texts):
    """Add the rule to an error that may come from a value that was cut at its commas."""
    try:
        yield
    except ArgumentError as error:
        cut = [text for text in texts if "," in text and ";" not in text]
        words = [word for text in cut for word in _split(text.partition("=")[2], ",")]
        holds_commas = any(":" in word and not lookup.is_own(word.strip()) for word in words)
        if holds_commas or any(text.startswith(("betas", "class")) for text in cut):
            raise ArgumentError(f"{error} {COMMAS}") from error
        raise
