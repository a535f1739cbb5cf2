"""Theory beside measurement: what each layer's signals are, should be, and how far that is off."""

import math
from collections.abc import Iterable

from minicnn.checks import check_names, list_of, takes
from minicnn.console import terminal
from minicnn.console.table import as_text
from minicnn.lab.measure.layer_stats import SIGNALS, Record, z_scores
from minicnn.lab.measure.signals import Names
from minicnn.lab.theory.prediction import Prediction, second_moments

TITLES = {"output": "output rms", "delta": "delta rms", "gradient": "dW rms"}
UNUSUAL = 4.0  # standard errors


@takes(record=Record, predictions=list_of(Prediction))
def scores(record: Record, predictions: Iterable[Prediction]) -> dict[str, dict[str, float]]:
    """z-scores by signal, ``output``, ``delta`` and ``gradient``, and by the layer's name.

    Record and predictions are of the same batch.
    """
    found = {}
    for of in SIGNALS:
        predicted, measured = second_moments(predictions, of), record.second_moments(of)
        found[of] = z_scores(measured, predicted) if measured.keys() & predicted.keys() else {}
    return found


@takes(record=Record, predictions=list_of(Prediction), layers=check_names)
def table(record: Record, predictions: Iterable[Prediction], layers: Names = None) -> str:
    """Measured and predicted root mean squares and the z of their squares, as text.

    Of the layers of these names, all by default. Where the theory makes no promise nothing stands
    beside the measurement. The line below counts the z beyond ±4; a last one says why there is no
    promise, if there is none somewhere.
    """
    layers = [layers] if isinstance(layers, str) else layers
    z = scores(record, predictions)
    predicted = {of: second_moments(predictions, of) for of in SIGNALS}
    shown = [layer for layer in record.layers if layers is None or layer.name in layers]
    groups = []  # the three numbers of a signal stay side by side
    for of in SIGNALS:
        cells = []
        for layer in shown:
            statistics, known = getattr(layer, of), layer.name in z[of]
            cells.append([
                "" if statistics is None else f"{statistics.rms:.3g}",
                f"{math.sqrt(predicted[of][layer.name].value):.3g}" if known else "",
                f"{z[of][layer.name]:+.1f}" if known else "",
            ])  # fmt: skip
        lines = as_text([TITLES[of], "theory", "z"], cells).split("\n")
        groups.append([line.ljust(len(lines[0])) for line in lines])
    header, *rows = map(list, zip(["layer", *(layer.name for layer in shown)], *groups))
    every = [value for by_layer in z.values() for value in by_layer.values()]
    far = sum(not abs(value) <= UNUSUAL for value in every)
    whole = as_text(header, rows, terminal.width(), keys=1)
    reasons = dict.fromkeys(p.reason for p in predictions if p.reason)
    count = f"{far} of {len(every)} z-scores are beyond ±{UNUSUAL:g}"
    return "\n".join([whole, count, *(f"no theory: {reason}" for reason in reasons)])
