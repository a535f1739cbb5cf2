"""Named architectures: what :mod:`minicnn.models.architectures` builds, by well-known names.

Each takes the activation and the initializer as arguments, so that the same network can be
started in every way.
"""

import math
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from minicnn.checks import check_count, check_shape, check_text, takes
from minicnn.console.output import first_line
from minicnn.errors import ArgumentError
from minicnn.initializers import Initializer
from minicnn.layers import Layer, activations
from minicnn.layers.context import Shape
from minicnn.models.architectures import (
    MOST_LAYERS,
    Parts,
    alexnet,
    convnet,
    convnext_tiny,
    densenet,
    densenet121,
    googlenet,
    inception,
    lenet5,
    mlp,
    mnist_example,
    mobilenetv2,
    plain,
    quick,
    quick_resnet,
    resnet,
    resnet18,
    resnet34,
    unet,
    unet_large,
    vgg11,
    vgg11_bn,
    vgg16,
    vgg16_bn,
    vgg_small,
)
from minicnn.models.sequential import Sequential
from minicnn.plugins import lookup

FIXED = {
    "lenet5": lenet5, "convnet": convnet, "mnist-example": mnist_example, "vgg-small": vgg_small,
    "quick": quick, "inception": inception, "unet": unet, "unet-large": unet_large,
}  # fmt: skip
#: With a form for images of at most `SMALL` pixels a side, and one for larger ones.
SIZED = {
    "alexnet": alexnet, "vgg11": vgg11, "vgg11-bn": vgg11_bn, "vgg16": vgg16,
    "vgg16-bn": vgg16_bn, "resnet18": resnet18, "resnet34": resnet34, "mobilenetv2": mobilenetv2,
    "densenet121": densenet121, "googlenet": googlenet, "convnext-tiny": convnext_tiny,
}  # fmt: skip
SMALL = 64
DEEP = {"plain": plain, "resnet": resnet, "densenet": densenet, "quick-resnet": quick_resnet}
DEFAULTS = {"activation": "relu", "init": "msra", "algorithm": "auto"}


def names() -> list[str]:
    """The names that `build` knows; N stands for a depth or a width."""
    return [*FIXED, *SIZED, *(f"{name}N" for name in DEEP), "mlp:WIDTHS"]


def help() -> str:
    """A line for each architecture."""
    every = [*FIXED.values(), *SIZED.values(), *DEEP.values(), mlp]
    recipes = dict(zip(names(), every))
    width = max(map(len, recipes))
    lines = (f"{name:<{width}}  {first_line(recipe)}" for name, recipe in recipes.items())
    return "\n".join(map(str.rstrip, lines))


def build(
    name: str,
    classes: int = 10,
    activation: str = "relu",
    init: str | Initializer = "msra",
    algorithm: str = "auto",
) -> Sequential:
    """The architecture of that name, not yet initialized.

    Parameters
    ----------
    name : str
        ``lenet5``, ``convnet``, ``mnist-example``, ``vgg-small``, ``quick``, ``inception``,
        ``unet``, ``unet-large``; ``alexnet``, ``vgg11``, ``vgg16``, both also with ``-bn``,
        ``resnet18``, ``resnet34``, ``mobilenetv2``, ``densenet121``, ``googlenet`` and
        ``convnext-tiny``; ``plainN``, ``resnetN`` and ``densenetN`` with a depth N such as
        ``plain30``; ``quick-resnetN`` with a width N; or ``mlp:400x5``. ``PATH.py:NAME`` or
        ``package.module:NAME`` is a user's own: a function that makes a new
        Sequential at every call. Of its parameters, `classes` gets the number of scores, `init` the
        Initializer, `activation` a function that makes a new activation layer, `algorithm` the
        name; others get the arguments in parentheses.
    classes : int
        Number of scores.
    activation : str
        Such as ``"tanh"`` or ``"prelu:channel"``.
    init : str or Initializer
        Of all weights.
    algorithm : str
        How convolutions are computed: ``direct``, ``winograd`` where it can be used, or
        ``auto`` where it can be used and is faster.

    Returns
    -------
    Sequential
        ``alexnet`` to ``convnext-tiny`` take their form for small images or that for 224×224 when
        `initialize` is told the size: the former up to 64×64. Within another model, and until
        then, it is the latter.

    Raises
    ------
    ArgumentError
        For an unknown name, or a depth, width, activation or initializer that cannot be; for a
        user's own also if it has no parameter for an activation or an initializer that is not
        the default.
    """
    parts, classes = Parts(activation, init, algorithm), check_count(classes, "classes")
    if lookup.is_own(name):
        return _own(lookup.parse(name, "model"), parts, classes)
    recipe, sizes = parse(name)
    if name in SIZED:
        return _BySize(partial(recipe, parts, classes))
    return Sequential(*recipe(parts, classes, *sizes))


