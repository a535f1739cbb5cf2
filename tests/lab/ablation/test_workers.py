"""Workers: how many at once, on which threads, and what becomes of an error."""

import json
import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numba
import pytest

from minicnn.errors import ArgumentError, DataError
from minicnn.lab.ablation.workers import train_all, train_trial
from tests.lab.ablation.small_grid import BASE, write_data


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)


def jobs(count, **settings):
    return [({**BASE, "seed": seed, **settings}, Path(f"{seed}")) for seed in range(count)]


def note(settings, folder):
    """Write down what a trial was given, and where."""
    about = {
        "threads": settings["threads"], "numba": numba.config.NUMBA_NUM_THREADS,
        "folder": os.getcwd(), "process": os.getpid(),
        "deaf": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    }  # fmt: skip
    time.sleep(0.2)  # so that no process can take all
    (folder / "note.json").write_text(json.dumps(about))


def notes():
    return [json.loads(path.read_text()) for path in Path().glob("*/note.json")]


def test_as_many_processes_as_processors_with_a_thread_each():
    assert sorted(train_all(jobs(4), 2, note)) == [0, 1, 2, 3]
    found = notes()
    processes = {about.pop("process") for about in found}
    assert len(processes) == 2 and os.getpid() not in processes
    assert found == 4 * [{"threads": 1, "numba": 1, "folder": os.getcwd(), "deaf": True}]


def test_few_trainings_get_more_threads_each():
    assert list(train_all(jobs(1), 3, note)) == [0]
    (about,) = notes()
    assert (about["threads"], about["numba"]) == (3, 3) and about["process"] != os.getpid()


def test_a_single_processor_needs_no_other_process():
    assert list(train_all(jobs(2), 1, note)) == [0, 1]
    assert {about["process"] for about in notes()} == {os.getpid()}
    assert {about["deaf"] for about in notes()} == {False}
    assert list(train_all([], 2)) == []


def test_relative_paths_mean_the_same_when_processes_are_used_again(tmp_path, monkeypatch):
    list(train_all(jobs(2), 2, note))
    before = {about["process"] for about in notes()}
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    list(train_all(jobs(2), 2, note))
    assert {about["process"] for about in notes()} & before
    assert {about["folder"] for about in notes()} == {os.getcwd()}


def test_signals_are_as_before():
    before = signal.getsignal(signal.SIGINT)
    list(train_all(jobs(1), 2, note))
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread():
    ended = []
    thread = threading.Thread(target=lambda: ended.extend(train_all(jobs(2), 1, note)))
    thread.start()
    thread.join()
    assert ended == [0, 1]


def fail(settings, folder):
    raise [ZeroDivisionError("by\nnothing"), DataError("no data.")][settings["seed"]]


@pytest.mark.parametrize("processors", [1, 2])
def test_an_error_is_written_into_the_folder(processors):
    assert sorted(train_all(jobs(2), processors, fail)) == [0, 1]
    text = Path("0/error.txt").read_text()
    assert text.startswith("ZeroDivisionError: by nothing\n\nTraceback") and "in fail" in text
    assert Path("1/error.txt").read_text() == "no data.\n"


def interrupt(settings, folder):
    raise KeyboardInterrupt(signal.SIGTERM)


@pytest.mark.parametrize("processors", [1, 2])
def test_an_interruption_ends_all(processors):
    with pytest.raises(KeyboardInterrupt) as caught:
        list(train_all(jobs(3), processors, interrupt))
    assert caught.value.args == (signal.SIGTERM,)
    assert not list(Path().glob("*/error.txt"))


def die(settings, folder):
    os._exit(9)


def test_a_killed_process_is_told():
    with pytest.raises(BrokenProcessPool):
        list(train_all(jobs(2), 2, die))


def last(settings, folder):
    time.sleep(30 if settings["seed"] else 0)


def test_to_close_it_ends_those_that_are_left(recwarn):
    start = time.monotonic()
    ended = train_all(jobs(4), 2, last)
    assert next(ended) == 0
    ended.close()
    assert time.monotonic() - start < 15 and not recwarn.list


def test_a_trial_is_a_run_and_says_why_it_diverged():
    settings, folder = jobs(1, lr=1e30, schedule="constant")[0]
    train_trial(settings, folder)
    assert json.loads((folder / "summary.json").read_text())["status"] == "diverged"
    assert ".dense" in (folder / "error.txt").read_text()


def test_a_full_disk_is_told(monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ArgumentError, match="error.txt: No space left"):
        list(train_all(jobs(1), 1))
