"""Averages of weights: what they are, that they are evaluated and kept, and that they go on."""

import numpy as np
import pytest

from minicnn.data import Dataset
from minicnn.errors import ArgumentError
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers import BatchNorm, Conv2d, Dense, Dropout, Flatten, ReLU
from minicnn.models import Sequential
from minicnn.optimizers import SGD
from minicnn.training.averaging import EMA, SWA, update_bn
from minicnn.training.callbacks.base import Callback
from minicnn.training.evaluation import Evaluation
from minicnn.training.runs import snapshot
from minicnn.training.trainer import Trainer

EPOCHS, STEPS = 3, 4


def a_set(count=64, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 40, (count, 1, 6, 6)) + 60 * labels[:, None, None, None]
    return Dataset(images.astype(np.uint8), labels, 3)


def a_model(dtype=np.float32):
    model = Sequential(
        Conv2d(4, 3, bias=False), BatchNorm(), ReLU(), Flatten(), Dropout(0.2), Dense(3)
    )
    model.initialize((1, 6, 6), seed=0, dtype=dtype)
    return model


def a_trainer(average=None, dtype=np.float32, epochs=EPOCHS, **given):
    model, train = a_model(dtype), a_set()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return Trainer(
        model, optimizer, train, a_set(40, seed=1), batch_size=16, epochs=epochs,
        average=average, **given,
    )  # fmt: skip


class Look(Callback):
    """The weights after every step, or at the ends of epochs."""

    def __init__(self):
        self.steps, self.ends = [], []

    def on_step_end(self, trainer):
        self.steps.append(trainer.model.state_dict())

    def on_epoch_end(self, trainer):
        self.ends.append(trainer.model.state_dict())


def test_ema_is_its_equation():
    look = Look()
    trainer = a_trainer(EMA(0.7), np.float64, callbacks=[look])
    trainer.fit()
    mean = look.steps[0]
    for state in look.steps[1:]:
        mean = {name: 0.7 * mean[name] + (1 - 0.7) * state[name] for name in mean}
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_allclose(array, mean[name], rtol=1e-13, atol=1e-15, err_msg=name)


def test_swa_is_the_mean_of_the_ends_of_the_last_epochs():
    look = Look()
    trainer = a_trainer(SWA(0.3), np.float64, callbacks=[look])
    trainer.fit()
    for name, array in trainer.model.state_dict().items():
        if "running" not in name:
            mean = np.mean([state[name] for state in look.ends], axis=0)
            np.testing.assert_allclose(array, mean, rtol=1e-13, atol=1e-15, err_msg=name)
    late = SWA(0.5)
    assert [step for step in range(1, 13) if late.is_due(step, STEPS, 12)] == [8, 12]


def test_swa_has_the_statistics_of_its_weights():
    trainer = a_trainer(SWA(0.3), np.float64)
    trainer.fit()
    found = trainer.model.state_dict()
    expected = a_model(np.float64)
    expected.load_state_dict(found)
    update_bn(expected, trainer.train)
    for name, array in expected.state_dict().items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)


