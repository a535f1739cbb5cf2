"""One process that makes calls: ``python -m tests.long.calls.caller SEED FOLDER < names``.

It writes a line of JSON before and after each call, so that whoever started it sees which call it
did not survive.
"""

import contextlib
import inspect
import io
import json
import os
import resource
import shutil
import signal
import sys
import traceback
import types
import warnings
import zlib
from pathlib import Path

import numpy as np

from minicnn import lanes
from minicnn.checks import objects
from minicnn.errors import MinicnnError
from minicnn.initializers import Fans, Initializer
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers import (
    Activation,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MaxPool2d,
    NumpyLayer,
    ReLU,
)
from minicnn.losses import Loss, SoftmaxCrossEntropy
from minicnn.losses.cross_entropy import ClassLoss
from minicnn.losses.regression import Elementwise
from minicnn.models import Sequential
from minicnn.optimizers import SGD, Optimizer
from minicnn.parameter import Parameter
from minicnn.plan import Plan
from minicnn.schedules import Schedule
from minicnn.training.callbacks.base import Callback
from tests.long.calls import callables, table
from tests.long.calls.mutations import Mutations
from tests.long.calls.world import SHAPE, World

HANG_SECONDS = 30  # of processor time; kernels may have to be compiled, and arrays are large
WAIT_SECONDS = 120
ADDRESS_SPACE = 8 * 2**30  # bytes
LONGEST_MESSAGE = 2000  # characters
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
WRAPPER = objects.__file__
PACKAGE = str(Path(callables.minicnn.__file__).parent)


class Hang(BaseException):
    """The call does not come back."""


