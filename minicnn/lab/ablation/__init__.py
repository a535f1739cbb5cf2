"""Ablations: a grid of trainings, run on several processes, and the report of them."""

from minicnn.lab.ablation.ablation import Ablation
from minicnn.lab.ablation.grid import Grid

__all__ = ["Ablation", "Grid"]
