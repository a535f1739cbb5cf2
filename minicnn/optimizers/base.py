"""What every optimizer is: parameters, their averages, and a state to save."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.checks import as_array, check_dict, check_flag, check_number, is_finite, takes
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits
from minicnn.optimizers import groups as parameter_groups
from minicnn.optimizers.clipper import Clipper
from minicnn.optimizers.groups import Group
from minicnn.optimizers.runs import Run, find_runs, memory_order
from minicnn.parameter import Parameter, as_parameters, check_normal, zeros_side_by_side


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
    groups : tuple of Group
        Parameters with other settings than the optimizer's; none at first. To be set to a list of
        groups, or of strings such as ``"*.bias:lr_factor=2"``; a group that matches no parameter
        is an ArgumentError. PyTorch's are called ``param_groups``. Gradients of frozen parameters
        are 0 and not computed, until other groups or another optimizer free them.
    clip_norm, clip_value : float or None
        In every step the gradients' elements are first brought between ``-clip_value`` and
        ``clip_value``, and then all gradients together to a norm of at most ``clip_norm``; None,
        at first, for neither. Gradients that are frozen do not count. See `clip_grad_norm`.

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
        self._clipping = Clipper()
        self._groups: tuple[Group, ...] = ()
        self._members = [list(range(len(self.parameters)))]  # of each group, then of none
        self._freeze()

    @property
    def groups(self) -> tuple[Group, ...]:
        """Parameters with other settings than the optimizer's."""
        return self._groups

    @groups.setter
    def groups(self, groups: Iterable[str | Group]) -> None:
        groups = parameter_groups.as_groups(groups)
        for group in groups:
            if group.weight_decay is not None:
                self.check_normal(f"weight_decay of group {group}", group.weight_decay)
        self._members = parameter_groups.assign(self.parameters, groups)
        self._groups, self._runs = groups, None
        self._freeze()

    def _freeze(self):
        """Tell the parameters whether their gradients are read; those of frozen ones become 0."""
        frozen = {
            index
            for group, members in zip(self._groups, self._members)
            for index in (members if group.frozen else ())
        }
        for index, parameter in enumerate(self.parameters):
            if parameter.frozen != (index in frozen):
                parameter.frozen = index in frozen
                parameter.grad[...] = 0

    @property
    def clip_norm(self) -> float | None:
        """The greatest norm over all gradients."""
        return float(self._clipping.norm[0]) or None

    @clip_norm.setter
    def clip_norm(self, value: float | None) -> None:
        self._set_limit(self._clipping.norm, value, "clip_norm")

    @property
    def clip_value(self) -> float | None:
        """The greatest size of an element of a gradient."""
        return float(self._clipping.value[0]) or None

    @clip_value.setter
    def clip_value(self, value: float | None) -> None:
        self._set_limit(self._clipping.value, value, "clip_value")

    def _set_limit(self, limit, value, name):
        if value is not None:
            if not (is_finite(value) and value > 0):
                raise ArgumentError(
                    f"{type(self).__name__}: {name} must be a number above 0, or None, got"
                    f" {value!r}."
                )
            self.check_normal(name, value)
        if (value is None) == bool(limit[0]):
            self._runs = None  # other kernels from now on
        limit[0] = value or 0

    @takes(value=check_number)
    def check_normal(self, name: str, value: float) -> None:
        """Raise an ArgumentError unless each dtype holds `value` as 0 or a normal number."""
        check_normal(self.parameters, value, f"{type(self).__name__}: {name}")

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
        by_decay = self.weight_decay != 0 or any(group.weight_decay for group in self._groups)
        runs = self._runs if by_decay == self._by_decay else None
        if runs is None or Parameter.changes != self._changes:
            if runs is None or not all(run.holds() for run in runs):
                runs = self._runs = self._find_runs(by_decay)
            self._by_decay, self._changes = by_decay, Parameter.changes
        for run in runs:
            settings = self._numbers(run)
            run.numbers[: len(settings)] = settings
        return runs

    def _numbers(self, run):
        """The settings of a run: those of its group, or the optimizer's."""
        if run.group is None:
            return self.numbers(self.weight_decay if run.decay else 0.0)
        decay = run.group.weight_decay
        lr, decay = self.lr, self.weight_decay if decay is None else decay
        vars(self)["lr"] = lr * run.group.lr_factor  # which `numbers` reads
        try:
            return self.numbers(decay if run.decay else 0.0)
        finally:
            vars(self)["lr"] = lr

    def update(self) -> None:
        """End a step that `load` has begun: the kernels, and nothing else."""
        runs = self._runs or []
        self._clipping(runs)
        for run in runs:
            self._change(run)

    def _change(self, run):
        averages = [run.averages.get(kind) for kind in self.kinds]
        self.rule(run.value, run.grad, *averages, run.numbers)

    def _find_runs(self, by_decay):
        found = []
        for group, indices in zip((*self._groups, None), self._members):
            if indices and not (group and group.frozen):
                runs = self._runs_of(indices, by_decay)
                for run in runs:
                    run.group = group
                found += runs
        return found

    def _runs_of(self, indices, by_decay):
        """Runs of the parameters at these indices."""
        own = [self.parameters[i] for i in indices]
        averages = {kind: [arrays[i] for i in indices] for kind, arrays in self._averages.items()}
        return find_runs(own, averages, by_decay)

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
