"""Theory beside measurement: what each layer's signals are, should be, and how far that is off."""

import math

from minicnn.lab.records import SIGNALS, z_scores
from minicnn.lab.tables import as_text
from minicnn.lab.theory import second_moments

TITLES = {"output": "output rms", "delta": "delta rms", "gradient": "dW rms"}
UNUSUAL = 4.0  # standard errors


def scores(record, predictions):
    """z-scores of all three signals.

    Parameters
    ----------
    record : Record
    predictions : list of Prediction
        Of the same batch.

    Returns
    -------
    dict of str to dict of str to float
        By signal, ``output``, ``delta`` and ``gradient``, and by the layer's name.
    """
    found = {}
    for of in SIGNALS:
        predicted, measured = second_moments(predictions, of), record.second_moments(of)
        found[of] = z_scores(measured, predicted) if measured.keys() & predicted.keys() else {}
    return found


def table(record, predictions, layers=None):
    """Measured and predicted root mean squares and the z of their squares, as text.

    Parameters
    ----------
    record : Record
    predictions : list of Prediction
        Of the same batch.
    layers : iterable of str, optional
        Names of the layers to show; all by default.

    Returns
    -------
    str
        Where the theory makes no promise nothing stands beside the measurement. The last line
        counts the z beyond ±4.
    """
    layers = None if layers is None else list(layers)
    z = scores(record, predictions)
    predicted = {of: second_moments(predictions, of) for of in SIGNALS}
    header = ["layer"]
    for of in SIGNALS:
        header += [TITLES[of], "theory", "z"]
    rows = []
    for layer in record.layers:
        if layers is None or layer.name in layers:
            row = [layer.name]
            for of in SIGNALS:
                statistics = getattr(layer, of)
                row.append("" if statistics is None else f"{statistics.rms:.3g}")
                known = layer.name in z[of]
                row.append(f"{math.sqrt(predicted[of][layer.name].value):.3g}" if known else "")
                row.append(f"{z[of][layer.name]:+.1f}" if known else "")
            rows.append(row)
    every = [value for by_layer in z.values() for value in by_layer.values()]
    far = sum(not abs(value) <= UNUSUAL for value in every)
    return f"{as_text(header, rows)}\n{far} of {len(every)} z-scores are beyond ±{UNUSUAL:g}"
