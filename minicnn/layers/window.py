"""Sliding windows: what convolution and pooling have in common."""

from minicnn.checks import check_pair, takes
from minicnn.layers.base import Layer


@takes(layer=Layer)
def window_output(layer, kernel_size, stride, padding, dilation=(1, 1)):
    """Output height and width of a sliding window over ``layer.input_shape``.

    ``(H + 2 p - d (k - 1) - 1) // s + 1`` for each of the two axes.

    Raises
    ------
    ArgumentError
        If the window does not fit into the padded input even once.
    """
    if layer.input_shape is None:
        raise layer.error(layer.not_built)
    layer.needs_images()
    kernel_size = check_pair(kernel_size, "kernel_size", 1)
    stride, padding = check_pair(stride, "stride", 1), check_pair(padding, "padding", 0)
    dilation = check_pair(dilation, "dilation", 1)
    axes = zip(layer.input_shape[1:], kernel_size, stride, padding, dilation)
    sizes = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes]
    if min(sizes) < 1:
        window = f"{kernel_size[0]}x{kernel_size[1]} window"
        if max(dilation) > 1:
            window += f" with dilation {dilation}"
        raise layer.error(
            f"the output would be empty: a {window} does not fit into the input"
            f" {layer.input_shape} padded by {padding}. Use a smaller kernel, more padding, or"
            " fewer strides before it."
        )
    return tuple(sizes)