class _BySize(Sequential):
    """A network that takes one of its two forms once it knows the size of its images."""

    def __init__(self, recipe: Callable[..., list[Layer]]):
        super().__init__(*recipe())
        self._recipe, self._small, self._chosen = recipe, False, list(self.layers)

    def initialize(
        self,
        input_shape: Shape,
        seed: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float32,
        input_gradient: bool = False,
        fuse: bool = True,
    ) -> Shape:
        """Choose the form, unless somebody has changed the layers; then as `Sequential` does."""
        shape = check_shape(input_shape, "the shape of one sample", "such as (3, 224, 224)")
        small = max(shape[1:], default=1) <= SMALL
        with self.lock.taken():
            if small != self._small and self.layers == self._chosen:
                self.layers = self._recipe(small=small)
                self._small, self._chosen = small, list(self.layers)
        return super().initialize(shape, seed, dtype, input_gradient, fuse)


@takes(name=check_text)
def parse(name: str) -> tuple[Callable[..., list[Layer]], Shape]:
    """The recipe of that name, and the number or widths that it takes; errors as of `build`."""
    if name in FIXED or name in SIZED:
        return (FIXED | SIZED)[name], ()
    deep = re.fullmatch(r"([a-z-]+?)(\d+)", name)
    if deep and deep[1] in DEEP:
        return DEEP[deep[1]], (_depth(name, deep[2]),)
    kind, _, widths = name.partition(":")
    if kind == "mlp":
        return mlp, tuple(_widths(name, widths))
    if name in DEEP:
        raise ArgumentError(f"model {name!r} needs a number, as in {name}20.")
    raise lookup.unknown("model", name, names(), name)


def _own(reference, parts, classes):
    """The model that a user's function makes."""
    function = reference.load()
    if not callable(function) or isinstance(function, Layer):
        raise reference.error(
            f"expected a function that makes a Sequential, as build(classes, activation, init), got"
            f" {function!r}."
        )
    chosen = {"activation": parts.activation, "init": parts.init, "algorithm": parts.algorithm}
    for name, value in chosen.items():
        if str(value) != DEFAULTS[name] and not lookup.takes(function, name):
            raise reference.error(
                f"{reference.name} takes no {name}, so {value} would have no effect: give it a"
                f" parameter {name}, or leave --{name} out."
            )
    active = partial(activations.from_string, parts.activation)
    model = reference.call(function, {**chosen, "activation": active, "classes": classes})
    if isinstance(model, Layer) and not isinstance(model, Sequential):
        model = Sequential(model)
    if not isinstance(model, Sequential) or model.output_shape is not None:
        raise reference.error(f"expected a new Sequential at every call, got {model!r}.")
    return model


def _depth(name, text):
    """The number of layers that `text` says, if a model can have so many."""
    depth = int(text) if len(text) < 9 else math.inf
    if depth > MOST_LAYERS:
        raise ArgumentError(f"model {name!r} is too deep: at most {MOST_LAYERS} layers.")
    return depth


def _widths(name, text):
    widths: list[int] = []
    for word in text.split(",") if text else []:
        match = re.fullmatch(r"([1-9]\d{0,8})(?:x([1-9]\d*))?", word)
        if not match:
            raise ArgumentError(
                f"model {name!r}: {word!r} is no width; write mlp:300,100 or mlp:400x5."
            )
        times = _depth(name, match[2] or "1")
        _depth(name, str(len(widths) + times))
        widths += [int(match[1])] * times
    return widths
