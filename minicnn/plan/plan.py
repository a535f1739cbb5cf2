"""A plan: how the nodes of a model's graph are computed, forwards and back.

For the package itself: it checks nothing of what it is handed; the model's own passes do.
"""

from contextlib import contextmanager
from functools import partial

from minicnn.kernels.add import add
from minicnn.layers.buffers import Buffers
from minicnn.layers.inside import backward_of, forward_of
from minicnn.plan.graph import trace

NONE = []  # methods of others


class Plan:
    """Computes a model node by node; what several nodes read gets the sum of their gradients.

    It is for the layers that the model has now: a model whose layers have changed is refused.

    Parameters
    ----------
    model : Sequential
        Built.

    Attributes
    ----------
    observer : callable or None
        Who is shown every node, see `observed`.
    """

    def __init__(self, model):
        self._model, self._graph = model, trace(model)
        self._steps = [
            (node.index, node.layer, tuple(before.index for before in node.inputs))
            for node in self._graph.nodes[1:]
        ]
        self.observer = None
        self._own = [vars(layer) for _, layer, _ in self._steps]
        several = len(self._graph.input.consumers) > 1
        self._not_summed = {0} if several and not model.needs_input_gradient else set()
        self._buffers = Buffers(model.dtype, model.workspace)
        self._chains = list(_chains(model))

    def methods_of_others(self):
        """The methods that somebody has put in the place of layers' passes."""
        for own in self._own:
            if "forward" in own or "backward" in own:
                names = "forward", "backward"
                return [own[name] for own in self._own for name in names if name in own]
        return NONE

    def check(self):
        """Raise unless the model's layers are those that the plan was made for.

        Raises
        ------
        ArgumentError
            That says to initialize the model again.
        """
        for chain in self._chains:
            if chain.layers != chain._built:
                self._model.check_layers()  # which says it

    @contextmanager
    def observed(self, observer):
        """Show every pass of every node to `observer`, for a block of code.

        Nothing is replayed meanwhile. Observers may be nested; the last one stands outermost.

        Parameters
        ----------
        observer : callable
            Is called as ``observer(layer, which, arrays, compute)`` in the place of each pass, with
            ``"forward"`` or ``"backward"``, and the arrays in lanes that the layer is handed: its
            inputs, or dE/dy. It must return what ``compute()`` returns: the output, or a list of
            dE/dx of each input. Arrays may be overwritten after the call, so copy what must last.
        """
        outer = self.observer
        self.observer = observer
        if outer is not None:

            def both(layer, which, arrays, compute):
                inner = partial(outer, layer, which, arrays, compute)
                return observer(layer, which, arrays, inner)

            self.observer = both
        try:
            yield
        finally:
            self.observer = outer

    def forward(self, x, training=False, samples=None, recording=None):
        """The output of the last node; shapes as in :meth:`minicnn.layers.Layer.forward`.

        Parameters
        ----------
        x, training, samples
            As there.
        recording : Recording, optional
            Where the pass is written down, so that it can be replayed.
        """
        self.check()
        values = [None] * len(self._graph)
        values[0] = x
        is_shown = self.observer is not None or recording is not None
        for index, layer, inputs in self._steps:
            if not (is_shown or layer.foreign or len(inputs) > 1):
                values[index] = layer.forward(values[inputs[0]], training, samples)
                continue
            compute = partial(self._forward, layer, inputs, values, training, samples)
            if self.observer is not None:
                handed = [values[before] for before in inputs]
                values[index] = self.observer(layer, "forward", handed, compute)
            elif recording is not None:
                values[index] = recording.step(compute, runs_python(layer))
            else:
                values[index] = compute()
        return values[self._graph.output.index]

    def backward(self, dy, recording=None):
        """Fill the parameters' gradients, return dE/dx; as in :meth:`Layer.backward`.

        Parameters
        ----------
        dy : ndarray
        recording : Recording, optional
            As in `forward`.
        """
        gradients = [None] * len(self._graph)
        gradients[self._graph.output.index] = dy
        for index, layer, inputs in reversed(self._steps):
            delta = gradients[index]
            if delta is None:  # no parameters before it, and no use for dE/dx
                continue
            compute = partial(self._backward, layer, inputs, delta)
            if self.observer is not None:
                parts = self.observer(layer, "backward", [delta], compute)
            elif recording is not None:
                parts = recording.step(compute, runs_python(layer))
            else:
                parts = compute()
            for before, part in zip(inputs, parts):
                if part is None or before in self._not_summed:
                    continue
                if gradients[before] is not None:
                    if recording is not None:
                        recording.kernels()
                    part = self._sum(before, layer, part, gradients[before])
                gradients[before] = part
        return gradients[0]

    def _forward(self, layer, inputs, values, training, samples):
        if len(inputs) == 1:
            return forward_of(layer, values[inputs[0]], training, samples)
        return layer.join_forward([values[before] for before in inputs])

    def _backward(self, layer, inputs, delta):
        if len(inputs) == 1:
            return [backward_of(layer, delta)]
        return layer.join_backward(delta)

    def _sum(self, before, layer, part, other):
        """What two consumers hand back to their common input; over the first where it may be."""
        out = part
        if not layer.gradient_is_free():
            shape = self._graph.nodes[before].shape
            out = self._buffers.lanes(before, len(part), shape)
        add(_flat(part), _flat(other), False, _flat(out))
        return out


def runs_python(layer):
    """Whether a layer works outside of the kernels, or somebody has put a method in its place.

    If one pass does, both are called: the way back needs what the layer has kept of this batch.
    """
    return layer.in_python or not {"forward", "backward"}.isdisjoint(vars(layer))


def _chains(layer):
    """Every Sequential: what remembers the layers that were built."""
    if hasattr(layer, "_built") and hasattr(layer, "layers"):
        yield layer
    for child in layer.children():
        yield from _chains(child)


def _flat(array):
    return array.reshape(len(array), -1)
