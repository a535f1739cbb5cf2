"""Experiments that make the claims about initialization visible.

Each states what theory predicts, measures it, draws it, and fails where the prediction does::

    python -m experiments E3 E4
    python -m experiments --all --quick

An experiment is a module with ``TITLE``, one line, and ``run(size) -> Result``. The size is
``full``, as in the documentation; ``quick``, smaller and with fewer seeds; or ``tiny``, a few
seconds that check what holds at that size already.
"""

from experiments import (
    adam,
    depth,
    gradient_front,
    headline,
    partial_zeros,
    prelu_fans,
    rescue,
    scale,
    sigmoid_plateau,
    stall,
    tanh_signals,
)

#: The module of each experiment, by the experiment's name.
EXPERIMENTS = {
    "E1": headline,
    "E2": partial_zeros,
    "E3": gradient_front,
    "E4": tanh_signals,
    "E5": sigmoid_plateau,
    "E6": depth,
    "E7": stall,
    "E8": adam,
    "E9": scale,
    "E10": prelu_fans,
    "E11": rescue,
}
