"""Models: layers in sequence, in blocks with shortcuts and in branches; and known networks."""

from minicnn.models.branches import Branches
from minicnn.models.residual import Residual
from minicnn.models.sequential import Sequential

__all__ = ["Branches", "Residual", "Sequential"]
