"""The training loop, by what it does to small models."""

import copy
import pickle

import numba
import numpy as np
import pytest

from minicnn import Sequential, lanes, schedules
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError, DataError
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers import Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU
from minicnn.losses import (
    BCEWithLogitsLoss,
    FocalLoss,
    HuberLoss,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from minicnn.metrics import accuracy
from minicnn.optimizers import SGD
from minicnn.plan.micro_batches import EVALUATION_BATCH
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import RunningMetrics, Trainer
from tests.training.same import bits
from tests.training.toys import CLASSES, At, dense_model, toy, trainer


class Record(Callback):
    """Keeps what each step saw."""

    def __init__(self):
        self.losses, self.samples, self.labels, self.rates = [], [], [], []

    def on_loss(self, trainer):
        self.losses.append(trainer.loss_value)
        self.samples.append(trainer.batch.samples)
        self.labels.append(trainer.batch.labels.copy())
        self.rates.append(trainer.optimizer.lr)


class Hooks(Callback):
    """Keeps the name of every hook, in order."""

    def __init__(self, name, calls):
        for hook in vars(Callback):
            if hook.startswith("on_"):
                setattr(self, hook, lambda trainer, hook=hook: calls.append((name, hook)))


def test_it_learns():
    run = trainer(epochs=20)
    history = run.fit()
    losses = [line["train_loss"] for line in history]
    assert losses[-1] < losses[0] / 5
    assert history[-1]["test_accuracy"] > 0.9
    assert [line["epoch"] for line in history] == list(range(1, 21))
    assert [line["step"] for line in history] == list(range(3, 63, 3))


def test_means_of_an_epoch_count_each_sample_once():
    record = Record()
    history = trainer(train=toy(20), callbacks=[record], epochs=1).fit()
    assert record.samples == [16, 4]
    mean = np.average(record.losses, weights=record.samples)
    assert history[0]["train_loss"] == pytest.approx(mean, rel=1e-12)
    assert abs(np.mean(record.losses) - mean) > 1e-6  # else the weights prove nothing


@pytest.mark.parametrize("batch_size", [1, 7, 16, 40, 1000])
def test_results_are_those_of_the_model_for_any_batch_size(batch_size):
    data = toy(40)
    run = trainer(train=data, test=data, batch_size=batch_size, lr=1e-30, epochs=1)
    line = run.fit()[0]
    scores = run.model.predict(data.normalized(slice(None))).astype(np.float64)
    log_z = np.log(np.exp(scores).sum(axis=1))
    loss = (log_z - scores[np.arange(40), data.labels]).mean()
    right = accuracy(scores.argmax(axis=1), data.labels)
    for which in ("train", "test"):
        assert line[f"{which}_loss"] == pytest.approx(loss, rel=1e-6)
        assert line[f"{which}_accuracy"] == right


def test_evaluation_covers_the_whole_test_set():
    test = toy(EVALUATION_BATCH + 21, seed=2)
    run = trainer(test=test)
    totals = run.evaluate()
    expected = run.model.predict(test.normalized(slice(None))).argmax(axis=1)
    np.testing.assert_array_equal(run.predicted, expected)
    assert totals.samples == len(test)
    assert totals.accuracy == accuracy(expected, test.labels)


def test_evaluation_is_in_evaluation_mode():
    model = Sequential(Flatten(), Dropout(0.5), Dense(CLASSES))
    model.initialize((1, 4, 4))
    run = trainer(model)
    assert run.evaluate().loss == run.evaluate().loss


def test_the_schedule_sets_the_rate_of_every_step():
    record = Record()
    run = trainer(callbacks=[record], schedule="one-cycle", lr=0.2, epochs=3)
    run.fit()
    schedule = schedules.from_string("one-cycle")
    assert run.total_steps == 9
    assert record.rates == [0.2 * schedule(step, 9) for step in range(9)]


def test_one_step_is_the_gradient_step():
    data, model = toy(16), dense_model()
    weight, bias = (p.value for p in model.parameters())
    before = [array.astype(np.float64) for array in (weight, bias)]
    trainer(model, train=data, lr=0.5, epochs=1).fit()
    x = data.images.reshape(16, -1).astype(np.float64)
    p = np.exp(x @ before[0].T + before[1])
    delta = (p / p.sum(axis=1, keepdims=True) - np.eye(CLASSES)[data.labels]) / 16
    np.testing.assert_allclose(weight, before[0] - 0.5 * delta.T @ x, atol=1e-6)
    np.testing.assert_allclose(bias, before[1] - 0.5 * delta.sum(axis=0), atol=1e-6)


def test_hooks_come_in_the_order_of_events_and_of_the_callbacks():
    calls = []
    run = trainer(train=toy(20), callbacks=[Hooks("a", calls), Hooks("b", calls)])
    run.fit()
    epoch = ["on_epoch_begin", *2 * ["on_loss", "on_step_end"], "on_epoch_end"]
    hooks = ["on_train_begin", *2 * epoch, "on_train_end"]
    assert calls == [(name, hook) for hook in hooks for name in "ab"]


def test_the_end_is_told_even_after_an_error():
    def fail(trainer):
        raise RuntimeError("stop here")

    calls = []
    stop = At("on_step_end", lambda t: t.step == 2, fail)
    run = trainer(callbacks=[stop, Hooks("a", calls)])
    with pytest.raises(RuntimeError):
        run.fit()
    assert calls[-1] == ("a", "on_train_end")
    assert run.step == 2 and run.history == [] and run.trained_images == 32


def test_a_training_that_was_broken_off_goes_on_where_it_was():
    def fail(trainer):
        raise KeyboardInterrupt

    whole, broken = trainer(epochs=3), trainer(epochs=3)
    whole.fit()
    broken.callbacks = [At("on_step_end", lambda t: t.step in (4, 5), fail)]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            broken.fit()
    broken.fit()
    assert bits(broken) == bits(whole)
    assert (broken.trained_images, broken.epoch) == (120, 3)
    assert broken.train_seconds == pytest.approx(sum(line["seconds"] for line in broken.history))


def test_on_loss_comes_before_any_change_and_on_step_end_after():
    model, values = dense_model(4), []
    weight = model.parameters()[0].value
    keep = [
        At(hook, lambda t: True, lambda t: values.append(weight.copy()))
        for hook in ("on_epoch_begin", "on_loss", "on_step_end")
    ]
    trainer(model, train=toy(16), callbacks=keep, epochs=1).fit()
    begin, loss, end = values
    np.testing.assert_array_equal(begin, loss)
    assert (loss != end).any()


def test_stop_ends_training_after_the_epoch():
    stop = At("on_loss", lambda t: t.step == 4, lambda t: t.stop())
    run = trainer(callbacks=[stop], epochs=9)
    assert len(run.fit()) == 2 and run.step == 6


def test_each_epoch_has_every_sample_once_in_an_order_of_the_seed():
    def order(**settings):
        record = Record()
        data = toy(40)
        numbered = Dataset(data.images, np.arange(40), classes=40)
        model = Sequential(Flatten(), Dense(40))
        model.initialize((1, 4, 4), seed=settings.pop("model_seed", 0))
        trainer(model, train=numbered, test=numbered, callbacks=[record], **settings).fit()
        return np.concatenate(record.labels).reshape(2, 40)

    first = order(seed=5)
    for epoch in first:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(40))
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(order(seed=5), first)
    np.testing.assert_array_equal(order(seed=5, model_seed=9), first)
    assert (order(seed=6) != first).any()


