"""Training goes on from a checkpoint with the bits of one that was never interrupted."""

import pytest

from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.checkpoint import Checkpoint
from minicnn.training.callbacks.early_stopping import EarlyStopping
from minicnn.training.callbacks.gradient_watch import GradientWatch
from tests.training.callbacks.test_checkpoint import STEPS, make, restored, stop_at
from tests.training.same import bits
from tests.training.toys import At

OPTIMIZERS = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    ("rmsprop", {"momentum": 0.5}),
    ("adam", {}),
    ("adamw", {"weight_decay": 0.1}),
    ("adagrad", {"initial_accumulator_value": 0.1, "lr_decay": 0.01}),
    ("nadam", {"weight_decay": 0.1}),
    ("lion", {"weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9, "dampening": 0.5}),
    ("muon", {"weight_decay": 0.1}),
]


@pytest.mark.parametrize("step", range(1, 3 * STEPS + 1))
def test_any_step_can_be_gone_on_from(tmp_path, step):
    whole = make("all", "adam")
    whole.fit()
    stop_at(step, tmp_path, "all", "adam")
    again = restored(tmp_path, "all", "adam")
    assert (again.step, again.epoch) == (step, (step - 1) // STEPS)
    again.fit()
    assert bits(again) == bits(whole)


@pytest.mark.parametrize("net", ["dense", "norm", "dropout"])
@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS, ids=str)
def test_every_optimizer_and_layer_goes_on_with_the_same_bits(tmp_path, net, optimizer, settings):
    named = (net, optimizer, settings)
    whole = make(*named)
    whole.fit()
    stop_at(STEPS + 2, tmp_path, *named)
    again = restored(tmp_path, *named)
    again.fit()
    assert bits(again) == bits(whole)


def test_between_two_epochs_and_after_the_last(tmp_path):
    whole = make("all")
    whole.fit()
    for epoch in (1, 3):
        folder = tmp_path / str(epoch)
        folder.mkdir()
        stop_at(epoch * STEPS, folder, "all", hook="on_epoch_end")
        again = restored(folder, "all")
        assert (again.epoch, len(again.history)) == (epoch, epoch)
        again.fit()
        assert bits(again) == bits(whole)


def test_several_interruptions_in_one_epoch(tmp_path):
    whole = make("all")
    whole.fit()
    stop_at(4, tmp_path, "all")
    for step in (5, 6):
        run = restored(tmp_path, "all")
        write = Checkpoint(tmp_path, every=1)
        end = At("on_step_end", lambda t, step=step: t.step == step, interrupt)
        run.callbacks = [write, end]
        with pytest.raises(KeyboardInterrupt):
            run.fit()
        assert run.step == step
    again = restored(tmp_path, "all")
    again.fit()
    assert bits(again) == bits(whole)


def interrupt(trainer):
    raise KeyboardInterrupt


def test_checkpoints_do_not_change_the_bits(tmp_path):
    plain, written = make("all"), make("all", callbacks=[Checkpoint(tmp_path, every=1)])
    plain.fit()
    written.fit()
    assert bits(plain) == bits(written)


def test_callbacks_go_on_too(tmp_path):
    stop, watch = EarlyStopping(patience=2), GradientWatch()
    stop_at(STEPS + 1, tmp_path, callbacks=[stop, watch], settings={"lr": 1e-30}, epochs=9)
    callbacks = [Callback(), GradientWatch(), EarlyStopping(patience=2)]
    again = restored(tmp_path, settings={"lr": 1e-30}, epochs=9, callbacks=callbacks)
    assert callbacks[2].best == stop.best is not None and callbacks[2].best_epoch == 1
    assert callbacks[1].state_dict() == watch.state_dict() != GradientWatch().state_dict()
    assert len(again.fit()) == 3  # and not 4, as with a best of the second epoch


def test_a_training_that_a_callback_ends_is_at_its_end(tmp_path):
    run = make(callbacks=[EarlyStopping(patience=1), Checkpoint(tmp_path)], settings={"lr": 1e-30})
    assert len(run.fit()) == 2
    assert len(restored(tmp_path, settings={"lr": 1e-30}).fit()) == 2


def test_an_epoch_in_which_the_end_was_asked_for_is_finished(tmp_path):
    ask = At("on_loss", lambda t: t.step == 3, lambda t: t.stop())
    stop_at(5, tmp_path, callbacks=[ask])
    assert len(restored(tmp_path).fit()) == 2


def test_time_goes_on(tmp_path, monkeypatch):
    now = [0.0]

    def second(trainer):
        now[0] += 1

    monkeypatch.setattr("minicnn.training.trainer.time.perf_counter", lambda: now[0])
    stop_at(5, tmp_path, callbacks=[At("on_loss", lambda t: True, second)])
    now[0] = 100.0
    again = restored(tmp_path, callbacks=[At("on_loss", lambda t: True, second)])
    history = again.fit()
    assert [line["seconds"] for line in history] == [3, 3, 3]
    assert (again.train_seconds, again.step_seconds, again.trained_images) == (9, 9, 120)
    assert history[1]["images_per_second"] == 40 / 3
