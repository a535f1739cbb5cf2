"""One process that gives hostile files to a reader: ``python -m tests.long.attack``.

It writes a line of JSON before and after each input, so that whoever started it sees which
input it did not survive.
"""

import argparse
import gc
import json
import os
import resource
import shutil
import signal
import stat
import sys
import time
import traceback
import tracemalloc
import warnings
from pathlib import Path

import numpy as np

from minicnn.errors import MinicnnError
from tests.long import corpus

HANG_SECONDS = 1.0  # of processor time
WAIT_SECONDS = 10  # the second time that this passes within one input, it waits for something
MARGIN = 2 * 2**20  # bytes that a reader may allocate above what the file holds,
GROWTH = 1 / 8  # more, of what it holds: how much room an array is given to grow into
LONGEST_MESSAGE = 2000  # characters
RESIDENT_MARGIN = 8 * 2**20  # the same by the system's count, which comes in large steps
ADDRESS_SPACE = 2**30  # bytes beyond which an allocation fails, whoever asks for it
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.truncate", "os.utime", "shutil.rmtree", "os.system", "os.exec",
    "os.posix_spawn", "subprocess.Popen", "socket.connect", "pickle.find_class",
)  # fmt: skip


class Hang(BaseException):
    """The reader waits for something; no reader catches this by accident."""


class Watch:
    """What Python tells of attempts to change files, start programs or unpickle."""

    def __init__(self, allowed=None):
        self.seen, self.on, self._allowed = [], False, allowed and os.path.realpath(allowed)
        sys.addaudithook(self._hear)

    def _hear(self, event, arguments):
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (mode and set(mode) & set("wax+")) or (flags or 0) & WRITING
            if writes and not self._inside(path):
                self.seen.append(f"opened {path!r} to write")
        elif event in CHANGES:
            paths = arguments[: 1 + (event == "os.rename")]
            # What is at the path is not followed by these, only the way to it.
            if not all(self._inside(os.path.dirname(path)) for path in paths):
                self.seen.append(f"{event} {arguments!r}")

    def _inside(self, path):
        """Whether this is the folder that may be written into, or in it."""
        if self._allowed is None or not isinstance(path, (str, os.PathLike)):
            return False
        path = os.path.realpath(path)
        return path == self._allowed or path.startswith(self._allowed + os.sep)