class Case:
    """One call: a target with its arguments, some of them wrong.

    Parameters
    ----------
    name : str
        Of the target, a hash and a number, such as ``minicnn.metrics.accuracy#3``. Number 0 has
        nothing wrong about it.
    seed : int
    folder : Path
    """

    def __init__(self, name, seed, folder):
        target, _, number = name.rpartition("#")
        self.target = TARGETS[target]
        self.rng = np.random.default_rng([seed, zlib.crc32(target.encode()), int(number)])
        self.world = World(self.rng, folder)
        self.valid = number == "0"
        self.subject, self.arguments, self.named = None, [], {}

    def prepare(self):
        """Make the object and the arguments."""
        target, world = self.target, self.world
        if target.owner is not None:
            self.subject = table.subject(world, target.owner)
        world.subject = self.subject
        drawn = {}
        for parameter in target.parameters:
            needed = parameter.default is parameter.empty
            if parameter.kind in VARIADIC:
                needed = False
            if needed or (not self.valid and self.rng.random() < 0.6):
                drawn[parameter.name] = self._valid(parameter)
        if drawn and not (self.valid or self._is_hook()):
            mutations = Mutations(self.rng)
            count = min(len(drawn), int(self.rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])))
            for key in self.rng.choice(list(drawn), count, replace=False):
                drawn[key] = mutations.of(drawn[key])
        self._place(drawn)

    def _is_hook(self):
        """Whether only the Trainer calls it, in every step, and hands itself over: always valid."""
        owner, name = self.target.owner, self.target.attribute or ""
        return owner is not None and issubclass(owner, Callback) and name.startswith("on_")

    def _valid(self, parameter):
        name = self.target.name
        if inspect.isclass(self.target.function):
            name = f"{name}.{self.target.function.__name__}"
        try:
            return table.value(self.world, name, parameter.name)
        except KeyError:
            if parameter.default is not parameter.empty:
                return parameter.default
            return [] if parameter.kind is parameter.VAR_POSITIONAL else {}

    def _place(self, drawn):
        variadic = any(
            p.name in drawn and p.kind is p.VAR_POSITIONAL for p in self.target.parameters
        )
        for parameter in self.target.parameters:
            if parameter.name not in drawn:
                continue
            value = drawn[parameter.name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.arguments += value if isinstance(value, (list, tuple)) else [value]
            elif parameter.kind is parameter.VAR_KEYWORD:
                if isinstance(value, dict) and all(isinstance(key, str) for key in value):
                    self.named |= value
            elif parameter.kind is parameter.POSITIONAL_ONLY or (
                variadic and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ):
                self.arguments.append(value)
            else:
                self.named[parameter.name] = value

    def call(self):
        """Make it, and use what it returns as anybody would."""
        target = self.target
        if target.function is None:
            if target.parameters:
                setattr(self.subject, target.attribute, self.named["value"])
            else:
                getattr(self.subject, target.attribute)
            use(self.subject)
            return
        own = [self.subject] if target.owner is not None else []
        result = target.function(*own, *self.arguments, **self.named)
        if isinstance(result, types.GeneratorType):
            for _ in zip(range(3), result):
                pass
            result.close()
        elif isinstance(result, contextlib.AbstractContextManager) and not hasattr(result, "seek"):
            with result:
                pass
        use(result)

    def __str__(self):
        given = [*map(_shown, self.arguments), *(f"{k}={_shown(v)}" for k, v in self.named.items())]
        return f"{self.target.name}({', '.join(given)})"


BASES = (
    Layer, NumpyLayer, Activation, Initializer, Optimizer, Loss, ClassLoss, Elementwise, Schedule,
)  # fmt: skip


def use(thing):
    """What comes next with an object: layers are built and passed, optimizers step, ..."""
    rng = np.random.default_rng(0)
    if type(thing) in BASES:
        return  # without a subclass nothing can be done with these
    if isinstance(thing, Sequential):
        thing.summary() if thing.output_shape else thing.initialize(SHAPE)
        thing.predict(np.ones((17, *thing.input_shape), thing.dtype))
    elif isinstance(thing, Layer):
        if thing.output_shape is None:
            thing.build((7,) if isinstance(thing, Dense) else SHAPE, rng)
        if not lanes.group_count(int(np.prod(thing.input_shape))) > 2**20:
            plan = Plan(thing)
            y = plan.forward(np.ones((2, *thing.input_shape, 16), thing.dtype), True, 17)
            plan.backward(np.ones_like(y))
    elif isinstance(thing, Initializer):
        thing((4, 2, 3, 3), Fans(18, 36), rng)
        str(thing)
    elif isinstance(thing, Optimizer):
        thing.step()
    elif isinstance(thing, Loss):
        thing(np.ones((2, 4, 16), np.float32), np.arange(17) % 4)
    elif isinstance(thing, Schedule):
        thing(1, 10)
        str(thing)
    elif isinstance(thing, Parameter):
        SGD([thing], 0.1).step()


class Canary:
    """A small network whose scores must stay: they would not if memory were overwritten."""

    def __init__(self):
        self.model = Sequential(
            Conv2d(8, 3, padding=1), BatchNorm(), ReLU(), MaxPool2d(2), Flatten(), Dense(4)
        )
        self.model.initialize(SHAPE, seed=5)
        self.images = np.random.default_rng(5).standard_normal((33, *SHAPE)).astype(np.float32)
        self.state = self.model.state_dict()
        self.labels, self.loss = np.arange(33) % 4, SoftmaxCrossEntropy()
        self.expected = self._scores()

    def sings(self):
        """Whether all is as it was."""
        return self._scores() == self.expected

    def _scores(self):
        scores = self.model.predict(self.images)
        packed = self.model.forward(lanes.pack(self.images), True, 33)
        value, delta = self.loss(packed, self.labels)
        self.model.backward(delta)
        self.model.release()
        grads = b"".join(p.grad.tobytes() for p in self.model.parameters())
        self.model.load_state_dict(self.state)
        return scores.tobytes() + grads + str(value).encode()


def outcome(case):
    """Make a call; ``returned``, ``refused``, ``raw``, ``hung`` or ``not made``, and what of it."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            case.prepare()
        except Exception as error:  # the arguments cannot be made: a fault of the tables
            return "not made", _described(error)
        heard.clear()
        try:
            case.call()
            found = "returned", ""
        except MinicnnError as error:
            text = str(error)
            found = "refused", text
            if not text.strip() or len(text) > LONGEST_MESSAGE:
                found = "raw", f"a message of {len(text)} characters: {text[:60]!r}"
        except Hang as error:
            found = "returned" if _trains(error) else "hung", _described(error)
        except Exception as error:
            found = ("refused" if _is_pythons(error, case) else "raw"), _described(error)
        # The package's own warnings, of UserWarning, are sentences for the user.
        wrong = [w for w in heard if issubclass(w.category, RuntimeWarning)]
        if wrong and found[0] != "raw":
            return "raw", f"{wrong[0].category.__name__}: {wrong[0].message} ({_place(wrong[0])})"
        return found


def _trains(error):
    """Whether a training was at work, which goes on for the thousand epochs that it was told."""
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    return "_train_epoch" in names


def _is_pythons(error, case):
    """Whether Python itself refuses the call or the attribute, before any code of the package."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    # A function that `takes` wraps is refused by Python in the wrapper, before its own code.
    below = any(name.startswith(PACKAGE) for name in frames if name != WRAPPER)
    if isinstance(error, TypeError):
        return not below
    if isinstance(error, AttributeError):
        return not below and case.target.function is None
    if isinstance(error, NotImplementedError):
        return (
            case.target.owner is not None
            and vars(case.target.owner).get(case.target.attribute) is case.target.function
        )  # an abstract method
    return False


def _described(error):
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    where = (ours or frames or [None])[-1]
    place = (
        f"{Path(where.filename).relative_to(PACKAGE) if ours else where.filename}:{where.lineno}"
    )
    return f"{type(error).__name__}: {str(error)[:200]} ({place})"


def _place(warning):
    return f"{warning.filename.removeprefix(PACKAGE + os.sep)}:{warning.lineno}"


def _shown(value):
    try:
        if isinstance(value, np.ndarray):
            order = "" if value.flags.c_contiguous else ", not contiguous"
            return f"<{value.dtype} {value.shape}{order}>"
        return f"{value!r:.80}"
    except Exception as error:
        return f"<{type(value).__name__} without repr: {type(error).__name__}>"


def _ring(*_):
    raise Hang


def _limit_address_space():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


TARGETS = {}
canary = None


def main():
    seed, folder = int(sys.argv[1]), Path(sys.argv[2])
    TARGETS.update(callables.targets())
    names = sys.stdin.read().split("\n")
    say = os.fdopen(os.dup(1), "w")
    verbose = os.environ.get("MINICNN_CALLS_VERBOSE")
    quiet = open(os.devnull, "w")
    if not verbose:
        os.dup2(quiet.fileno(), 1)
    _limit_address_space()
    signal.signal(signal.SIGPROF, _ring)
    signal.signal(signal.SIGALRM, _ring)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    global canary
    canary, threads = Canary(), get_num_threads()
    print(json.dumps({"ready": True}), file=say, flush=True)
    for name in filter(None, names):
        print(json.dumps({"begin": name}), file=say, flush=True)
        work = folder / "work" / "here"
        work.mkdir(parents=True, exist_ok=True)
        os.chdir(work)
        case = Case(name, seed, work)
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS, 1)
        signal.setitimer(signal.ITIMER_REAL, WAIT_SECONDS, 1)
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                found, what = outcome(case)
        except Hang:
            found, what = "hung", ""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        set_num_threads(threads)
        shown = "" if found in ("returned", "refused") and not verbose else str(case)
        if not canary.sings():
            found, what = "corrupt", f"the scores of another network changed; {what}"
        line = {"end": name, "outcome": found, "what": what, "call": shown}
        print(json.dumps(line), file=say, flush=True)
        if found in ("corrupt", "hung"):
            os._exit(0)
        if any(work.iterdir()):
            os.chdir(folder)
            shutil.rmtree(folder / "work", ignore_errors=True)
    os._exit(0)  # threads of a call that was refused may still wait


if __name__ == "__main__":
    main()
