"""Initializers for residual networks without normalization: Fixup and ReZero.

Both start every residual block as the identity. What they ask of a network besides its weights
are the learned scalars of :mod:`minicnn.layers.scalars`, and no batch normalization; a recipe that
builds residual blocks reads from `branch_gate` where the scalar of a branch starts and from
`shifts` whether scalars are added, and takes `inner`, `last` and `scores` for the weights inside
a branch, of its last layer, and of the network's last layer. All other weights are made by the
initializer `elsewhere`.
"""

from dataclasses import dataclass, replace

from minicnn.checks import check_finite
from minicnn.initializers.distributions import Zeros
from minicnn.initializers.scaling import MSRA, Scaled


@dataclass(frozen=True)
class Fixup(Scaled):
    """Residual branches: MSRA whose std is scaled by L^(-1/(2m-2)), for L branches of m layers.

    ::

        Var w = 2 / ((1 + a²) fan) L^(-1/(m-1))

    so that one step of SGD changes the scores by an amount that does not depend on the depth.
    It is for the layers inside a branch but the last; that and the network's last layer start
    at 0 (`last`, `scores`), the others by MSRA (`elsewhere`). Before every convolution, dense
    layer and activation stands a learned scalar that is added, from 0, and at the end of every
    branch one that is multiplied, from 1. Zhang, Dauphin & Ma, *Fixup initialization: residual
    learning without normalization*, ICLR 2019 (arXiv 1901.09321).

    Parameters
    ----------
    blocks : float
        L, at least 1. A recipe that counts its branches sets it, by `of`.
    layers : float
        m, at least 2: with one layer the branch has nothing but its last.
    slope : float
        a, of PReLU, as for `MSRA`; ``slope=`` in strings.
    """

    mode: str = "fan_in"
    distribution: str = "normal"
    blocks: float = 1.0
    layers: float = 2.0
    slope: float = 0.0
    name = "fixup"
    branch_gate, shifts = 1.0, True
    inner = property(lambda self: self)
    last = scores = property(lambda self: Zeros())
    elsewhere = property(lambda self: MSRA(self.mode, self.distribution, self.slope))

    @property
    def scale(self) -> float:
        """``2 / (1 + a²) L^(-1/(m-1))``."""
        return 2 / (1 + self.slope * self.slope) * self.blocks ** (-1 / (self.layers - 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks < 1 or self.layers < 2:
            raise self._error(
                f"needs at least 1 block and 2 layers a block, got blocks={self.blocks:g} and"
                f" layers={self.layers:g}."
            )

    def of(self, blocks: float, layers: float) -> "Fixup":
        """The same for another number of branches, and of layers in each."""
        return replace(
            self, blocks=check_finite(blocks, "blocks"), layers=check_finite(layers, "layers")
        )


@dataclass(frozen=True)
class ReZero(MSRA):
    """MSRA weights; every residual branch is multiplied by a learned scalar that starts at 0.

    ``y = x + α f(x)``: at first the identity, whatever f is, with dE/dα alone not 0; with the
    first step α leaves 0 and f's own weights begin to learn. Bachlechner, Majumder, Mao,
    Cottrell & McAuley, *ReZero is all you need: fast convergence at large depth*, UAI 2021
    (arXiv 2003.04887).
    """

    name = "rezero"
    branch_gate, shifts = 0.0, False
    inner = last = scores = elsewhere = property(
        lambda self: MSRA(self.mode, self.distribution, self.slope)
    )

    def of(self, blocks: float, layers: float) -> "ReZero":
        """Itself: the depth does not matter."""
        return self
