"""Signals end training between two steps."""

import signal
import threading

import pytest

from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.interruption import Interruption
from tests.training.toys import At, trainer

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def at(hook, step, number):
    return At(hook, lambda t: t.step == step, lambda t: signal.raise_signal(number))


@pytest.mark.parametrize("number", SIGNALS)
def test_the_step_that_is_running_is_finished(number):
    with Interruption() as interruption:
        run = trainer(callbacks=[at("on_loss", 4, number), interruption])
        with pytest.raises(KeyboardInterrupt):
            run.fit()
    assert (run.step, run.optimizer.steps, len(run.history)) == (5, 5, 1)
    assert interruption.received == number


def test_the_evaluation_that_is_running_is_finished():
    with Interruption() as interruption:
        run = trainer(callbacks=[at("on_epoch_end", 3, signal.SIGINT), interruption], epochs=3)
        with pytest.raises(KeyboardInterrupt):
            run.fit()
    assert (run.step, len(run.history)) == (3, 1)


@pytest.mark.parametrize(("hook", "step", "done"), [("on_loss", 4, 5), ("on_epoch_end", 3, 3)])
def test_what_was_done_is_saved(hook, step, done):
    saved = []
    with Interruption(lambda trainer: saved.append(trainer.step)) as interruption:
        run = trainer(callbacks=[at(hook, step, signal.SIGTERM), interruption], epochs=3)
        with pytest.raises(KeyboardInterrupt):
            run.fit()
    assert saved == [done]


def test_a_second_signal_ends_even_the_saving():
    def save(trainer):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not ended")

    with Interruption(save) as interruption:
        run = trainer(callbacks=[at("on_loss", 4, signal.SIGINT), interruption])
        with pytest.raises(KeyboardInterrupt):
            run.fit()


def test_after_the_last_epoch_it_is_too_late():
    with Interruption() as interruption:
        run = trainer(callbacks=[at("on_epoch_end", 6, signal.SIGINT), interruption])
        assert len(run.fit()) == 2
    assert interruption.received == signal.SIGINT


def test_a_second_signal_ends_at_once():
    def twice(trainer):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with Interruption() as interruption:
        run = trainer(callbacks=[At("on_loss", lambda t: t.step == 1, twice), interruption])
        with pytest.raises(KeyboardInterrupt):
            run.fit()
    assert run.step == 1


@pytest.mark.parametrize("number", SIGNALS)
def test_before_training_a_signal_ends_at_once(number):
    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert interruption.received == number


def test_handlers_are_as_before():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption():
        assert all(signal.getsignal(n) != b for n, b in zip(SIGNALS, before))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_in_another_thread_nothing_is_changed():
    before, seen = [signal.getsignal(number) for number in SIGNALS], []

    def enter():
        with Interruption() as interruption:
            seen.append([signal.getsignal(number) for number in SIGNALS])
            trainer(callbacks=[interruption, Callback()], epochs=1).fit()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
