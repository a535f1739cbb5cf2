"""Rules of pools and upsampling beside the layers: which sums stay 0, and what stays alike."""

import numpy as np
import pytest

from minicnn.lab.symmetry.zero_flow import FREE, SAMPLES, TOTAL, Signal, derivative, rule_of
from minicnn.layers import AvgPool2d, GlobalAvgPool2d, Upsample
from tests.layers.cases import Case, run

#: A layer for images of 4×6 pixels, whether sums over samples and positions stay 0, and whether
#: what is the same at all positions does.
LAYERS = {
    "windows that touch": (lambda: AvgPool2d(2), True, False),
    "zeros in the mean": (lambda: AvgPool2d(3, 2, 1), False, False),
    "zeros left out": (lambda: AvgPool2d(3, 2, 1, count_include_pad=False), True, False),
    "the whole image": (GlobalAvgPool2d, True, True),
    "copies": (lambda: Upsample((2, 3)), True, True),
    "bilinear": (lambda: Upsample(2, "bilinear"), True, False),
    "bilinear of corners": (lambda: Upsample(2, "bilinear", True), True, False),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rules_say_what_the_layers_do(name):
    make, keeps, alike = LAYERS[name]
    case = Case(make, (2, 4, 6))
    x, delta = case.batch(20)
    axes = 0, *range(2, delta.ndim)
    layer = case.built().layers[0]

    def predicted(level, flat):
        rule = rule_of(layer)
        rule.forward(Signal(*[np.ones(2, bool)] * 5))
        return rule.backward(derivative(np.ones(2, bool), level, flat))

    balanced = delta - delta.mean(axes, keepdims=True)
    dx = run(case.built(), x, balanced)["dx"]
    assert (np.abs(dx.sum((0, 2, 3))).max() < 1e-12) == keeps
    assert (predicted(TOTAL, False).level == (TOTAL if keeps else FREE)).all()
    over_samples = delta - delta.mean(0)
    dx = run(case.built(), x, over_samples)["dx"]
    assert np.abs(dx.sum(0)).max() < 1e-12  # a linear map that is the same for all samples
    assert (predicted(SAMPLES, False).level == SAMPLES).all()
    spatial = tuple(range(2, delta.ndim))
    even = np.broadcast_to(delta.mean(spatial, keepdims=True), delta.shape)
    dx = run(case.built(), x, even)["dx"]
    found = predicted(FREE, True)
    assert found.live.all() and (found.flat == alike).all()
    if alike:
        np.testing.assert_allclose(dx, np.broadcast_to(dx[:, :, :1, :1], dx.shape), atol=1e-14)
