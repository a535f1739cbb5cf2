"""Records: what a probe found in every layer, as a table, as plain dicts, beside a theory."""

import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minicnn.checks import check_dict, check_kind, check_number, check_numbers, check_text, takes
from minicnn.console import terminal
from minicnn.console.table import as_text
from minicnn.errors import ArgumentError, unknown
from minicnn.lab.theory.finite_width import Moment

QUANTILES = (2, 25, 50, 75, 98)  # per cent
SORTED_AT_MOST = 2**14  # numbers: the median of so many is known to 1 % of a std

PART = 2**18  # numbers that are looked at in float64 at once: the processor's cache holds them

SIGNALS = ("output", "delta", "gradient")


@dataclass(frozen=True)
class Statistics:
    """Moments and quantiles of the numbers of an array, all taken alike."""

    mean: float  # E[v]
    second_moment: float  # E[v²]
    std: float  # √E[(v - E[v])²]
    quantiles: dict[str, float]  # by the per cent of numbers below: "2", "25", "50", "75", "98"

    @classmethod
    @takes(array=check_numbers)
    def of(cls, array: np.ndarray) -> "Statistics":
        """Of an array; sums are in float64.

        Quantiles are of at most 16,384 of the numbers, evenly spread, since sorting would
        take longer than all else. NaN where a number is NaN; ArgumentError if there is none.
        """
        if not array.size:
            raise ArgumentError(f"an array of shape {array.shape} holds no numbers to look at.")
        values, size = array.ravel(), array.size
        parts = [values[start : start + PART] for start in range(0, size, PART)]
        with np.errstate(over="ignore", invalid="ignore"):
            part = np.percentile(values[:: _stride(array.shape)], QUANTILES)
            wide = [_sums(values, 0.0) for values in parts]
            mean, second = (sum(each) / size for each in zip(*wide))
            std = math.sqrt(sum(_sums(values, mean)[1] for values in parts) / size)
        quantiles = {str(q): float(value) for q, value in zip(QUANTILES, part)}
        return cls(float(mean), float(second), std, quantiles)

    @property
    def rms(self) -> float:
        """√E[v²]."""
        return math.sqrt(self.second_moment)


@dataclass(frozen=True)
class LayerRecord:
    """What a probe found in one layer.

    Attributes
    ----------
    name : str
    output : Statistics
        Of the layer's output.
    delta : Statistics
        Of dE/d(output), E the mean loss over the batch: it has 1/N in it.
    gradient : Statistics or None
        Of dE/dW, in layers with a weight.
    dead : float or None
        ReLU: the fraction of units that are 0 for every sample of the batch. A unit is a
        feature, or a channel with all its positions.
    saturated : float or None
        Tanh, sigmoid, hardsigmoid and softsign: the fraction of outputs, over units, positions and
        samples, within 0.05 of one of the function's two bounds.
    update : float or None
        ‖W after - W before‖ / ‖W before‖ of the one step before, where it was watched.
    """

    name: str
    output: Statistics
    delta: Statistics
    gradient: Statistics | None = None
    dead: float | None = None
    saturated: float | None = None
    update: float | None = None


