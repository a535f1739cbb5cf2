"""Experiments that make the claims about initialization visible.

Each states what theory predicts, measures it, draws it, and fails where the prediction does::

    python -m minicnn.lab.experiments E3 E4
    python -m minicnn.lab.experiments --all --quick
"""

from minicnn.lab.experiments import gradient_front, partial_zeros, tanh_signals

#: By name: a module with ``TITLE`` and ``run(quick) -> Result``.
EXPERIMENTS = {"E2": partial_zeros, "E3": gradient_front, "E4": tanh_signals}
