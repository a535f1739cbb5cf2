"""The experiments' trainings: what is seen of a run is what happened in it."""

import numpy as np
import pytest

from experiments import trainings
from experiments.trainings import Curve, best, draw_seeds, in_words, mean, of_arm, train
from minicnn import optimizers
from minicnn.data import load
from minicnn.errors import ArgumentError, MinicnnError
from minicnn.lab.ablation.ablation import Ablation
from minicnn.models import zoo
from minicnn.training import Trainer
from tests.lab.ablation.small_grid import small_grid, write_data


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)


def fitted(epochs, batch_size):
    """A trainer with a curve, after its training."""
    train_set, test_set = load("./data")
    model = zoo.build("mlp:8", train_set.classes)
    model.initialize(train_set.shape, seed=0)
    curve = Curve()
    optimizer = optimizers.create("sgd", model.parameters(), lr=0.05)
    trainer = Trainer(
        model, optimizer, train_set, test_set, epochs=epochs, batch_size=batch_size,
        callbacks=[curve],
    )  # fmt: skip
    trainer.fit()
    return trainer, curve


def test_a_point_a_step_in_a_short_training():
    trainer, curve = fitted(epochs=2, batch_size=16)  # 50 images: three batches and one of two
    assert curve.images == [16, 32, 48, 50, 66, 82, 98, 100]
    for epoch, line in enumerate(trainer.history):
        part = slice(4 * epoch, 4 * epoch + 4)
        weights = [16, 16, 16, 2]
        loss = np.average(curve.loss[part], weights=weights)
        assert loss == pytest.approx(line["train_loss"], rel=1e-12)
        accuracy = np.average(curve.accuracy[part], weights=weights)
        assert accuracy == pytest.approx(line["train_accuracy"], abs=1e-12)


def test_stretches_of_several_steps_reach_over_epochs():
    trainer, curve = fitted(epochs=50, batch_size=16)  # 200 steps, stretches of 4: an epoch each
    assert curve.images == [50 * epoch for epoch in range(1, 51)]
    assert curve.loss == pytest.approx([line["train_loss"] for line in trainer.history], rel=1e-12)
    _, curve = fitted(epochs=41, batch_size=17)  # 123 steps, stretches of 3, 41 of them
    assert len(curve.images) == 41 and curve.images[-1] == 50 * 41


def test_a_grid_is_trained_and_watched():
    found = train(small_grid({"init": ["zeros", "msra"]}), processors=1, certified=True)
    assert [t.outcome.trial.arm["init"] for t in found] == ["zeros", "msra"] * 2
    for zeros in of_arm(found, init="zeros"):
        assert zeros.seen["dead"] and zeros.seen["zero"] and zeros.classes == 1
        assert [layer["distinct"] for layer in zeros.seen["layers"]] == [1, 1]
    for msra in of_arm(found, init="msra"):
        assert not msra.seen["dead"] and not msra.seen["zero"]
        assert msra.seen["layers"][0] == {"rank": 8, "distinct": 8, "units": 8}
        assert msra.loss == msra.outcome.history[-1]["train_loss"]
        assert msra.seen["images"][-1] == 100
    assert len({t.loss for t in of_arm(found, init="msra")}) == 2  # of two seeds


def test_convolutions_show_their_filters():
    base = {"model": "plain4", "epochs": 1}
    (one,) = train(small_grid({"init": ["constant:0.1"]}, seeds=1, **base), processors=1)
    filters = np.array(one.seen["filters"])
    assert one.seen["layers"] == []  # as it was not asked for
    assert filters.shape == (16, 1, 3, 3) and len(np.unique(filters, axis=0)) == 1


def test_a_diverged_run_counts_as_no_accuracy_at_all():
    base = {"model": "mlp:8", "validation": 0.2}
    found = train(small_grid({"lr": [0.01, 1e30]}, seeds=2, **base), processors=1)
    lost = of_arm(found, lr=1e30)
    assert in_words(lost) == "diverged, diverged" and mean(lost) == 0
    assert all(t.loss == float("inf") and t.classes is None for t in lost)
    lr, chosen = best(found)
    assert lr == 0.01 and chosen == of_arm(found, lr=0.01)
    for training in found:  # whatever the test set says
        for line in training.outcome.history:
            line["test_accuracy"] = float(training in lost)
    assert best(found) == (lr, chosen)


def test_a_grid_without_validation_sets_has_no_best():
    found = train(small_grid({"lr": [0.01, 0.02]}, seeds=1, model="mlp:8"), processors=1)
    with pytest.raises(ArgumentError, match="unknown metric 'validation_accuracy'"):
        best(found)


def test_a_run_that_crashes_is_told(monkeypatch):
    def crash(settings, folder, certified):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(trainings, "train_watched", crash)
    with pytest.raises(MinicnnError, match="init=msra, seed 0: RuntimeError: out of luck"):
        train(small_grid({"init": ["msra"]}), processors=1)


def test_an_interruption_is_passed_on(monkeypatch):
    def interrupted(ablation, quiet):
        ablation.signal = 2
        return ablation.outcomes

    monkeypatch.setattr(Ablation, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(small_grid({"init": ["msra"]}), processors=1)


def test_every_seed_is_drawn_with_band_and_mean():
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    draw_seeds(axis, [1, 2, 3], [[1, 2, 3], [3, None], [5, 4, 7]], "#000000", "arm")
    *seeds, bold = axis.get_lines()
    assert len(seeds) == 3 and bold.get_label() == "arm"
    assert bold.get_ydata().tolist() == [3, 3, 5]
    assert bold.get_linewidth() > seeds[0].get_linewidth()
    low, high = axis.collections[0].get_datalim(axis.transData).intervaly
    assert (low, high) == (1, 7)