@dataclass(frozen=True)
class Record:
    """What a probe found in a model, with one batch.

    ``print(record)`` shows a table; ``record["3.dense"]`` is one layer.

    Attributes
    ----------
    layers : tuple of LayerRecord
        In the order of the forward pass.
    loss : float
        Mean over the batch, in nats.
    classes : int
        K.
    class_entropy : float
        ``- sum of f_k ln f_k`` of the class frequencies f, in nats: the least loss of a network
        that ignores its input.
    logit_std : float
        Std of a score over the samples, as the root mean square over the classes: 0 for a
        network that ignores its input, whatever its biases.
    samples : int
        N.
    step : int or None
        Updates made before.
    """

    layers: tuple[LayerRecord, ...]
    loss: float
    classes: int
    class_entropy: float
    logit_std: float
    samples: int
    step: int | None = None

    def __getitem__(self, name: str) -> LayerRecord:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown("layer", name, [layer.name for layer in self.layers])

    @property
    def ln_classes(self) -> float:
        """``ln K``: the loss of a network that gives every class the same score."""
        return math.log(self.classes)

    @property
    def delta_ratio(self) -> float:
        """Rms of delta in the first layer with a weight over that in the last; NaN if none."""
        weighted = [layer.delta.rms for layer in self.layers if layer.gradient is not None]
        return ratio(weighted[0], weighted[-1]) if weighted else math.nan

    @takes(of=check_text)
    def second_moments(self, of: str = "output") -> dict[str, float]:
        """The second moment of a signal in every layer that has it, by the layer's name.

        The signals are ``output``, ``delta`` and ``gradient``; ArgumentError for another.
        """
        if of not in SIGNALS:
            raise unknown("signal", of, SIGNALS)
        found = {layer.name: getattr(layer, of) for layer in self.layers}
        return {name: s.second_moment for name, s in found.items() if s is not None}

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; NaN and infinity stay, ``to_json`` makes them null."""
        whole = {"ln_classes": self.ln_classes, "delta_ratio": self.delta_ratio}
        plain = asdict(self) | whole
        return plain | {"layers": list(plain["layers"])}

    def __str__(self) -> str:
        header = ["layer", "mean", "rms", "std", "2 %", "50 %", "98 %", "delta rms", "dW rms"]
        header += ["dead", "saturated", "update"]
        where = "" if self.step is None else f"step {self.step}, "
        end = (
            f"{where}{self.samples} samples: loss {self.loss:.4f} (ln K {self.ln_classes:.4f},"
            f" entropy of the classes {self.class_entropy:.4f}), logit std"
            f" {_number(self.logit_std)}, delta first / last {_number(self.delta_ratio)}"
        )
        rows, width = [_row(layer) for layer in self.layers], terminal.width()
        return f"{as_text(header, rows, width, keys=1)}\n{textwrap.fill(end, width)}"


@takes(measured=check_dict, predicted=check_dict)
def z_scores(measured: dict[str, float], predicted: dict[str, Moment]) -> dict[str, float]:
    """How far measured values are from a theory, in its standard errors.

    Of ``record.second_moments("delta")`` and ``theory.second_moments(predictions, "delta")``, for
    example: for the names in both, in the order of `measured`, as
    :meth:`minicnn.lab.theory.finite_width.Moment.z` defines them. ArgumentError if there are none.
    """
    scores = {}
    for name in [name for name in measured if name in predicted]:
        value = check_number(measured[name], f"z_scores: measured {name}")
        scores[name] = check_kind(predicted[name], Moment, f"z_scores: predicted {name}").z(value)
    if not scores:
        raise ArgumentError(
            f"nothing to compare: measured {', '.join(measured) or 'nothing'}, predicted"
            f" {', '.join(predicted) or 'nothing'}."
        )
    return scores


@takes(above=check_number, below=check_number)
def ratio(above: float, below: float) -> float:
    """``above / below``; of 0 below, infinity with the sign of `above`, or NaN for 0 / 0."""
    if below:
        return above / below
    return math.nan if above == 0 or math.isnan(above) else math.copysign(math.inf, above)


def _sums(values, centre):
    """The sums of the numbers less the centre, and of their squares."""
    wide = values.astype(np.float64)
    if centre:
        wide -= centre
    return wide.sum(), wide @ wide


def _stride(shape):
    """A step that takes few enough numbers of an array, and not the same columns in each row."""
    size, rest = math.prod(shape), math.prod(shape[1:])
    step = -(-size // SORTED_AT_MOST)
    while math.gcd(step, rest) > 1:
        step += 1
    return step


def _row(layer):
    output, quantiles = layer.output, layer.output.quantiles
    gradient = None if layer.gradient is None else layer.gradient.rms
    numbers = [
        output.mean, output.rms, output.std, quantiles["2"], quantiles["50"], quantiles["98"],
        layer.delta.rms, gradient, layer.dead, layer.saturated, layer.update,
    ]  # fmt: skip
    return [layer.name, *map(_number, numbers)]


def _number(value):
    return "" if value is None else f"{value:.3g}"
