"""What is done with a model's layers, and in which order: graph, fusion, plan, recording."""

from minicnn.plan.fuse import fuse
from minicnn.plan.graph import Graph, Node, trace
from minicnn.plan.plan import Plan
from minicnn.plan.recording import Recording

__all__ = ["Graph", "Node", "Plan", "Recording", "fuse", "trace"]
