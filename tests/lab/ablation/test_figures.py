"""The figures: every seed drawn, limits that hold the values, axes that say what they are."""

import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.ablation import figures
from minicnn.lab.ablation.figures import COLOURS, curves
from minicnn.lab.ablation.grid import Grid
from tests.lab.ablation.small_grid import outcome

AXES = {"init": ["zeros", "msra"], "activation": ["relu", "tanh"]}


@pytest.fixture
def drawn(monkeypatch):
    """The figures as matplotlib's objects, and what `curves` gave."""
    from matplotlib.figure import Figure

    kept, savefig = [], Figure.savefig

    def keep(figure, *words, **named):
        kept.append(figure)
        savefig(figure, *words, **named)

    monkeypatch.setattr(Figure, "savefig", keep)

    def draw(grid, outcomes):
        kept.clear()
        return kept, curves(grid, outcomes)

    return draw


def means_of(axes):
    return [line for line in axes.lines if not line.get_label().startswith("_")]


def all_outcomes(grid, accuracies=(0.1, 0.6), losses=(2.3, 0.5)):
    """A little better with every seed."""
    return [
        outcome(t, [a + t.seed / 100 for a in accuracies], [b - t.seed / 100 for b in losses])
        for t in grid.trials()
    ]


def test_a_figure_for_each_value_of_the_later_axes(drawn):
    grid = Grid(AXES, seeds=3)
    kept, given = drawn(grid, all_outcomes(grid))
    assert [title for title, _ in given] == ["activation=relu", "activation=tanh"]
    for _, image in given:
        assert ElementTree.fromstring(image).tag.endswith("svg")
    for figure in kept:
        accuracy, loss = figure.axes
        assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "test accuracy (%)")
        assert loss.get_ylabel() == "training loss (nats)"
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["zeros", "msra"]
        assert legend.get_title().get_text() == "init"


def test_the_mean_every_seed_and_the_band(drawn):
    grid = Grid({"init": ["msra"]}, seeds=3)
    (figure,), _ = drawn(grid, all_outcomes(grid))
    accuracy, loss = figure.axes
    mean, *seeds = [list(map(float, line.get_ydata())) for line in accuracy.lines]
    assert mean == pytest.approx([11, 61])
    assert seeds == [pytest.approx([10 + seed, 60 + seed]) for seed in range(3)]
    assert list(loss.lines[3].get_ydata()) == pytest.approx([2.28, 0.48])
    corners = accuracy.collections[0].get_paths()[0].vertices
    for epoch, low, high in ((1, 10, 12), (2, 60, 62)):
        heights = [y for x, y in corners if x == epoch]
        assert (min(heights), max(heights)) == pytest.approx((low, high))


def test_more_arms_than_colours_differ_in_style(drawn):
    grid = Grid({"lr": [0.1 * k for k in range(1, 20)]}, seeds=1)
    (figure,), _ = drawn(grid, all_outcomes(grid))
    means = means_of(figure.axes[0])
    looks = {(line.get_color(), line.get_linestyle()) for line in means}
    assert len(means) == len(looks) == 19 > len(COLOURS)
    assert not figure.axes[0].texts  # too many to have their names beside them
    legend = figure.legends[0].get_window_extent()
    assert legend.y0 >= 0 and legend.y1 <= figure.bbox.height


def test_a_diverged_seed_ends_in_a_cross_and_is_counted(drawn):
    grid = Grid({"init": ["msra"]}, seeds=2)
    first, second = grid.trials()
    both = [outcome(first, [0.1, 0.2, 0.3]), outcome(second, [0.2], status="diverged", error="x")]
    (figure,), _ = drawn(grid, both)
    cross = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [(list(c.get_xdata()), list(c.get_ydata())) for c in cross] == [([1], [20])]
    assert list(figure.axes[0].lines[0].get_ydata()) == pytest.approx([10, 20, 30])
    assert figure.legends[0].get_texts()[0].get_text() == "msra\n(1 of 2 diverged)"


def with_steps(grid, epochs, count=120):
    """Losses fall from 1.2 in each step; the seeds' accuracies at the end are 50, 51, ..."""
    losses = [0.01 * (count - n) for n in range(count)]
    return [outcome(t, epochs * [0.5 + t.seed / 100], steps=losses) for t in grid.trials()]


def test_one_epoch_has_curves_and_the_test_accuracy_at_their_ends(drawn):
    grid = Grid({"init": ["zeros", "msra"]}, seeds=2)
    (figure,), _ = drawn(grid, with_steps(grid, 1))
    accuracy, loss = figure.axes
    assert accuracy.get_ylabel().startswith("training accuracy (%)")
    for axes, first, last in ((accuracy, 0, 100), (loss, 1.2, 0)):
        for mean in means_of(axes):
            x, y = mean.get_data()
            assert 40 <= len(x) <= 60 and 0 < x[0] < 0.05 and 0.95 < x[-1] < 1
            line = first + (last - first) * x  # a mean lies in the middle of its stretch
            assert y == pytest.approx(line, abs=0.01 * abs(last - first))
    ends = [line for line in accuracy.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in ends] == [[1, 1], [1, 1]]
    assert list(ends[0].get_ydata()) == pytest.approx([50, 51])


