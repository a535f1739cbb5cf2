"""Faults of the kernel cache and of threads, many times over, at random moments."""

import json
import random
import signal
import tempfile
from pathlib import Path
from subprocess import TimeoutExpired

from tests.faults import processes
from tests.faults.copies import Copy
from tests.long.figures import Figures

TITLE = "Kernel caches filled at once, killed and damaged; models trained side by side"
COUNT = 30

TYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16")

# Trains as many models as there are seeds, all at once or one by one; prints their digests.
TRAIN = """
import hashlib, json, sys, threading
from minicnn import Sequential
from minicnn.layers import Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU
from tests.training.toys import CLASSES, toy, trainer

seeds, together = json.loads(sys.argv[1])
found = {}
def train(seed):
    model = Sequential(
        Conv2d(5, 3), ReLU(), MaxPool2d(2), Flatten(), Dropout(0.2), Dense(20), ReLU(),
        Dense(CLASSES),
    )
    model.initialize((1, 12, 12), seed=seed)
    data = toy(300, seed=seed, shape=(1, 12, 12))
    trainer(model, train=data, test=data, epochs=4, seed=seed).fit()
    bits = b"".join(array.tobytes() for array in model.state_dict().values())
    found[seed] = hashlib.sha256(bits).hexdigest()
threads = [threading.Thread(target=train, args=(seed,)) for seed in seeds]
for thread in threads:
    thread.start()
    if not together:
        thread.join()
for thread in threads:
    thread.join()
print(json.dumps([found[seed] for seed in seeds]))
"""


def run(count, seed=0):
    """Each time: a cache filled by four processes of which one is killed, then damaged, then stale.

    And three models trained at once in one process, on some number of threads, which must come
    out as each does alone.
    """
    rng, failures = random.Random(seed), []
    tally = {"processes": 0, "killed": 0, "damaged": 0, "edits": 0, "trained": 0}
    alone = {}
    for trial in range(count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                _cache(Copy(Path(folder)), rng, tally)
                _threads(rng, tally, alone)
            except Exception as error:
                failures.append(f"trial {trial}: {type(error).__name__}: {error}")
    done = f"{count - len(failures)} of {count}"
    return Figures(failures, {
        "trials without a fault": done,
        "processes that filled caches side by side": f"{tally['processes']}",
        "of them killed by SIGKILL": f"{tally['killed']}",
        "files of kernels damaged": f"{tally['damaged']}",
        "edits of an imported module that showed at once": f"{tally['edits']}",
        "models trained at once that equal those trained alone": f"{tally['trained']}",
    })  # fmt: skip


def _cache(copy, rng, tally):
    gate = copy.folder / "go"
    running = [copy.start(*rng.sample(TYPES, rng.randint(1, 4)), gate=gate) for _ in range(4)]
    gate.touch()
    victim = rng.choice(running)
    try:
        victim.wait(rng.uniform(0.2, 3))
    except TimeoutExpired:
        victim.send_signal(signal.SIGKILL)
        tally["killed"] += 1
    for process in running:
        tally["processes"] += 1
        if process is victim:
            process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), process.returncode
        else:
            _check(copy.finish(process), 22)
    for path in copy.files():
        if rng.random() < 0.5:
            content = bytearray(path.read_bytes())
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(rng.choice([content, content[: rng.randrange(len(content))], b""]))
            tally["damaged"] += 1
    _check(copy.run(*TYPES), 22)
    last = copy.run(*TYPES)
    assert last["misses"] == 0, f"{last['misses']} kernels were not kept"
    factor = rng.randint(3, 9)
    copy.edit("kernels/probe_part.py", "2 * x", f"{factor} * x")
    _check(copy.run(*TYPES), 3 * factor + 16)
    tally["edits"] += 1


def _check(found, expected):
    assert set(found["values"].values()) == {expected}, found["values"]
    assert found["errors"] == "", found["errors"]


def _threads(rng, tally, alone):
    seeds = rng.sample(range(6), 3)
    for seed in seeds:
        if seed not in alone:
            alone[seed] = _train([seed], False, 2)[0]
    threads = rng.randint(1, 5)
    together = _train(seeds, True, threads)
    assert together == [alone[seed] for seed in seeds], f"other bits on {threads} threads"
    tally["trained"] += len(seeds)


def _train(seeds, together, threads):
    arguments = json.dumps([seeds, together])
    return json.loads(processes.run(TRAIN, arguments, NUMBA_NUM_THREADS=threads)[0])
