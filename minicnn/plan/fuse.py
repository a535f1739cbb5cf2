"""Fusion: which layer does the work of a ReLU beside it, and which writes where another has read.

The numbers are the same, it spares passes over memory. Three rules, for every edge of the graph:

- A ReLU that one layer alone reads goes into the max pooling behind it, else into what makes its
  input, if that has an epilogue for it.
- A layer may write over its input where nobody else reads it and its maker does not need it.
- A layer may write over the gradient that it is handed where that is an array of the next layer's
  own, or a sum that was made for it.

For the package itself: it checks nothing of what it is handed.
"""

from minicnn.layers.activations import ReLU


def fuse(graph):
    """Set the layers' ``rectify``, ``absorbed``, ``overwrites_input`` and ``overwrites_gradient``.

    Parameters
    ----------
    graph : Graph
        Of layers that share nothing yet, see :meth:`minicnn.layers.Layer.reset_sharing`.
    """
    for node in graph.nodes[1:]:
        if type(node.layer) is ReLU:
            _absorb(graph, node)
    for node in graph.nodes[1:]:
        if not node.layer.absorbed:
            _reuse(graph, node)


def _absorb(graph, relu):
    before, host = relu.inputs[0], None
    if _is_read_once(graph, relu) and relu.consumers[0].layer.rectifies == "input":
        host = relu.consumers[0].layer
    elif before.layer is not None and _is_read_once(graph, before):
        host = before.layer if before.layer.rectifies == "output" else None
    if host is not None:
        relu.layer.absorbed = host.rectify = True


def _reuse(graph, node):
    layer = node.layer
    for place, before in enumerate(node.inputs):
        once = _is_read_once(graph, before)
        while before.layer is not None and before.layer.absorbed:  # hands on what it is handed
            before = before.inputs[0]
            once = once and _is_read_once(graph, before)
        if before.layer is None:
            continue
        if place == 0:
            layer.overwrites_input = once and before.layer.output_is_free()
        before.layer.overwrites_gradient = not once or layer.gradient_is_free()


def _is_read_once(graph, node):
    return len(node.consumers) == 1 and node is not graph.output