def test_more_epochs_have_the_test_accuracy_and_the_loss_by_steps(drawn):
    grid = Grid({"init": ["zeros", "msra"]}, seeds=2)
    (figure,), _ = drawn(grid, with_steps(grid, 2))
    accuracy, loss = figure.axes
    assert accuracy.get_ylabel() == "test accuracy (%)"
    assert [list(line.get_xdata()) for line in means_of(accuracy)] == [[1, 2], [1, 2]]
    assert all(len(line.get_xdata()) >= 40 for line in means_of(loss))
    assert all(1.9 < line.get_xdata()[-1] < 2 for line in means_of(loss))


def test_runs_with_and_without_steps_in_one_figure(drawn):
    grid = Grid({"init": ["zeros", "msra"]}, seeds=1)
    old, new = grid.trials()
    mixed = [outcome(old, [0.3]), outcome(new, [0.4], steps=[2.0, 1.0])]
    (figure,), _ = drawn(grid, mixed)
    assert [list(line.get_xdata()) for line in means_of(figure.axes[1])] == [[1], [0.25, 0.75]]


@pytest.mark.parametrize("arms", [2, 5, 9])
def test_arms_that_coincide_are_told_apart(drawn, arms):
    grid = Grid({"lr": [0.1 * k for k in range(1, arms + 1)]}, seeds=1)
    (figure,), _ = drawn(grid, with_steps(grid, 1))
    for axes in figure.axes:
        means = means_of(axes)
        assert len({line.get_marker() for line in means}) == arms
        assert len({(line.get_color(), line.get_linestyle()) for line in means}) == arms
        orders = [line.get_zorder() for line in means]
        assert orders == sorted(set(orders))
        widths = [line.get_linewidth() for line in means[-5:]]  # below one another
        assert widths == sorted(set(widths), reverse=True)
        starts = {line.get_markevery()[0] for line in means}
        assert len(starts) == min(arms, figures.POINTS // figures.MARKS)


@pytest.mark.parametrize("arms", [1, 4, 10])
def test_names_at_the_ends_do_not_lie_on_each_other(drawn, arms):
    axis = [f"constant:{k}" for k in range(1, arms + 1)]
    grid = Grid({"init": axis}, seeds=1)
    (figure,), _ = drawn(grid, with_steps(grid, 1))
    for axes in figure.axes:
        assert sorted(text.get_text() for text in axes.texts) == sorted(axis)
        places = sorted(text.get_position()[1] for text in axes.texts)
        assert -1e-6 <= places[0] and places[-1] <= 1 + 1e-6
        assert all(b - a > 0.9 * figures.APART for a, b in zip(places, places[1:]))


@pytest.mark.parametrize("status", ["crashed", "not done", "diverged"])
def test_nothing_to_draw(drawn, status):
    grid = Grid({"init": ["msra"]}, seeds=1)
    (figure,), _ = drawn(grid, [outcome(t, [], status=status) for t in grid.trials()])
    assert figure.legends[0].get_texts()[0].get_text() == f"msra\n(1 of 1 {status})"


def limits(drawn, losses, accuracies=(0.1, 0.6)):
    grid = Grid({"init": ["zeros", "msra"], "activation": ["relu", "tanh"]}, seeds=1)
    outcomes = [outcome(t, accuracies, b) for t, b in zip(grid.trials(), losses)]
    kept, _ = drawn(grid, outcomes)
    assert len({(f.axes[0].get_ylim(), f.axes[1].get_ylim()) for f in kept}) == 1
    ticks = kept[0].axes[1].yaxis.get_ticklabels()
    low, high = kept[0].axes[1].get_ylim()
    inside = [t.get_text() for t in ticks if low <= t.get_position()[1] <= high]
    return kept[0].axes[1].get_yscale(), low, high, inside


def test_losses_of_different_orders_are_drawn_by_their_logarithm(drawn):
    kind, low, high, ticks = limits(drawn, [[2.3, 2.3], [2.3, 0.02], [1, 0.5], [1, 0.5]])
    assert kind == "log" and 0.015 < low < 0.02 and 2.3 < high < 3
    assert ticks == ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]


def test_losses_that_hardly_differ_still_have_an_axis_with_numbers(drawn):
    kind, low, high, ticks = limits(drawn, [[2.302, 2.301]] * 4)
    assert kind == "linear" and 2.3 < low < 2.301 and 2.302 < high < 2.303 and len(ticks) > 2


def test_an_exploding_loss_does_not_press_the_others_flat(drawn):
    _, low, high, _ = limits(drawn, [[2.3, 0.1], [1e9, 1e12], [2.3, 0.3], [2.3, None]])
    assert 0.05 < low < 0.1 and 2.3 < high < 3


def test_losses_of_zero_and_no_loss_that_is_of_use(drawn):
    assert limits(drawn, [[0.0, 0.0]] * 4)[0] == "linear"
    kind, low, high, _ = limits(drawn, [[1e3, 1e6]] * 4)
    assert kind == "log" and low < 10 and high > 1e6


def test_equal_results_give_equal_files():
    grid = Grid({"init": ["zeros", "msra"]}, seeds=2)
    assert curves(grid, all_outcomes(grid)) == curves(grid, all_outcomes(grid))


def test_the_palette_is_one_for_the_colour_blind():
    """Okabe and Ito, 2008."""
    okabe_ito = "000000 E69F00 56B4E9 009E73 F0E442 0072B2 D55E00 CC79A7".split()
    assert len(set(COLOURS)) == 7 and {c.strip("#") for c in COLOURS} <= set(okabe_ito)
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in COLOURS)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    grid = Grid({"init": ["msra"]}, seeds=1)
    with pytest.raises(ArgumentError, match="needs matplotlib: install the lab extra"):
        figures.curves(grid, all_outcomes(grid))