def test_the_seed_decides_the_bits_on_any_number_of_threads():
    def weights(threads, seed=3):
        model = Sequential(
            Conv2d(5, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(6, 3), ReLU(), Flatten(),
            Dropout(0.2), Dense(20), ReLU(), Dense(CLASSES),
        )  # fmt: skip
        model.initialize((2, 10, 10), seed=seed)
        data = toy(150, shape=(2, 10, 10))
        before = get_num_threads()
        set_num_threads(threads)
        try:
            trainer(model, train=data, test=data, batch_size=50, epochs=1, seed=seed).fit()
        finally:
            set_num_threads(before)
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    one = weights(1)
    assert weights(1) == one
    assert weights(1, seed=4) != one
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("one thread only")
    assert weights(2) == one


def test_speed_and_time_are_of_the_steps():
    run = trainer(epochs=3)
    history = run.fit()
    assert run.trained_images == 120
    assert run.train_seconds == pytest.approx(sum(line["seconds"] for line in history))
    steps = sum(40 / line["images_per_second"] for line in history)
    assert run.step_seconds == pytest.approx(steps)
    assert 0 < run.step_seconds < run.train_seconds


def test_other_losses():
    history = trainer(loss=MeanSquaredError(), epochs=10).fit()
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    smooth = trainer(loss=SoftmaxCrossEntropy(0.3), epochs=1).fit()[0]
    assert smooth["train_loss"] > trainer(epochs=1).fit()[0]["train_loss"]


LOSSES = [
    SoftmaxCrossEntropy(0.1, weight=[0.3, 2, 1]),
    SoftmaxCrossEntropy(weight=[0.3, 2, 1], ignore_index=1, reduction="sum"),
    SoftmaxCrossEntropy(reduction="sum"),
    FocalLoss(),
    BCEWithLogitsLoss(pos_weight=[2, 2, 2]),
    HuberLoss(),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_loss_shown_is_the_mean_of_the_whole(loss):
    """Batches of 16, 16 and 8 samples have different weights."""
    run = trainer(loss=loss, lr=1e-30, epochs=1)
    line = run.fit()[0]
    whole = copy.copy(loss)
    whole.reduction = "mean"
    for data, name in ((run.train, "train_loss"), (run.test, "test_loss")):
        packed = lanes.pack(data.normalized(np.arange(len(data))), np.float32)
        scores = run.model.forward(packed, False, len(data))
        assert line[name] == pytest.approx(whole(scores, data.labels)[0], rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_other_losses_train(loss):
    lr = 0.1 if loss.reduction == "mean" else 0.1 / 16
    history = trainer(loss=loss, lr=lr, epochs=20).fit()
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 1.4


def test_test_batches_in_which_no_sample_counts_add_nothing():
    data = toy(600)
    order = np.argsort(data.labels, kind="stable")  # whole batches of one class
    test = data.take(order)
    run = trainer(loss=SoftmaxCrossEntropy(ignore_index=0), test=test)
    kept = test.take(np.flatnonzero(test.labels != 0))
    expected = trainer(model=run.model, test=kept).evaluate()
    assert run.evaluate().loss == pytest.approx(expected.loss, rel=1e-6)


def test_totals_of_earlier_versions_go_on():
    totals = RunningMetrics()
    totals.load_state_dict({"samples": 4, "loss": 6.0, "correct": 2})
    assert totals.loss == 1.5 and totals.weight == 4


def test_totals_of_nothing_are_nan():
    assert np.isnan(RunningMetrics().loss) and np.isnan(RunningMetrics().accuracy)


def test_totals_go_on():
    once, twice = RunningMetrics(), RunningMetrics()
    for part in range(4):
        labels = np.arange(part + 1)
        if part == 2:
            state, twice = twice.state_dict(), RunningMetrics()
            twice.load_state_dict(state)
        for totals in (once, twice):
            totals.add(0.1 * part, 0 * labels, labels)
    assert (once.loss, once.accuracy, once.samples) == (twice.loss, twice.accuracy, 10)
    once.add(float("nan"), labels, labels)
    twice.load_state_dict({**once.state_dict(), "loss": None})
    assert np.isnan(twice.loss) and twice.accuracy == once.accuracy


@pytest.mark.parametrize(("step", "lines"), [(7, 2), (2, 1), (5, 0), (-1, 0), (9, 3)])
def test_a_state_of_another_training_is_refused(step, lines):
    run = trainer()  # of two epochs of three steps
    history = trainer(epochs=3).fit()[:lines]
    with pytest.raises(
        ArgumentError, match=f"is of step {step} after {lines} epochs.*2 epochs of 3"
    ):
        run.load_state_dict({**run.state_dict(), "step": step, "history": history})
    assert run.step == 0


@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize("which", ["training", "test"])
def test_labels_outside_the_classes_are_bad_data(which, shift):
    data = toy()
    data.labels = data.labels + shift
    sets = {"train" if which == "training" else "test": data}
    with pytest.raises(DataError, match=f"{which} set run from {shift} to {2 + shift}.*0 to 2"):
        trainer(**sets)


def test_settings_that_cannot_work():
    model = dense_model()
    optimizer = SGD(model.parameters(), 0.1)
    for settings, message in [
        ({"batch_size": 0}, "batch_size.*got 0"),
        ({"epochs": 0}, "epochs.*got 0"),
        ({"epochs": 1.5}, "epochs.*got 1.5"),
        ({"schedule": "cosin"}, "cosine"),
        ({"schedule": "warmup:50"}, "50 steps of warm-up do not fit"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            Trainer(model, optimizer, toy(), toy(), **settings)
    with pytest.raises(ArgumentError, match=r"training images have shape \(1, 5, 4\)"):
        Trainer(model, optimizer, toy(shape=(1, 5, 4)), toy())
    with pytest.raises(ArgumentError, match=r"test images have shape \(1, 5, 4\)"):
        Trainer(model, optimizer, toy(), toy(shape=(1, 5, 4)))
    images = Sequential(Conv2d(3, 3))
    images.initialize((1, 4, 4))
    with pytest.raises(ArgumentError, match=r"output has shape \(3, 2, 2\)"):
        Trainer(images, SGD(images.parameters(), 0.1), toy(), toy())


def test_the_optimizer_has_its_own_rate_again_after_training():
    training = trainer(epochs=1, schedule="one-cycle")
    rate = training.optimizer.lr
    training.fit()
    assert training.optimizer.lr == rate


class Broken(Callback):
    def on_train_end(self, trainer):
        raise ValueError("broken")


def test_an_error_at_the_end_keeps_nobody_from_being_told():
    calls = []
    training = trainer(epochs=1, callbacks=[Broken(), Hooks("second", calls)])
    with pytest.raises(ValueError, match="broken"):
        training.fit()
    assert ("second", "on_train_end") in calls
    training.model.lock.take()  # it was released, so this is not another thread's
    assert training.model.lock._thread is not None


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(seed=-1), "seed must be an integer of at least 0"),
    (dict(loss="mse"), "loss must be a Loss"),
    (dict(callbacks=[print]), "a callback must be"),
])  # fmt: skip
def test_a_wrong_part_is_named_before_training(wrong, message):
    model = dense_model()
    optimizer = SGD(model.parameters(), 0.1)
    with pytest.raises(ArgumentError, match=message):
        Trainer(model, optimizer, toy(), toy(), **wrong)


def test_an_optimizer_of_other_parameters_is_refused():
    model, other = dense_model(), dense_model()
    with pytest.raises(ArgumentError, match="parameters that are not the model's"):
        Trainer(model, SGD(other.parameters(), 0.1), toy(), toy())
    part = SGD(model.parameters()[:1], 0.1)  # the others stay as they are
    Trainer(model, part, toy(), toy(), epochs=1).fit()


def test_a_data_set_that_is_none_is_named():
    model = dense_model()
    with pytest.raises(ArgumentError, match="the training set must be a Dataset, .* got tuple"):
        Trainer(model, SGD(model.parameters(), 0.1), (1, 2), toy())


@pytest.mark.parametrize("several", [lambda c: (each for each in c), iter, tuple, set])
def test_callbacks_may_be_given_one_by_one(several):
    calls = []
    trainer(epochs=1, callbacks=several([Hooks("first", calls), Hooks("second", calls)])).fit()
    assert {name for name, _ in calls} == {"first", "second"}


@pytest.mark.parametrize("given", [Callback(), None, 5, Callback])
def test_callbacks_that_are_no_list(given):
    with pytest.raises(ArgumentError, match="callbacks must be a list"):
        trainer(epochs=1, callbacks=given)


def test_a_callback_may_choose_another_optimizer_before_the_update():
    class Swap(Callback):
        def on_loss(self, trainer):
            if trainer.step == 2:
                trainer.optimizer = SGD(trainer.model.parameters(), 1e-30)
                self.before = [p.value.tobytes() for p in trainer.model.parameters()]

        def on_step_end(self, trainer):
            if trainer.step == 3:
                self.after = [p.value.tobytes() for p in trainer.model.parameters()]

    swap = Swap()
    trainer(dense_model(8), callbacks=[swap], epochs=1).fit()
    assert swap.before == swap.after


@pytest.mark.parametrize("how", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_trainer_can_be_copied_after_training_and_goes_on(how):
    one = trainer(dense_model(8), epochs=4)
    one.callbacks.append(At("on_epoch_end", lambda t: t.epoch == 2, Trainer.stop))
    one.fit()
    one.callbacks.clear()
    one._stopped = False
    other = how(one)
    for either in (one, other):
        either.fit()
    assert bits(one) == bits(other)
