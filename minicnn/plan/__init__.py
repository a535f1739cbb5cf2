"""What is done with a model's layers, and in which order: graph, fusion, plan, recording."""

from minicnn.layers.context import Context
from minicnn.plan.fuse import fuse
from minicnn.plan.graph import Graph, Node, trace
from minicnn.plan.memory import Memory
from minicnn.plan.passes import Passes
from minicnn.plan.plan import Plan
from minicnn.plan.recording import Recording
from minicnn.plan.steps import NEVER, OFTEN, ONCE

__all__ = [
    "NEVER", "OFTEN", "ONCE", "Context", "Graph", "Memory", "Node", "Passes", "Plan", "Recording",
    "fuse", "trace",
]  # fmt: skip
