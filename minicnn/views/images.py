"""Figures that are rows of small images: filters, features, errors, saliency."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import lanes
from minicnn.checks import check_count, check_kind, check_numbers, takes
from minicnn.data import Dataset
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d
from minicnn.plan import Plan
from minicnn.training.runs.trained import Trained, softmax
from minicnn.views import canvas

MAPS = 64  # feature maps of a layer at most


def _first_convolution(trained):
    for layer in trained.model.all_layers():
        if isinstance(layer, Conv2d):
            return layer
    raise ArgumentError("this model has no convolution, so it has no filters to show.")


@takes(trained=Trained)
def filters(trained: Trained) -> Any:
    """The filters of the first convolution, one image each.

    With three input channels a filter is drawn in colour, scaled to its own range; else the mean
    over its channels, orange where it is negative and violet where it is positive, in one scale.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If the model has no convolution, or matplotlib is not installed.
    """
    layer = _first_convolution(trained)
    weights = layer.own_parameters()["weight"].value.astype(np.float64)
    figure, axes = canvas.grid_of_images(len(weights))
    figure.suptitle(f"filters of {layer.name}, {' x '.join(map(str, weights.shape[1:]))} each")
    if weights.shape[1] == 3:
        for one, weight in zip(axes, weights):
            scale = 2 * np.abs(weight).max() or 1.0
            canvas.draw(one, 0.5 + weight / scale)
        return figure
    means = weights.mean(1)
    most = np.abs(means).max() or 1.0
    for one, weight in zip(axes, means):
        shown = one.imshow(weight, cmap=canvas.TWO_SIGNS, vmin=-most, vmax=most)
    figure.colorbar(shown, ax=list(axes), label="weight", shrink=0.8)
    return figure


@takes(trained=Trained, layer=(str, type(None)))
def features(trained: Trained, image: np.ndarray, layer: str | None = None) -> Any:
    """What each channel of a layer gives for one image.

    Parameters
    ----------
    trained : Trained
    image : ndarray, shape (C, H, W)
        In the units of the training images.
    layer : str, optional
        Its name; by default the last whose output is an image.

    Returns
    -------
    matplotlib.figure.Figure
    """
    model, image = trained.model, check_numbers(image, "image")
    plan = Plan(model, keeps=True)
    plan.forward(lanes.pack(trained.normalized(image[None]), model.dtype), False, 1)
    nodes = [node for node in plan.graph.nodes[1:] if len(node.shape) == 3]
    chosen = [node for node in nodes if layer in (None, node.name)]
    if not chosen:
        known = ", ".join(node.name for node in nodes) or "none"
        raise ArgumentError(f"no layer {layer!r} whose output is an image: there are {known}.")
    maps = plan.value(chosen[-1])[0][:MAPS]
    figure, axes = canvas.grid_of_images(len(maps) + 1)
    canvas.draw(axes[0], image, "image")
    most = float(np.abs(maps).max()) or 1.0
    low = -most if maps.min() < 0 else 0.0
    colours = canvas.TWO_SIGNS if low else canvas.ONE_SIGN
    for number, (one, plane) in enumerate(zip(axes[1:], maps)):
        shown = one.imshow(plane, cmap=colours, vmin=low, vmax=most, interpolation="nearest")
        one.set_title(str(number), fontsize=6)
    figure.colorbar(shown, ax=list(axes), label=f"output of {chosen[-1].name}", shrink=0.8)
    return figure


@takes(trained=Trained, dataset=Dataset, count=check_count)
def errors(trained: Trained, dataset: Dataset, count: int = 40) -> Any:
    """The images on which the model is most sure of a wrong class.

    Parameters
    ----------
    trained : Trained
    dataset : Dataset
        Its labels say what is right.
    count : int
        How many images at most.

    Returns
    -------
    matplotlib.figure.Figure
    """
    images = dataset.images
    shares, names = trained.probabilities(images), trained.class_names
    predicted = shares.argmax(1)
    wrong = np.flatnonzero(predicted != dataset.labels)
    if not len(wrong):
        raise ArgumentError(f"the model makes no error on {dataset.name}: nothing is to show.")
    order = wrong[np.argsort(-shares[wrong, predicted[wrong]], kind="stable")][:count]
    figure, axes = canvas.grid_of_images(len(order), extra=0.35)
    figure.suptitle(f"{len(wrong):,} errors in {len(dataset):,} images of {dataset.name}")
    for one, i in zip(axes, order):
        share = 100 * shares[i, predicted[i]]
        title = f"{names[dataset.labels[i]]}\nas {names[predicted[i]]}, {share:.0f} %"
        canvas.draw(one, images[i], title, 6)
    return figure


@takes(trained=Trained)
def saliency(trained: Trained, images: np.ndarray, labels: Sequence[int] | None = None) -> Any:
    """Which pixels the score of a class depends on most: ``max over channels of |ds_k/dx|``.

    Simonyan, Vedaldi & Zisserman, *Deep inside convolutional networks* (2013).

    Parameters
    ----------
    trained : Trained
        Loaded with `input_gradient`.
    images : ndarray, shape (N, C, H, W)
    labels : sequence of int, optional
        The class k of each; by default the one that the model predicts.

    Returns
    -------
    matplotlib.figure.Figure
    """
    model = check_kind(trained, Trained, "saliency: trained").model
    if not model.needs_input_gradient:
        raise ArgumentError("load the run with input_gradient=True to see its saliency.")
    x = lanes.pack(trained.normalized(images), model.dtype)
    try:
        scores = model.forward(x, False, len(images))
        shares = softmax(lanes.unpack(scores, len(images)))
        classes = shares.argmax(1) if labels is None else np.asarray(labels)
        delta = np.zeros((len(images), len(trained.class_names)), model.dtype)
        delta[np.arange(len(images)), classes] = 1
        dx = lanes.unpack(model.backward(lanes.pack(delta, model.dtype)), len(images))
    finally:
        model.release()
    maps = np.abs(dx).max(1)
    figure, axes = canvas.grid_of_images(2 * len(images), 2, extra=0.2)
    for row, (image, plane) in enumerate(zip(images, maps)):
        name, share = trained.class_names[classes[row]], shares[row, classes[row]]
        canvas.draw(axes[2 * row], image, f"{name}, {100 * share:.0f} %")
        shown = axes[2 * row + 1].imshow(
            plane / (plane.max() or 1),
            cmap=canvas.ONE_SIGN,
            vmin=0,
            vmax=1,
            interpolation="nearest",
        )
    figure.colorbar(shown, ax=list(axes), label="|ds/dx|, of its largest", shrink=0.8)
    return figure
