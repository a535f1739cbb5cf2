"""Advice: the verdict of pre-flight on a run as text, and what would help."""

import math
from dataclasses import replace
from typing import Any

from minicnn import initializers, optimizers
from minicnn.checks import takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.lab import preflight
from minicnn.plugins import lookup
from minicnn.training.runs.settings import Settings

THEORY_IMAGES = 32  # its time grows with their square
REMEDIES = ("msra", "xavier", "lecun", "lsuv")


@takes(settings=Settings, dataset=Dataset)
def remedy(
    settings: Settings, dataset: Dataset, kind: str
) -> tuple[dict[str, Any] | None, preflight.Preflight | None]:
    """What else the same network would train with.

    Parameters
    ----------
    settings : Settings
    dataset : Dataset
    kind : str
        Of the verdict on them. After a trial other learning rates are tried, and no weight decay;
        else other initializers, with another learning rate if need be.

    Returns
    -------
    changes : dict or None
        The settings to change; None if nothing that was tried would do.
    found : Preflight or None
    """
    for change in _changes(settings, kind):
        other = replace(settings, **change)
        try:
            found = preflight.of_settings(other, dataset)
        except ArgumentError:  # such as LSUV, where a layer's output does not vary at all
            continue
        if found.trains:
            return change, found
        if "init" in change and found.kind in preflight.OF_TRIAL:
            more, last = remedy(other, dataset, found.kind)
            return (more and {**change, **more}), last
    return None, None


def _changes(settings, kind):
    """What to try, in this order."""
    lr, usual = settings.lr, optimizers.settings(settings.optimizer)["lr"]
    if kind == "too slow":
        return [{"lr": max(usual, 10 * lr)}]
    if kind == "too fast":
        plain = [{"weight_decay": 0.0}] if settings.weight_decay else []
        return plain + [{"lr": float(f"{lr / by:.3g}")} for by in (10, 100, 1000)]
    order = REMEDIES if settings.activation.startswith(("relu", "leaky", "prelu")) else (
        "xavier", "lecun", "msra", "lsuv"
    )  # fmt: skip
    given = str(initializers.from_string(settings.init))
    return [{"init": name} for name in order if str(initializers.from_string(name)) != given]


def _theory(settings, model, dataset):
    """The table beside theory, or why there is none."""
    if getattr(initializers.from_string(settings.init), "data_dependent", None):
        name = lookup.short(settings.init)
        return f"Theory is of weights as they are drawn; {name} scales them by images."
    batch = preflight.first_images(dataset, THEORY_IMAGES)
    try:
        return (
            f"Beside theory, from {len(batch[0])} images. Delta is of their mean loss, so it is\n"
            f"larger the fewer they are.\n\n{preflight.beside_theory(model, *batch)}"
        )
    except ArgumentError as error:
        return f"No theory: {error}"


@takes(settings=Settings, dataset=Dataset)
def report(settings: Settings, dataset: Dataset) -> tuple[str, str, bool]:
    """The verdict as text: tables, and a sentence with what would help.

    Returns
    -------
    tables, verdict : str
    trains : bool
    """
    model, found = settings.make_model(dataset), preflight.of_settings(settings, dataset)
    theory = _theory(settings, model, dataset)
    tables = f"{found.record}\n\n{theory}"
    lines = [f"{lookup.short(settings.model)} with {lookup.short(settings.init)} {found}"]
    if not found.trains:
        changes, other = remedy(settings, dataset, found.kind)
        lines.append(_none(found.kind) if changes is None else _advice(changes, found, other))
    return tables, "\n".join(lines), found.trains


def _advice(changes, found, other):
    """What would help, and what of the signals it would change."""
    named = [f"--{name.replace('_', '-')} {v:g}" for name, v in changes.items() if name != "init"]
    words = " and ".join([changes["init"], *named] if "init" in changes else named)
    if found.kind in preflight.OF_TRIAL:
        return f"With {words} it would train: {other.trial}."
    now, then = found.record.delta_ratio, other.record.delta_ratio
    rather = f" rather than {now:.2g}" if math.isfinite(now) else ""
    return (
        f"With {words} it would train: scores vary by {other.record.logit_std:.2g}, delta in the"
        f" first layer is {then:.2g} of that in the last{rather}."
    )


def _none(kind):
    """That nothing was found, and what else to try."""
    if kind in preflight.OF_TRIAL:
        return "No other learning rate that was tried is judged better: try another --optimizer" + (
            ", or more --epochs." if kind == "too slow" else ", --momentum or --activation."
        )
    return (
        f"None of {', '.join(REMEDIES)} is judged better: try another activation, fewer layers, or"
        " more steps."
    )
