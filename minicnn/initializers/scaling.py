"""Variance scaling: the variance follows from the fans. Xavier, MSRA and LeCun."""

import math
from dataclasses import dataclass

from minicnn.initializers.base import Fans, Initializer, Shape
from minicnn.initializers.gains import factor
from minicnn.initializers.settings import MODES


class Scaled(Initializer):
    """Var w = `scale` / fan, mean 0, for the fan that `mode` names; base of those below."""

    scale = property(lambda self: 1.0, doc="Var w times the fan.")
    mode = property(lambda self: "fan_in", doc="Which fan, see `VarianceScaling`.")

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        if fans is None:
            raise self._error("needs the fans of a layer, Fans(fan_in, fan_out), got None.")
        fan = MODES[self.mode](fans)
        if not 0 < fan < math.inf:
            raise self._error(f"{self.mode} must be a number above 0, got {fan}.")
        return 0.0, self.scale / fan


@dataclass(frozen=True)
class VarianceScaling(Scaled):
    """Var w = scale / fan, mean 0.

    Parameters
    ----------
    scale : float
        At least 0.
    mode : str
        Which fan: ``fan_in``, ``fan_out``, or ``fan_avg``, the average of both. ``exact`` is
        the fan_in without the zeros of a padding, `Fans.taps`: a layer whose input has the
        same second moment everywhere then has exactly ``E[z²] = scale E[x²]``, averaged over
        its positions. ``effective_fan_out`` is fan_out divided by the stride's area.
    distribution : str
        ``normal``, ``uniform`` (on ±sqrt(3 Var w)) or ``truncated-normal`` (as
        `TruncatedNormal`), all with this variance.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "normal"
    name = "variance-scaling"


@dataclass(frozen=True)
class Xavier(Scaled):
    """Var w = 2 gain² / (fan_in + fan_out); uniform unless said otherwise.

    Keeps the variance of signals forward and of gradients backward, as far as one number can
    do both, while the activation is close to linear. `gain` is a number or the name of an
    activation. Glorot & Bengio, *Understanding the difficulty of training deep feedforward
    neural networks*, AISTATS 2010, Eq. 12 and 16.
    """

    distribution: str = "uniform"
    gain: float | str = 1.0
    name, mode = "xavier", "fan_avg"

    @property
    def scale(self) -> float:
        """The square of the gain."""
        return factor(self.gain) * factor(self.gain)


@dataclass(frozen=True)
class MSRA(Scaled):
    """Var w = 2 / ((1 + a²) fan_in) with a = `slope`; normal unless said otherwise.

    Keeps the second moment of signals through ReLU (a = 0) or PReLU of slope a; with mode
    ``fan_out`` that of gradients on their way back, with ``effective_fan_out`` through a
    stride too. ``exact`` makes up for zero padding, for one layer: the images that it makes
    are fainter at their borders, so in a stack of layers that correct for as many zeros as
    the first meets E[z²] grows, by 1.10 a 3×3 layer at 7×7 and 1.04 at 28×28 in the end, where
    plain ``fan_in`` makes it fade by .90 and .99. He, Zhang, Ren & Sun, *Delving deep into
    rectifiers*, ICCV 2015 (arXiv 1502.01852), Eq. 10, 14 and 15.
    """

    mode: str = "fan_in"
    distribution: str = "normal"
    slope: float = 0.0
    name = "msra"

    @property
    def scale(self) -> float:
        """``2 / (1 + a²)``."""
        return 2 / (1 + self.slope * self.slope)


@dataclass(frozen=True)
class LeCun(Scaled):
    """Var w = 1 / fan_in; normal unless said otherwise.

    Unit variance stays unit variance through a linear layer. LeCun, Bottou, Orr & Müller,
    *Efficient BackProp*, 1998, Eq. 16; for SELU, Klambauer et al. 2017 (arXiv 1706.02515).
    """

    distribution: str = "normal"
    name = "lecun"
