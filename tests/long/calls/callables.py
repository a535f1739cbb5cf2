"""What there is to call: every public function, class, method and setter, by introspection.

Nothing is registered, so what is new is called without anybody thinking of it.
"""

import importlib
import inspect
import pkgutil
from dataclasses import dataclass

import minicnn
from minicnn.initializers import Initializer
from minicnn.layers import Layer
from minicnn.losses import Loss
from minicnn.models import Sequential
from minicnn.optimizers import Optimizer

#: Command lines, kernels and what hands arrays to them, and
#: the errors, which the kernels import.
LEFT_OUT = (
    "cli", "__main__", "kernels", "layers.algorithms",
    "errors",
)  # fmt: skip

#: In a module's docstring: it is handed what others have checked, as the kernels are.
#: What is called there may raise Python's errors, but must not end the process.
UNCHECKED = "checks nothing"

HOOK = "on_"
#: What a subclass writes and the package alone calls, with what it has made or checked.
EXTENSION_POINTS = {
    Layer: ("setup", "forward", "backward", "backward_reads", "is_view", "recompute"),
    Initializer: ("moments", "draw"),
    Loss: ("load", "targets", "compute", "write_settings"),
    Optimizer: ("load", "numbers", "rule", "update"),
}

DATA_MODEL = ("__call__", "__len__", "__iter__", "__enter__")


@dataclass(frozen=True)
class Target:
    """Something that is called.

    Attributes
    ----------
    name : str
        Such as ``minicnn.losses.base.Loss.__call__``, or ``minicnn.parameter.Parameter.value=``.
    module : str
    function : callable or None
        None for an attribute, which is read or set.
    owner : type or None
        The class whose objects have it.
    attribute : str or None
        The name of a method or an attribute.
    parameters : tuple of inspect.Parameter
        Without `self`.
    """

    name: str
    module: str
    function: object
    owner: type | None = None
    attribute: str | None = None
    parameters: tuple = ()

    @property
    def is_checked(self):
        """Whether the module promises to check what it is handed.

        Hooks of callbacks do not: the Trainer alone calls them, in every step, with itself.
        """
        if (self.attribute or "").startswith(HOOK):
            return False
        return UNCHECKED not in (importlib.import_module(self.module).__doc__ or "")

    @property
    def weight(self):
        """How often it is called: more, the more there is to hand over."""
        return 1 + 2 * len(self.parameters)


def modules():
    """Names of the public modules, in order."""
    found = [minicnn.__name__]
    found += [module.name for module in pkgutil.walk_packages(minicnn.__path__, "minicnn.")]
    return [name for name in found if not _is_left_out(name)]


def targets():
    """All targets by name, in order."""
    found = {}
    for module in modules():
        for target in _of_module(module, importlib.import_module(module)):
            found.setdefault(target.name, target)
    return found


def _is_left_out(module):
    path = module.removeprefix("minicnn.")
    hidden = any(part.startswith("_") for part in path.split("."))
    return hidden or any(path == name or path.startswith(f"{name}.") for name in LEFT_OUT)


def _of_module(name, module):
    for key in sorted({*vars(module), *getattr(module, "__all__", ())}):
        thing = getattr(module, key)
        home = getattr(thing, "__module__", None) or ""
        lent = home != name and _is_left_out(home) and key in getattr(module, "__all__", ())
        if key.startswith("_") or key == "main" or not (home == name or lent):
            continue
        if inspect.isclass(thing):
            yield Target(f"{name}.{key}", name, thing, parameters=_parameters(thing))
            yield from _of_class(name, thing)
        elif callable(thing) and hasattr(thing, "__qualname__"):
            yield Target(f"{name}.{key}", name, thing, parameters=_parameters(thing))


def _of_class(module, cls):
    """Inherited ones as well: they are other methods on another object."""
    for key in sorted(dir(cls)):
        public = not key.startswith("_") or key in DATA_MODEL
        checked = issubclass(cls, Sequential) and key in ("forward", "backward")
        if not checked and any(
            issubclass(cls, base) and key in names for base, names in EXTENSION_POINTS.items()
        ):
            continue
        origin = next((c for c in cls.__mro__ if key in vars(c)), None)
        if not public or origin is None or not origin.__module__.startswith("minicnn"):
            continue
        thing, name = vars(origin)[key], f"{module}.{cls.__name__}.{key}"
        if isinstance(thing, (classmethod, staticmethod)):
            function = getattr(cls, key)
            yield Target(name, module, function, None, key, _parameters(function))
        elif inspect.isfunction(thing):
            yield Target(name, module, thing, cls, key, _parameters(thing)[1:])
        elif inspect.isdatadescriptor(thing) and not issubclass(cls, tuple):
            yield Target(name, module, None, cls, key)
            if not isinstance(thing, property) or thing.fset:
                yield Target(f"{name}=", module, None, cls, key, (_VALUE,))


def _parameters(function):
    try:
        return tuple(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return (inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL),)


_VALUE = inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD)
