import math

import numpy as np
import pytest

from minicnn.initializers import Uniform
from minicnn.lab.theory.finite_width import Excess, Law, Moment, coherence, law, linear_spread
from minicnn.lab.theory.maps import Field, from_images
from minicnn.layers import Conv2d, Dense


def dense_field(x, second):
    """Of the sums of vectors with random weights."""
    pairs = x @ x.T * second
    n = len(x)
    same = np.trace(pairs) / n
    cross = (pairs.sum() - np.trace(pairs)) / (n * (n - 1))
    return Field(pairs[:, :, None, None], *(np.full((1, 1, 1, 1), v) for v in (same, cross)))


@pytest.mark.parametrize("distribution", ["normal", "uniform", "orthogonal"])
def test_the_spread_of_a_dense_layer_is_that_of_draws(distribution):
    """Within the sampling error of a variance over 4,000 draws, √(2 / 4000) = 2.2 %."""
    rng = np.random.default_rng(0)
    n, inputs, units, draws = 6, 12, 5, 4000
    x = rng.standard_normal((n, inputs)) + 0.7
    seen = []
    for _ in range(draws):
        if distribution == "normal":
            w = rng.standard_normal((units, inputs))
        elif distribution == "uniform":
            w = math.sqrt(3) * rng.uniform(-1, 1, (units, inputs))
        else:
            q, r = np.linalg.qr(rng.standard_normal((inputs, units)))
            w = math.sqrt(inputs) * (q * np.sign(np.diag(r))).T
        seen.append(np.square(x @ w.T).mean())
    q = (x**2).mean(0)
    share = (q**2).sum() / q.sum() ** 2
    excess = -1.2 if distribution == "uniform" else 0.0
    weights = Law(1.0, excess=excess, orthogonal=distribution == "orthogonal")
    own, gaussian = linear_spread(dense_field(x, 1.0), weights, units, inputs, share)
    assert np.var(seen) / np.mean(seen) ** 2 == pytest.approx(own, rel=0.15)
    assert own <= gaussian


def test_a_tall_orthogonal_matrix_keeps_norms():
    x = np.random.default_rng(1).standard_normal((4, 5))
    weights = Law(1 / 8, orthogonal=True)
    assert linear_spread(dense_field(x, 1.0), weights, 8, 5, 0.2)[0] == 0


def test_coherence_is_one_for_alike_and_one_over_the_count_for_independent():
    alike = from_images(np.ones((5, 1, 3, 3)))
    assert coherence(alike, (0, 1)) == pytest.approx(1)
    size = np.eye(9).reshape(3, 3, 3, 3)
    pairs = np.broadcast_to(np.eye(5)[:, :, None, None], (5, 5, 3, 3))
    assert coherence(Field(pairs, size, 0 * size), (0, 1)) == pytest.approx(1 / 45)
    assert coherence(alike.scaled(0.0), (0, 1)) == 0


def test_scores_are_linear_for_small_errors_and_logarithmic_for_large():
    assert Moment(2.0, 0.01).z(2.04) == pytest.approx(2, abs=0.05)
    wide = Moment(1.0, 1.0)
    square = math.log(2)
    assert wide.z(math.exp(3 * math.sqrt(square) - square / 2)) == pytest.approx(3)
    low, high = wide.interval
    assert wide.z(low) == pytest.approx(-1.96) and wide.z(high) == pytest.approx(1.96)


def test_scores_at_the_edges():
    assert Moment(0.0, 0.1).z(0.0) == 0
    assert Moment(0.0, 0.1).z(1.0) == math.inf
    assert Moment(1.0, 0.1).z(0.0) == -math.inf
    assert Moment(math.nan, math.inf).z(1.0) == 0
    assert Moment(0.0, 0.1, floor=1e-9).z(1e-10) == 0


@pytest.mark.parametrize("init", ["xavier", "msra", "lecun", "normal:0.05", "orthogonal"])
def test_laws_are_what_the_initializers_promise(init):
    layer = Conv2d(4, 3, init=init)
    layer.build((2, 5, 5), np.random.default_rng(0))
    found = law(layer)
    assert found.second == pytest.approx(layer.initializers()["weight"][1] ** 2)
    assert found.mean == 0
    assert found.excess == (-1.2 if init == "xavier" else 0)
    assert found.orthogonal == (init == "orthogonal")


def test_means_and_centres_are_seen():
    layer = Dense(3, init=Uniform(0.0, 1.0))
    layer.build((4,), np.random.default_rng(0))
    assert law(layer).mean == 0.5 and law(layer).second == pytest.approx(1 / 3)
    layer = Conv2d(4, 3, init="delta-orthogonal")
    layer.build((2, 5, 5), np.random.default_rng(0))
    assert law(layer).centred and law(layer).orthogonal


def test_excess_is_averaged_as_by_diffusion():
    excess = Excess().joined(10)
    assert excess.total == pytest.approx(0.1)
    assert excess.convolved(9, 49).total == pytest.approx(0.1 / 9)
    assert excess.convolved(9, 49).convolved(9, 49).total == pytest.approx(0.1 / 17)
    assert excess.convolved(9, 4).total == pytest.approx(0.1 / 4)
    assert excess.averaged(4).joined(5).total == pytest.approx(0.025 + 0.2)
