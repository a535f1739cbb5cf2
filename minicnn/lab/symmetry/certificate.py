"""The symmetry certificate: how many different units each layer has, now and while it trains.

Three numbers for each layer. The classes of tied units (:mod:`minicnn.lab.symmetry.tied_units`):
units of a class are copies of each other and stay so. The numerical rank of W as the matrix out x
rest: how many singular values are above a threshold; what training adds to W between two classes is
the same for all their units, so that if W started from 0 or from equal weights its rank stays at
most the number of classes on either side. And the number of distinct filters, the rows of that
matrix: rows may be equal without being tied, as they may feed different units, and tied without
being equal, as those of an identity matrix behind tied units.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from minicnn.checks import check_count, check_items, check_numbers, is_finite, shown, takes
from minicnn.errors import ArgumentError
from minicnn.lab.symmetry.tied_units import WEIGHTS, Network, by_output, clusters
from minicnn.models.sequential import Sequential, initialized
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer


def _check_tolerance(value, what):
    if not (is_finite(value) and value >= 0):
        raise ArgumentError(f"{what} must be a finite number of at least 0, got {shown(value)}.")
    return float(value)


def _check_step(step):
    start = isinstance(step, (int, np.integer)) and step == 0
    return 0 if start else check_count(step, "SymmetryWatch: at")


@dataclass(frozen=True)
class LayerSymmetry:
    """What is known of one layer; what is said of W is None without a matrix."""

    layer: str
    units: int  # channels or features; of a layer behind Flatten the channels before it
    classes: tuple[tuple[int, ...], ...]  # numbers of units that are tied; every unit is in one
    rank: int | None = None  # of W as out x rest
    full_rank: int | None = None  # the largest there can be
    distinct: int | None = None  # rows of W of which no two are equal


@dataclass(frozen=True)
class Certificate:
    """The symmetry of a model at one moment; prints as a table.

    Attributes
    ----------
    layers : tuple of LayerSymmetry
        In the order of the forward pass.
    tolerance : float
        Within which units and filters count as equal, as a share of the largest number; 0: to
        the bit.
    rank_tolerance : float or None
        The threshold of the rank, as a share of the largest singular value; None for NumPy's,
        the longer side of W times the spacing of its numbers at 1.
    """

    layers: tuple[LayerSymmetry, ...]
    tolerance: float
    rank_tolerance: float | None

    @property
    def tied(self) -> bool:
        """Whether any two units of the model are tied."""
        return any(len(row.classes) < row.units for row in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    def __getitem__(self, name: str) -> LayerSymmetry:
        """The row of the layer of that name."""
        return {row.layer: row for row in self.layers}[name]

    def __str__(self) -> str:
        rows = [("layer", "units", "classes", "rank", "distinct filters")]
        for row in self.layers:
            rank = "" if row.rank is None else f"{row.rank} of {row.full_rank}"
            distinct = "" if row.distinct is None else str(row.distinct)
            rows.append((row.layer, str(row.units), str(len(row.classes)), rank, distinct))
        first, *widths = (max(map(len, column)) for column in zip(*rows))
        return "\n".join(
            f"{row[0]:<{first}}  " + "  ".join(f"{a:>{n}}" for a, n in zip(row[1:], widths))
            for row in rows
        )


@takes(model=initialized)
def certify(
    model: Sequential, tolerance: float = 0.0, rank_tolerance: float | None = None
) -> Certificate:
    """The symmetry of a model as it is now.

    Parameters
    ----------
    model : Sequential
        Initialized; nothing of it is changed.
    tolerance, rank_tolerance
        As `Certificate` has them. Kernels add in an order that keeps ties to the bit; 1e-5 is
        right for networks in float32 that were computed otherwise.

    Returns
    -------
    Certificate

    Raises
    ------
    ArgumentError
        For a tolerance that is no finite number of at least 0, a model that is not initialized,
        or one without weights.
    """
    tolerance = _check_tolerance(tolerance, "tolerance")
    if rank_tolerance is not None:
        rank_tolerance = _check_tolerance(rank_tolerance, "rank_tolerance")
    labels = Network(model).refine(tolerance).units()
    rows = [
        _row(layer, labels[layer.name], tolerance, rank_tolerance)
        for layer in model.all_layers()
        if layer.name in labels
    ]
    return Certificate(tuple(rows), tolerance, rank_tolerance)


def _row(layer, labels, tolerance, rank_tolerance):
    classes = tuple(
        tuple(int(unit) for unit in np.flatnonzero(labels == label))
        for label in range(labels.max() + 1)
    )
    if not isinstance(layer, WEIGHTS):
        return LayerSymmetry(layer.name, len(labels), classes)
    matrix = by_output(layer).reshape(layer.output_shape[0], -1)
    distinct = 1 + int(clusters(matrix, tolerance * np.abs(matrix).max()).max())
    rank = numerical_rank(matrix, rank_tolerance)
    return LayerSymmetry(layer.name, len(labels), classes, rank, min(matrix.shape), distinct)


@takes(matrix=partial(check_numbers, ndim=2), tolerance=_check_tolerance)
def numerical_rank(matrix: np.ndarray, tolerance: float | None = None) -> int:
    """How many singular values of an (M, N) matrix are above `tolerance` times the largest.

    By default that is the one of :func:`numpy.linalg.matrix_rank`, ``max(M, N) eps`` with the eps
    of the matrix's dtype. ArgumentError if the matrix holds NaN or infinity, or no number at all.
    """
    if not matrix.size:
        raise ArgumentError(f"a matrix of shape {matrix.shape} holds no numbers: it has no rank.")
    if not np.isfinite(matrix).all():
        raise ArgumentError("the weights hold NaN or infinity, so they have no rank: it diverged.")
    if matrix.dtype not in (np.float32, np.float64):  # LAPACK has no others
        matrix = matrix.astype(np.float64)
    values = np.linalg.svd(matrix, compute_uv=False)
    if tolerance is None:
        tolerance = max(matrix.shape) * np.finfo(matrix.dtype).eps
    return int(np.count_nonzero(values > tolerance * values[0]))


class SymmetryWatch(Callback):
    """Records the certificate at chosen steps of a training, as long as its weights are finite.

    Parameters
    ----------
    every : int, optional
        At every multiple of so many steps, at the start and at the end.
    at : iterable of int, optional
        At these steps, counted as updates made; 0 is before the first.
    tolerance, rank_tolerance
        As for `certify`.

    Attributes
    ----------
    records : list of tuple (int, Certificate)
        Steps in order.

    Raises
    ------
    ArgumentError
        If neither `every` nor `at` is given, or one is out of range.
    """

    @takes(at=check_items, tolerance=_check_tolerance, rank_tolerance=_check_tolerance)
    def __init__(
        self,
        every: int | None = None,
        at: Iterable[int] = (),
        tolerance: float = 0.0,
        rank_tolerance: float | None = None,
    ):
        self.every = None if every is None else check_count(every, "SymmetryWatch: every")
        self.at = {_check_step(step) for step in at}
        if self.every is None and not self.at:
            raise ArgumentError("SymmetryWatch needs steps: every=100, or at=[0, 1, 10].")
        self.tolerance, self.rank_tolerance = tolerance, rank_tolerance
        self.records: list[tuple[int, Certificate]] = []

    def on_train_begin(self, trainer: Trainer) -> None:
        """Record the start, or the end."""
        self._look(trainer, self.every is not None)

    on_train_end = on_train_begin

    def on_step_end(self, trainer: Trainer) -> None:
        """Record this step if it is chosen."""
        self._look(trainer, self.every is not None and trainer.step % self.every == 0)

    def _look(self, trainer, due):
        done = {step for step, _ in self.records}
        wanted = (due or trainer.step in self.at) and trainer.step not in done
        # What has diverged is not this callback's to tell.
        if wanted and all(np.isfinite(p.value).all() for p in trainer.model.parameters()):
            certificate = certify(trainer.model, self.tolerance, self.rank_tolerance)
            self.records.append((trainer.step, certificate))

    def table(self) -> str:
        """The number of classes of tied units, by layer and recorded step, as text."""
        if not self.records:
            return "no step was recorded."
        names = [row.layer for row in self.records[0][1].layers]
        width = max(map(len, ["step", *names]))
        lines = [f"{'step':<{width}}  " + "  ".join(f"{step:>6}" for step, _ in self.records)]
        for n, name in enumerate(names):
            counts = (len(record.layers[n].classes) for _, record in self.records)
            lines.append(f"{name:<{width}}  " + "  ".join(f"{count:>6}" for count in counts))
        return "\n".join(lines)
