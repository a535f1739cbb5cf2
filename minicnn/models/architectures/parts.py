"""What the recipes share: layers of one activation and one initializer."""

from typing import Any

from minicnn import initializers
from minicnn.checks import check_count, check_flag, check_pair
from minicnn.initializers import Initializer
from minicnn.layers import BatchNorm, Conv2d, Dense, MaxPool2d, activations
from minicnn.layers.algorithms import check_name
from minicnn.layers.base import Layer

MOST_LAYERS, MOST_WIDTH = 10_000, 1_000


class Parts:
    """Makes layers that share one activation, one initializer of all weights, and one algorithm.

    See :func:`minicnn.layers.activations.from_string` for the first, and
    :class:`minicnn.layers.Conv2d` for the last, by which convolutions are computed.
    """

    def __init__(
        self, activation: str = "relu", init: str | Initializer = "msra", algorithm: str = "auto"
    ):
        activations.from_string(activation)
        self.activation, self.init = activation, initializers.from_string(init)
        self.algorithm = check_name(algorithm)

    def active(self) -> Layer:
        """A new activation layer."""
        return activations.from_string(self.activation)

    def conv(
        self, channels: int, kernel_size: int | tuple[int, int] = 3, **settings: Any
    ) -> list[Layer]:
        """A convolution and its activation."""
        check_pair(kernel_size, "kernel_size", 1)
        settings = {
            "init": self.init,
            "algorithm": self._fitting(kernel_size, settings),
            **settings,
        }
        return [Conv2d(channels, kernel_size, **settings), self.active()]

    def normal_conv(self, channels: int, kernel_size: int = 3, **settings: Any) -> list[Layer]:
        """A convolution that keeps the size, batch normalization instead of its bias."""
        padding = check_count(kernel_size, "normal_conv: kernel_size") // 2
        convolution, _ = self.conv(channels, kernel_size, padding=padding, bias=False, **settings)
        return [convolution, BatchNorm()]

    def stem(self, channels: int, small: bool) -> list[Layer]:
        """How ImageNet's networks begin: a 7×7 convolution of stride 2 and a pool.

        For small images a 3×3 convolution that keeps their size.
        """
        if check_flag(small, "stem: small"):
            return [*self.normal_conv(channels), self.active()]
        convolution = self.normal_conv(channels, 7, stride=2)
        return [*convolution, self.active(), MaxPool2d(3, stride=2, padding=1)]

    def _fitting(self, kernel_size, settings):
        plain = all(settings.get(name, 1) == 1 for name in ("stride", "groups"))
        fits = kernel_size == 3 and plain
        return "auto" if self.algorithm == "winograd" and not fits else self.algorithm

    def dense(self, features: int) -> list[Layer]:
        """A dense layer and its activation."""
        return [Dense(features, init=self.init), self.active()]

    def scores(self, classes: int) -> list[Layer]:
        """The last layer: a score for each class."""
        return [Dense(classes, init=self.init)]
