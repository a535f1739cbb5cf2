"""MetricsLog and EarlyStopping."""

import json
import re
from types import SimpleNamespace

import pytest

from minicnn.errors import ArgumentError
from minicnn.losses import MeanSquaredError
from minicnn.optimizers import SGD
from minicnn.training.callbacks.base import Callback, MetricsLog, best_of
from minicnn.training.callbacks.early_stopping import EarlyStopping
from minicnn.training.trainer import Trainer
from tests.training.toys import At, dense_model, toy, trainer


def test_metrics_log_has_a_line_for_each_epoch_as_soon_as_it_ends(tmp_path):
    path, lines = tmp_path / "metrics.jsonl", []

    def read(trainer):
        lines.append(path.read_text().count("\n"))

    check = [At(hook, lambda t: True, read) for hook in ("on_epoch_begin", "on_epoch_end")]
    run = trainer(callbacks=[MetricsLog(path), *check], epochs=3)
    history = run.fit()
    assert lines == [0, 1, 1, 2, 2, 3]
    assert [json.loads(line) for line in path.read_text().splitlines()] == history
    assert list(tmp_path.iterdir()) == [path]


def epochs_until_stop(callback, metric, results):
    stopped = []
    trainer = SimpleNamespace(history=[], evaluated=True, stop=lambda: stopped.append(True))
    for trainer.epoch, result in enumerate(results, start=1):
        trainer.history.append({metric: result})
        callback.on_epoch_end(trainer)
        if stopped:
            return trainer.epoch
    return None


@pytest.mark.parametrize(
    ("settings", "results", "stop"),
    [
        ({"patience": 1}, [0.5, 0.6, 0.7], None),
        ({"patience": 1}, [0.5, 0.5, 0.7], 2),
        ({"patience": 2}, [0.5, 0.4, 0.6, 0.6, 0.5, 0.9], 5),
        ({"patience": 1, "min_delta": 0.1}, [0.5, 0.59, 0.9], 2),
        ({"patience": 2, "metric": "validation_loss"}, [3.0, 2.0, 2.5, 1.5, 1.6, 1.7], 6),
    ],
)
def test_early_stopping_waits_for_its_patience(settings, results, stop):
    callback = EarlyStopping(**settings)
    assert epochs_until_stop(callback, callback.metric, results) == stop


def test_early_stopping_knows_the_best():
    callback = EarlyStopping(patience=2)
    epochs_until_stop(callback, "validation_accuracy", [0.5, 0.8, 0.7, 0.6])
    assert (callback.best, callback.best_epoch) == (0.8, 2)


def test_early_stopping_ends_training():
    stop = [EarlyStopping(patience=2)]
    run = trainer(callbacks=stop, lr=1e-30, epochs=10, validation=toy(seed=3))
    assert len(run.fit()) == 3


@pytest.mark.parametrize("metric", ["test_accuracy", "test_loss"])
def test_nothing_stops_by_the_test_set(metric):
    with pytest.raises(ArgumentError, match="metric must be one of validation_accuracy"):
        EarlyStopping(metric=metric)
    with pytest.raises(ArgumentError, match="there is no validation_accuracy without a validation"):
        trainer(callbacks=[EarlyStopping()]).fit()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0}, "patience must be"),
        ({"metric": "accuracy"}, "validation_accuracy"),
        ({"min_delta": -1}, "min_delta must be"),
        ({"min_delta": float("nan")}, "min_delta must be"),
        ({"min_delta": float("inf")}, "min_delta must be"),
        ({"min_delta": None}, "min_delta must be"),
    ],
)
def test_early_stopping_settings(settings, message):
    with pytest.raises(ArgumentError, match=message):
        EarlyStopping(**settings)


class Mine(Callback):
    pass


@pytest.mark.parametrize("callbacks", [Mine(), None, 3, Mine, [Mine], [None], "abc", [[Mine()]]])
def test_callbacks_that_are_none(callbacks):
    with pytest.raises(ArgumentError, match="callback.* must be") as told:
        trainer(callbacks=callbacks)
    assert callbacks != [Mine] or "Write Mine(), an object of it" in str(told.value)


@pytest.mark.parametrize("make", [iter, tuple, lambda some: (one for one in some)])
def test_callbacks_may_come_in_any_row(make):
    some = [Mine(), Mine()]
    assert trainer(callbacks=make(some)).callbacks == some


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "adam"}, {"optimizer": SGD}, {"model": 3}, {"loss": MeanSquaredError}],
)
def test_parts_that_are_none(settings):
    model = dense_model(8)
    given = {"model": model, "optimizer": SGD(model.parameters(), 0.1), **settings}
    name, value = next(iter(settings.items()))
    with pytest.raises(ArgumentError, match=f"{name} must be .*{re.escape(repr(value))}"):
        Trainer(given["model"], given["optimizer"], toy(), toy(), loss=given.get("loss"))


NAN = float("nan")


@pytest.mark.parametrize(("metric", "results", "best", "epoch"), [
    ("validation_loss", [NAN, 1.0, 0.5, 0.4, 0.3], 0.3, 5),
    ("validation_loss", [2.0, NAN, 1.0, NAN, 0.5], 0.5, 5),
    ("train_loss", [float("inf"), NAN, 3.0, 2.0], 2.0, 4),
    ("validation_accuracy", [NAN, 0.5, NAN, 0.6], 0.6, 4),
])  # fmt: skip
def test_nan_is_never_the_best(metric, results, best, epoch):
    callback = EarlyStopping(patience=2, metric=metric)
    assert epochs_until_stop(callback, metric, results) is None
    assert (callback.best, callback.best_epoch) == (best, epoch)


def test_nothing_but_nan_uses_the_patience_up():
    callback = EarlyStopping(patience=3, metric="validation_loss")
    assert epochs_until_stop(callback, "validation_loss", [NAN] * 9) == 3
    assert callback.best is None


@pytest.mark.parametrize("kept", [None, NAN])
def test_a_kept_best_of_nan_is_none(kept):
    """JSON has no NaN: null comes back as None."""
    callback = EarlyStopping(patience=5, metric="validation_loss")
    callback.load_state_dict({"best": kept, "best_epoch": 1})
    epochs_until_stop(callback, "validation_loss", [9.0])
    assert callback.best == 9.0


def test_the_best_of_some():
    assert best_of([]) is best_of([NAN, NAN]) is None
    assert best_of([NAN, 0.1, 0.3, NAN, 0.2]) == 0.3
