"""Twelve networks, and what neural-tangents (Novak et al., ICLR 2020) says of their second moments.

Their kernels are in ``neural_tangents.json``: for each network and layer ``E[x_n x_m]``, the mean
over positions, for all pairs of five images. Made with neural-tangents 0.6.5 and jax 0.4.30 in
float64, and made anew by

    pip install neural-tangents jax==0.4.30 jaxlib==0.4.30 "numpy<2" "scipy<1.14"
    python -m tests.lab.theory.neural_tangents

which takes some minutes. Nothing here needs minicnn.
"""

import json
from pathlib import Path

import numpy as np

CONSTANTS = Path(__file__).with_name("neural_tangents.json")
GAINS = {"msra": 2.0, "lecun": 1.0}  # E[w²] times fan_in

DIGIT = """
000000000
000001120
002799320
000350000
000053000
000005500
000058400
005861000
013100000
"""  # the first of MNIST, each number the mean of 3×3 pixels


def images():
    """Five images, shape (5, 2, 9, 9), that differ in structure and by a factor of 100 in size."""
    rng, digit = np.random.default_rng(0), np.array([list(row) for row in DIGIT.split()], float) / 9
    stripes = np.broadcast_to(np.arange(9) % 2, (9, 9)) - 0.5
    half = np.where(np.arange(9) < 4, 1.0, rng.standard_normal((9, 9)))
    return np.stack(
        [
            np.ones((2, 9, 9)),
            rng.standard_normal((2, 9, 9)),
            np.stack([3 * digit, digit - 0.5]),
            0.1 * np.stack([stripes, digit]),
            np.stack([half, 2 * half[::-1]]),
        ]
    )


def conv(kernel_size, stride=1, padding=0):
    return "conv", kernel_size, stride, padding


def average(window, stride=None, padding=0):
    return "average", window, stride or window, padding


def residual(*body, shortcut=()):
    return "residual", body, shortcut


GLOBAL, FLATTEN, DENSE = ("global",), ("flatten",), ("dense",)
RELU, GELU, TANH, LEAKY = ("relu",), ("gelu",), ("tanh",), ("leaky-relu", 0.2)

# By name: initializer, standard deviation of the biases, layers.
NETWORKS = {
    "dense": ("msra", 0.1, [FLATTEN, DENSE, RELU, DENSE, RELU, DENSE]),
    "plain": (
        "msra", 0.0,
        [conv(3, 1, 1), RELU, conv(3, 2, 1), RELU, conv(3), LEAKY, FLATTEN, DENSE, RELU, DENSE],
    ),
    "global": ("msra", 0.0, [conv(3, 1, 1), RELU, conv(3, 1, 1), RELU, GLOBAL, DENSE]),
    "global-biased": (
        "msra", 0.3, [conv(3), LEAKY, conv(3, 2), LEAKY, GLOBAL, DENSE, LEAKY, DENSE],
    ),
    "lenet": (
        "msra", 0.1,
        [conv(5, 1, 2), RELU, average(2), conv(3, 1, 1), RELU, average(2), FLATTEN, DENSE, RELU,
         DENSE],
    ),
    "overlapping": (
        "msra", 0.0,
        [conv(3, 1, 1), RELU, average(3, 2, 1), conv(3, 1, 1), RELU, average(3, 1, 1),
         conv(3, 2, 1), RELU, GLOBAL, DENSE],
    ),
    "pooled-images": ("msra", 0.0, [average(3, 2), conv(3, 1, 1), RELU, conv(1), RELU, GLOBAL]),
    "pooled-twice": ("lecun", 0.2, [conv(1), LEAKY, average(2), average(2, 1), conv(1), GELU]),
    "strides": (
        "msra", 0.2,
        [conv(3, 2, 1), RELU, conv(3, 1, 1), RELU, conv(3, 2, 1), RELU, GLOBAL, DENSE],
    ),
    "gelu": (
        "msra", 0.1, [conv(3), GELU, average(3, 2), conv(3, 1, 1), GELU, GLOBAL, DENSE, GELU, DENSE]
    ),
    "tanh": (
        "lecun", 0.1, [conv(3, 3), TANH, average(2, 1), conv(1), TANH, GLOBAL, DENSE],
    ),
    "residual": (
        "msra", 0.1,
        [conv(3, 1, 1), residual(RELU, conv(3, 1, 1), RELU, conv(3, 1, 1)),
         residual(RELU, conv(3, 2, 1), shortcut=[average(3, 2, 1), conv(1)]),
         residual(RELU, average(3, 1, 1), conv(3, 1, 1)), RELU, GLOBAL, DENSE],
    ),
}  # fmt: skip


def main():
    """Make the constants."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from neural_tangents import stax

    def made(spec, init, bias):
        kind, *settings = spec
        weights = {"W_std": GAINS[init] ** 0.5, "b_std": bias}
        if kind == "conv":
            size, stride, padding = settings
            border = "SAME" if padding else "VALID"
            return stax.Conv(1, (size, size), (stride, stride), border, **weights)
        if kind == "average":
            window, stride, padding = settings
            border = "SAME" if padding else "VALID"
            return stax.AvgPool((window, window), (stride, stride), border)
        if kind == "residual":
            body, shortcut = ([made(part, init, bias) for part in branch] for branch in settings)
            branches = stax.serial(*body), stax.serial(*(shortcut or [stax.Identity()]))
            return stax.serial(stax.FanOut(2), stax.parallel(*branches), stax.FanInSum())
        return {
            "global": stax.GlobalAvgPool,
            "flatten": stax.Flatten,
            "dense": lambda: stax.Dense(1, **weights),
            "relu": stax.Relu,
            "gelu": stax.Gelu,
            "leaky-relu": lambda: stax.LeakyRelu(*settings),
            # No closed form: integrated over both numbers with 100 nodes each.
            "tanh": lambda: stax.ElementwiseNumerical(jax.numpy.tanh, deg=100),
        }[kind]()

    def pairs(layers, x):
        """E[x_n x_m], the mean over positions."""
        kernel = stax.serial(*layers)[2](x, None).nngp
        if kernel.ndim == 6:
            kernel = np.einsum("nmhhww->nm", kernel) / np.prod(kernel.shape[2::2])
        return np.asarray(kernel, float).round(15).tolist()

    x, found = images().transpose(0, 2, 3, 1), {}
    for name, (init, bias, specs) in NETWORKS.items():
        layers = [made(spec, init, bias) for spec in specs]
        found[name] = [pairs(layers[: n + 1], x) for n in range(len(layers))]
        print(f"{name}: {len(layers)} layers")
    text = json.dumps(found).replace("]], [[", "]],\n[[").replace("]]], ", "]]],\n\n")
    CONSTANTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
