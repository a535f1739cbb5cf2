"""Measurements of signals, gradients and Jacobians, and their comparison with theory."""

from minicnn.lab.measure.jacobian import Jacobian, singular_values
from minicnn.lab.measure.probes import Probes, dead_units, probe
from minicnn.lab.measure.signals import Signals

__all__ = ["Jacobian", "Probes", "Signals", "dead_units", "probe", "singular_values"]