def test_update_bn_is_the_mean_over_batches():
    model, train = a_model(np.float64), a_set()
    rng = model.all_layers()[4].rng.state
    update_bn(model, train, batch_size=16)
    x, weight = train.normalized(slice(None)).astype(np.float64), model.parameters()[0].value
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    z = np.einsum("ncijuv,ocuv->noij", windows, weight).reshape(STEPS, 16, 4, -1)
    z = z.transpose(0, 2, 1, 3).reshape(STEPS, 4, -1)
    state = model.all_layers()[1].state()
    np.testing.assert_allclose(state["running_mean"], z.mean(2).mean(0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(state["running_var"], z.var(2, ddof=1).mean(0), rtol=1e-6)
    assert model.all_layers()[4].rng.state == rng
    assert model.all_layers()[1].momentum == 0.1


@pytest.mark.parametrize("average", [lambda: EMA(0.8), lambda: SWA(0.3)])
def test_the_weights_are_trained_as_without_an_average(average):
    with_it, without = Look(), Look()
    a_trainer(average(), callbacks=[with_it]).fit()
    a_trainer(callbacks=[without]).fit()
    for a, b in zip(with_it.steps, without.steps):
        for name, array in a.items():
            np.testing.assert_array_equal(array, b[name])


@pytest.mark.parametrize("average", [lambda: EMA(0.8), lambda: SWA(0.3)])
def test_what_is_evaluated_is_what_the_model_ends_with(average):
    trainer = a_trainer(average(), validation=a_set(30, seed=2))
    history = trainer.fit()
    plain = a_trainer(validation=a_set(30, seed=2))
    plain.model.load_state_dict(trainer.model.state_dict())
    assert plain.evaluate().loss == history[-1]["test_loss"] == trainer.evaluate().loss


@pytest.mark.parametrize("average", [lambda: EMA(0.8), lambda: SWA(0.3)])
@pytest.mark.parametrize("step", [2, 6, 8, 11, 12])
def test_any_step_can_be_gone_on_from(average, step):
    whole = a_trainer(average())
    whole.fit()

    class Break(Callback):
        def on_step_end(self, trainer):
            if trainer.step == step:
                arrays, about = snapshot.capture(trainer, {})
                self.kept = {n: a.copy() for n, a in arrays.items()}, about
                raise RuntimeError

    stop = Break()
    with pytest.raises(RuntimeError):
        a_trainer(average(), callbacks=[stop]).fit()
    again = a_trainer(average())
    snapshot.restore(again, *stop.kept, {})
    again.fit()
    for name, array in again.model.state_dict().items():
        np.testing.assert_array_equal(array, whole.model.state_dict()[name], err_msg=name)
    assert again.history[-1]["test_loss"] == whole.history[-1]["test_loss"]


def test_a_finished_training_is_kept_with_both_weights():
    trainer = a_trainer(EMA(0.8))
    trainer.fit()
    kept = snapshot.capture(trainer, {})
    again = a_trainer(EMA(0.8))
    snapshot.restore(again, *kept, {})
    for name, array in again.model.state_dict().items():
        np.testing.assert_array_equal(array, trainer.model.state_dict()[name])
    assert again.average.in_model
    again.average.swap()
    look = Look()
    a_trainer(callbacks=[look]).fit()
    for name, array in again.model.state_dict().items():
        np.testing.assert_array_equal(array, look.ends[-1][name])


def test_the_bits_are_those_of_one_thread():
    bits, kept = [], get_num_threads()
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            trainer = a_trainer(EMA(0.8))
            trainer.fit()
            bits.append(trainer.model.state_dict())
    finally:
        set_num_threads(kept)
    for name, array in bits[0].items():
        np.testing.assert_array_equal(array, bits[1][name])


def test_mirror_images_are_evaluated_with_their_images():
    trainer = a_trainer(eval_flip=True, epochs=1)
    trainer.fit()
    test = trainer.test
    x = test.normalized(slice(None))
    both = trainer.model.predict(x) + trainer.model.predict(np.ascontiguousarray(x[..., ::-1]))
    totals = trainer.evaluate()
    np.testing.assert_array_equal(trainer.predicted, both.argmax(1))
    shifted = both / 2 - (both / 2).max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    assert totals.loss == pytest.approx(-log_p[np.arange(40), test.labels].mean(), rel=1e-5)
    plain = a_trainer(epochs=1)
    plain.model.load_state_dict(trainer.model.state_dict())
    assert plain.evaluate().loss != totals.loss
    flat = Sequential(Dense(3))
    flat.initialize((4,))
    for settings in ({"flip": True}, {"shift": 1}):
        with pytest.raises(ArgumentError, match="cannot be mirrored and moved"):
            Evaluation(flat, **settings)
    with pytest.raises(ArgumentError, match="moved by 6 pixels"):
        Evaluation(trainer.model, shift=6)


@pytest.mark.parametrize("flip", [False, True])
def test_moved_images_have_half_of_the_scores(flip):
    trainer = a_trainer(eval_flip=flip, eval_shift=2, epochs=1)
    trainer.fit()
    x = trainer.test.normalized(slice(None))
    wide = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    total = 0
    for weight, at in ((0.25, 0), (0.5, 2), (0.25, 4)):
        view = np.ascontiguousarray(wide[:, :, at : at + 6, at : at + 6])
        scores = trainer.model.predict(view)
        if flip:
            scores = (scores + trainer.model.predict(np.ascontiguousarray(view[..., ::-1]))) / 2
        total = total + weight * scores
    totals = trainer.evaluate()
    np.testing.assert_array_equal(trainer.predicted, total.argmax(1))
    log_p = total - total.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    assert totals.loss == pytest.approx(-log_p[np.arange(40), trainer.test.labels].mean(), rel=1e-5)


def test_wrong_settings_are_named():
    for wrong in (0, 1, -0.5, "a"):
        with pytest.raises(ArgumentError, match="decay"):
            EMA(wrong)
    for wrong in (-0.1, 1, "a"):
        with pytest.raises(ArgumentError, match="start"):
            SWA(wrong)
    average = EMA()
    a_trainer(average)
    with pytest.raises(ArgumentError, match="weights of another training"):
        a_trainer(average)