class Attack:
    """Gives inputs of one kind to their reader and measures what it does.

    Parameters
    ----------
    kind : str
    root : Path
        A folder to work in; the files are in ``run``, and ``outside`` must stay as it is.
    seed : int
    """

    def __init__(self, kind, root, seed):
        self.kind, self.root, self.seed = corpus.load(kind), root, seed
        self.run, self._writes = root / "run", getattr(self.kind, "WRITES", False)
        self.watch = Watch(self.run if self._writes else None)
        (root / "outside").mkdir()
        (root / "outside" / "precious").write_bytes(b"precious")
        self._fill()
        self.good = {name: (self.run / name).read_bytes() for name in self.kind.TARGETS}
        self.by_hand = [
            (target, name, attack)
            for target in self.kind.TARGETS
            for name, attack in self.kind.handmade(target, self.good[target]).items()
        ]

    def check_good(self):
        """The reader accepts the good files; loads and compiles whatever it needs."""
        self._fill()
        self.kind.check(self.run, self.kind.read(self.run))

    def mutated(self, number):
        """Name and result of the mutated input of that number."""
        rng = np.random.default_rng([self.seed, number])
        target = self.kind.TARGETS[rng.integers(len(self.kind.TARGETS))]
        content = self.kind.mutated(self.good[target], rng)
        return f"{target}: mutated {number}", self._try(target, content)

    def handmade(self, number):
        """Name and result of the handmade input of that number."""
        target, name, attack = self.by_hand[number]
        return f"{target}: {name}", self._try(target, attack)

    def _fill(self):
        if self.run.exists():
            shutil.rmtree(self.run)
        self.run.mkdir()
        self.kind.prepare(self.run)

    def _try(self, target, attack):
        self._fill()
        path = self.run / target
        path.unlink()
        if callable(attack):
            attack(path)
            held = 0
        else:
            path.write_bytes(attack)
            held = self.kind.held(attack)
        held += sum(len(content) for name, content in self.good.items() if name != target)
        mine = self.run if self._writes else None
        before = _tree(self.root, mine)
        result = self._measure(held)
        if _tree(self.root, mine) != before:
            result["faults"].append("files are not as they were")
            result["changed"] += 1
        return result

    def _measure(self, held):
        """Read, and say what came of it, with everything that is wrong about it."""
        self.watch.seen, faults, outcome, found = [], [], "accepted", None
        tracemalloc.reset_peak()
        allocated, resident = tracemalloc.get_traced_memory()[0], _resident()
        signal.setitimer(signal.ITIMER_REAL, WAIT_SECONDS, WAIT_SECONDS)
        self.watch.on, start = True, time.process_time()
        try:
            found = self.kind.read(self.run)
        except MinicnnError as error:
            outcome = "refused"
            if len(str(error)) > LONGEST_MESSAGE:
                faults.append(f"a message of {len(str(error))} characters")
        except (Exception, Hang) as error:
            outcome = "crashed"
            faults.append(_described(error))
        seconds = time.process_time() - start
        self.watch.on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        peak = tracemalloc.get_traced_memory()[1] - allocated
        resident = _resident(peak=True) - resident
        if seconds > HANG_SECONDS:
            faults.append(f"took {seconds:.1f} s of processor time")
        if max(peak - MARGIN, resident - RESIDENT_MARGIN) > held * (1 + GROWTH):
            faults.append(f"allocated {peak} bytes, {resident} resident, for {held} to hold")
        faults += self.watch.seen
        if outcome == "accepted":
            try:
                self.kind.check(self.run, found)
            except AssertionError as error:
                faults.append(f"what was accepted is wrong: {_described(error)}")
        return {
            "outcome": outcome, "faults": faults, "changed": len(self.watch.seen),
            "seconds": seconds, "above": peak - held, "resident_above": resident - held,
        }  # fmt: skip


def _described(error):
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error!s:.200} ({where.filename}:{where.lineno})"


def _resident(peak=False):
    """Bytes of this process in memory; the most since the last call without `peak`."""
    if not peak:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            return 0
    try:
        with open("/proc/self/status") as status:
            name = "VmHWM:" if peak else "VmRSS:"
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))
    except OSError:
        return 0


def _tree(root, without):
    """Every path below `root` with what is there; nothing is followed or waited for."""
    found = {}
    for folder, folders, files in os.walk(root):
        if without is not None and without.name in folders:
            folders.remove(without.name)
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            info = os.lstat(path)
            content = None
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                content = hash(Path(path).read_bytes())
            found[path] = (info.st_mode, info.st_ino, info.st_mtime_ns, content)
    return found


def _limit_address_space():
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESS_SPACE, now + ADDRESS_SPACE))


class Alarm:
    """Raises at the second alarm within one input; a single one may be that of a paused process."""

    def __init__(self):
        self.rings = 0
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, *_):
        self.rings += 1
        if self.rings > 1:
            raise Hang("it waits and does not come back")


def jobs(attack, mutated, handmade):
    """What to do, in order: ``("handmade", number)``, evenly spread, then ``("mutated", ...)``."""
    total = len(attack.by_hand)
    some = total if handmade < 0 else min(handmade, total)
    spread = [("handmade", i * total // some) for i in range(some)]
    return spread + [("mutated", number) for number in range(mutated)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("root", type=Path)
    parser.add_argument("--mutated", type=int, default=0)
    parser.add_argument("--handmade", type=int, default=-1, help="all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="inputs, done by another process")
    given = parser.parse_args()
    attack = Attack(given.kind, given.root, given.seed)
    left = jobs(attack, given.mutated, given.handmade)[given.skip :]
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", ".* has no image|.* have no image")  # true of mutated labels
    alarm = Alarm()
    os.chdir(given.root)
    attack.check_good()
    _limit_address_space()
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    for how, number in left:
        alarm.rings = 0
        print(json.dumps({"begin": f"{how} {number}", "how": how}), flush=True)
        name, result = getattr(attack, how)(number)
        print(json.dumps({"end": name, "how": how, **result}), flush=True)


if __name__ == "__main__":
    main()
