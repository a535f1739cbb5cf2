"""Branches: several paths from one signal, joined by concatenation or by their sum."""

from minicnn.checks import takes
from minicnn.errors import ArgumentError, unknown
from minicnn.kernels.add import add
from minicnn.kernels.concat import copy_channels
from minicnn.layers.base import Layer, check_graph
from minicnn.layers.inside import backward_of, forward_of

JOINS = ("concat", "add")


class Branches(Layer):
    """Layers side by side, all of the same input; a branch of several layers is a Sequential.

    ::

        concat   y = [f_1(x); f_2(x); ...] along the channels     dE/dx = sum of f_b'(x)ᵀ (dE/dy)_b
        add      y = f_1(x) + f_2(x) + ...                        dE/dx = sum of f_b'(x)ᵀ dE/dy

    where ``(dE/dy)_b`` are the channels of dE/dy that came from branch b. Concatenation is that
    of Inception (Szegedy et al., CVPR 2015) and DenseNet (Huang et al., CVPR 2017); a branch
    ``Identity()`` hands x on, as a skip connection does.

    Parameters
    ----------
    *branches : Layer
        At least two.
    join : str
        ``"concat"`` or ``"add"``.

    Raises
    ------
    ArgumentError
        For fewer branches, something that is no layer or another join; and at `build` for
        branches whose shapes do not fit: to be concatenated they must be alike but for the
        channels, to be added altogether.
    """

    gives_away = True

    def __init__(self, *branches, join="concat"):
        super().__init__()
        for layer in branches:
            if not isinstance(layer, Layer):
                raise ArgumentError(
                    f"Branches takes layers, got {layer!r}: put the layers of a branch into a"
                    " Sequential."
                )
        if len(branches) < 2:
            raise ArgumentError(f"Branches takes at least two branches, got {len(branches)}.")
        if join not in JOINS:
            raise unknown("join", join, JOINS)
        self.branches, self.join = list(branches), join

    def children(self):
        """The branches, in order."""
        return self.branches

    def parts(self):
        """The branches, as ``branches.0``, ``branches.1`` and so on."""
        return {f"branches.{index}": layer for index, layer in enumerate(self.branches)}

    @takes(graph=check_graph)
    def connect(self, graph, x):
        """Each branch from `x` on, and the join of their ends."""
        return graph.add(self, [branch.connect(graph, x) for branch in self.branches])

    def _build(self, rng):
        shapes = []
        for branch, own in zip(self.branches, rng.spawn(len(self.branches))):
            branch.needs_input_gradient = self.needs_input_gradient
            shapes.append(branch.build(self.input_shape, own, self.dtype))
        kept = 0 if self.join == "add" else 1
        for index, (branch, shape) in enumerate(zip(self.branches, shapes)):
            if len(shape) != len(shapes[0]) or shape[kept:] != shapes[0][kept:]:
                alike = " in height and width" if kept and len(shapes[0]) == 3 else ""
                raise self._error(
                    f"branch 0 ({self.branches[0].name}) gives {shapes[0]} and branch {index}"
                    f" ({branch.name}) gives {shape}: to be joined by {self.join!r} they must be"
                    f" alike{alike}."
                )
        self._channels = [shape[0] for shape in shapes]
        return (sum(self._channels) if kept else shapes[0][0], *shapes[0][1:])

    def forward(self, x, training=False, samples=None):
        """The branches' outputs, joined; shapes as in :meth:`Layer.forward`."""
        self.check_input(x, samples)
        return self.join_forward(
            [forward_of(branch, x, training, samples) for branch in self.branches]
        )

    def backward(self, dy):
        """Fill the branches' gradients, return the sum of theirs; as in :meth:`Layer.backward`."""
        parts = [
            backward_of(branch, delta)
            for branch, delta in zip(self.branches, self.join_backward(dy))
        ]
        if not self.needs_input_gradient:
            return None
        return self._sum(parts, self._buffers.lanes("dx", len(dy), self.input_shape))

    def join_forward(self, parts):
        """What the branches gave, side by side or added."""
        parts = self._check_parts(parts, [branch.output_shape for branch in self.branches])
        y, start = self._buffers.lanes("y", len(parts[0]), self.output_shape), 0
        if self.join == "add":
            return self._sum(parts, y)
        for part, channels in zip(parts, self._channels):
            copy_channels(_planes(part), 0, _planes(y), start, channels)
            start += channels
        return y

    def join_backward(self, dy):
        """dE/dy for each branch: its channels, or all of it."""
        self.check_gradient(dy)
        if self.join == "add":
            return [dy] * len(self.branches)
        deltas, start = [], 0
        for number, (branch, channels) in enumerate(zip(self.branches, self._channels)):
            delta = self._buffers.lanes(f"delta {number}", len(dy), branch.output_shape)
            copy_channels(_planes(dy), start, _planes(delta), 0, channels)
            deltas.append(delta)
            start += channels
        return deltas

    def gradient_is_free(self):
        """Whether each branch gets an array of its own."""
        return self.join == "concat"

    @staticmethod
    def _sum(parts, out):
        total = parts[0]
        for part in parts[1:]:
            add(_flat(total), _flat(part), False, _flat(out))
            total = out
        return total

    def describe(self):
        """How many branches, and how they are joined."""
        return f"{len(self.branches)} branches, {self.join}"


def _planes(x):
    """``(G, C, ..., 16)`` as ``(G, C, M)``, without a copy."""
    return x.reshape(x.shape[0], x.shape[1], -1)


def _flat(x):
    return x.reshape(len(x), -1)
