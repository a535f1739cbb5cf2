"""What is done with a model's layers, in which order: the graph of a model."""

from minicnn.plan.graph import Graph, Node, trace

__all__ = ["Graph", "Node", "trace"]
