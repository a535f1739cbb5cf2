"""Symmetry: which units start equal, stay equal, and never get a gradient."""

from minicnn.lab.symmetry.certificate import Certificate, SymmetryWatch, certify
from minicnn.lab.symmetry.gradient_front import Verdict, verdict

__all__ = ["Certificate", "SymmetryWatch", "Verdict", "certify", "verdict"]
