"""What every optimizer is: parameters, their averages, and a state to save."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.checks import as_array, check_dict, check_flag, check_number, is_finite, takes
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits
from minicnn.optimizers.runs import Run, find_runs, memory_order
from minicnn.parameter import Parameter, zeros_side_by_side


class Setting:
    """A number of an optimizer that is checked whenever it is set, by user or schedule.

    It is read from the optimizer itself, which takes Python no call. With `normal`, the
    parameters' dtype must hold it in full, as 0 or a normal number: the kernels round it to that
    dtype, in which an eps of 1e-46 would be 0.
    """

    def __init__(self, valid: Callable[[float], bool], expected: str, normal: bool = False):
        self.valid, self.expected, self.normal = valid, expected, normal

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    if TYPE_CHECKING:

        def __get__(self, optimizer: Any, kind: Any = None) -> float: ...

    def __set__(self, optimizer: Any, value: float) -> None:
        if not (is_finite(value) and self.valid(value)):
            raise ArgumentError(
                f"{type(optimizer).__name__}: {self.name} must be {self.expected}, got {value!r}."
            )
        if self.normal:
            optimizer.check_normal(self.name, value)
        optimizer.__dict__[self.name] = float(value)


def positive(normal: bool = False) -> Setting:
    """A setting that must be above 0."""
    return Setting(lambda x: x > 0, "a number above 0", normal)


def fraction() -> Setting:
    """A setting that must be in [0, 1)."""
    return Setting(lambda x: 0 <= x < 1, "a number in [0, 1)")


def as_parameters(given: Iterable[Parameter], who: str) -> list[Parameter]:
    """A list of parameters from any iterable, which may be a generator and is read once.

    Anything else, no parameter, or one that is there twice is an ArgumentError that says `who`
    needs them.
    """
    try:
        parameters = list(given)
    except TypeError as error:
        raise ArgumentError(
            f"{who} needs a list of parameters, as model.parameters() gives it, got {given!r}."
        ) from error
    if not parameters:
        raise ArgumentError(
            f"{who} needs parameters, got none: build the model first, by model.initialize(shape),"
            " and make a generator anew, as it gives them once only."
        )
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise ArgumentError(
                f"{who} needs parameters, as model.parameters() gives them, got {parameter!r}."
            )
    if len({id(p) for p in parameters}) < len(parameters):
        raise ArgumentError(f"{who} got a parameter twice: it would be changed twice.")
    return parameters


class Optimizer(Habits):
    """Base of all optimizers.

    A rule is a kernel over flat arrays, ``rule(value, grad, *averages, numbers)``, and `numbers`,
    which gives the settings of a step as the kernel takes them. Another optimizer may as well
    write `step` itself.

    Parameters
    ----------
    parameters : iterable of Parameter
        The arrays to train, of float32 or float64; their order is the order of updates.
    lr : float
        Learning rate, above 0. May be set at any time, as a schedule does; only the first must
        be a normal number of the parameters' dtype.
    weight_decay : float
        Strength of the pull towards zero; applies only where ``parameter.decay``. 0 or a normal
        number of the parameters' dtype.

    Attributes
    ----------
    steps : int
        How many steps have been taken.
    kinds : tuple of str
        The running averages that the rule keeps, in the order in which its kernel takes them.

    Raises
    ------
    ArgumentError
        For a setting out of range, or parameters that are missing or given twice.
    """

    _made = "parameters"
    kinds: tuple[str, ...] = ()
    rule: Callable[..., None]
    default_lr: float

    lr = positive()
    weight_decay = Setting(lambda x: x >= 0, "a number of at least 0", normal=True)

    def __init__(self, parameters: Iterable[Parameter], lr: float, weight_decay: float = 0.0):
        self.parameters = as_parameters(parameters, "an optimizer")
        self.lr = lr
        self.check_normal("lr", self.lr)
        self.weight_decay = weight_decay
        self.steps = 0
        self._averages: dict[str, list[np.ndarray]] = {}
        self._runs: list[Run] | None = None
        self._by_decay: bool | None = None
        self._changes = 0  # of parameters, when the runs were last looked at

    @takes(value=check_number)
    def check_normal(self, name: str, value: float) -> None:
        """Raise an ArgumentError unless each dtype holds `value` as 0 or a normal number."""
        for dtype in {parameter.value.dtype for parameter in self.parameters}:
            least = float(np.finfo(dtype).tiny)
            if 0 < value < least:
                raise ArgumentError(
                    f"{type(self).__name__}: {name} must be at least {least:.3g}, the smallest"
                    f" normal number of the parameters' {dtype}, got {value!r}."
                )

    def __getstate__(self) -> dict[str, Any]:
        """Without the runs, which are views of the parameters: a copy finds its own."""
        return {**vars(self), "_runs": None}

    def step(self) -> None:
        """Change every parameter once, by its current gradient."""
        self.load()
        self.update()

    def load(self) -> list[Run]:
        """Begin a step: write its settings to where the kernels read them.

        The list is the same one as long as `update` calls the same kernels on the same arrays.
        """
        self.steps += 1
        by_decay = self.weight_decay != 0
        runs = self._runs if by_decay == self._by_decay else None
        if runs is None or Parameter.changes != self._changes:
            if runs is None or not all(run.holds() for run in runs):
                runs = self._runs = self._find_runs(by_decay)
            self._by_decay, self._changes = by_decay, Parameter.changes
        for run in runs:
            settings = self.numbers(self.weight_decay if run.decay else 0.0)
            run.numbers[: len(settings)] = settings
        return runs

    def update(self) -> None:
        """End a step that `load` has begun: the kernels, and nothing else."""
        for run in self._runs or ():
            self._change(run)

    def _change(self, run):
        averages = [run.averages.get(kind) for kind in self.kinds]
        self.rule(run.value, run.grad, *averages, run.numbers)

    def _find_runs(self, by_decay):
        return find_runs(self.parameters, self._averages, by_decay)

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings of this step, number `steps`, in the order in which the kernel takes them.

        Parameters
        ----------
        decay : float
            The weight decay of the parameters at hand: that of the optimizer, or 0.

        Returns
        -------
        tuple of float
            At most 8.
        """
        raise NotImplementedError(
            f"{type(self).__name__} needs a kernel, rule, and a method numbers(self, decay); or a"
            " method step(self) of its own."
        )

    def _allocate(self, kind):
        """Make one array of zeros for each parameter, unless they exist already."""
        if kind not in self._averages:
            order = memory_order(self.parameters)
            values = [self.parameters[i].value for i in order]
            made = dict(zip(order, zeros_side_by_side(values)))
            self._averages[kind] = [made[i] for i in range(len(order))]
            self._runs = None

    def state_dict(self, copy: bool = True) -> dict[str, np.ndarray]:
        """All that is needed to go on bit for bit, beside values and settings.

        That is ``"steps"`` (int64, shape ``()``) and, for each parameter, its averages under its
        name, such as ``"0.weight.velocity"``; a nameless one goes by its index. A `copy` stays as
        it is when the optimizer goes on.
        """
        names = [p.name or str(i) for i, p in enumerate(self.parameters)]
        if len(set(names)) < len(names):
            raise ArgumentError(f"parameters share a name, so their state cannot: {names}.")
        state = {"steps": np.array(self.steps, dtype=np.int64)}
        for kind, arrays in self._averages.items():
            state |= {f"{name}.{kind}": array for name, array in zip(names, arrays)}
        copy = check_flag(copy, "state_dict: copy")
        return {n: array.copy() for n, array in state.items()} if copy else state

    @takes(state=check_dict)
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` of an optimizer with the same settings returned.

        A name that is missing or too many, or another shape or dtype, is an ArgumentError, and
        nothing has been changed then.
        """
        own = Optimizer.state_dict(self, copy=False)
        missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or extra:
            raise ArgumentError(
                f"the saved state is not one of this {type(self).__name__}: missing {missing}, "
                f"not known {extra}. Use the optimizer, settings and model it was saved with."
            )
        for name, array in own.items():
            given = as_array(state[name])
            if given.shape != array.shape or given.dtype != array.dtype:
                raise ArgumentError(
                    f"saved state {name!r}: expected shape {array.shape} and dtype "
                    f"{array.dtype}, got {given.shape} and {given.dtype}."
                )
        if state["steps"] < 0:
            raise ArgumentError(f"saved state 'steps' must be at least 0, got {state['steps']}.")
        for name, array in own.items():
            array[...] = state[name]
        self.steps = int(own["steps"])
