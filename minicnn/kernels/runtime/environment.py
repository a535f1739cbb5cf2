"""Numba, and what the environment asks of it, looked at once before anything is compiled.

A setting with which kernels cannot run is an error; one that makes them slower, with other bits,
is a warning.
"""

import os
import warnings

from minicnn.errors import ArgumentError

MOST_THREADS = 1024  # the first kernel that shares out work starts each
UNREADABLE = "Environment variable 'NUMBA_"

FUSED = """
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
define <8 x float> @f(<8 x float> %x, <8 x float> %y, <8 x float> %z) {
  %sum = call <8 x float> @llvm.fma.v8f32(<8 x float> %x, <8 x float> %y, <8 x float> %z)
  ret <8 x float> %sum
}
"""


def _load():
    """Numba; of variables that it cannot read, a sentence for each rather than a traceback."""
    with warnings.catch_warnings(record=True) as caught:
        try:
            import numba
        except ValueError as error:  # a number of threads below 1, as far as is known
            threads = os.environ.get("NUMBA_NUM_THREADS")
            raise ArgumentError(
                f"Numba cannot be loaded with NUMBA_NUM_THREADS={threads}: {error} Unset it, or set"
                " it to how many threads to use."
            ) from None
    for told in caught:
        message = str(told.message)
        if message.startswith(UNREADABLE):
            warnings.warn(f"{message.splitlines()[0]} Numba ignores it: unset it.", stacklevel=2)
        else:
            warnings.warn_explicit(told.message, told.category, told.filename, told.lineno)
    return numba


def check(config):
    """Raise an ArgumentError if kernels cannot run with the settings, ``numba.config``."""
    if config.DISABLE_JIT:
        raise ArgumentError(
            "NUMBA_DISABLE_JIT is set, but minicnn's kernels have to be compiled: unset it. For a"
            " debugger, minicnn.reference has the same equations in plain NumPy."
        )
    if config.NUMBA_NUM_THREADS > max(MOST_THREADS, os.cpu_count() or 1):
        raise ArgumentError(
            f"NUMBA_NUM_THREADS is {config.NUMBA_NUM_THREADS}: expected at most {MOST_THREADS}, and"
            " best the number of processors, which is the default."
        )
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:
        _check_processor(config)
    if config.CACHE_DIR:
        config.CACHE_DIR = _absolute(config.CACHE_DIR)


def _check_processor(config):
    """Refuse instructions that this processor lacks; warn where it is left without its own."""
    import llvmlite.binding as llvm
    from numba.core.codegen import get_host_cpu_features, initialize_llvm

    initialize_llvm()
    host = llvm.get_host_cpu_features()
    lacking = [
        word for word in (config.CPU_FEATURES or "").split(",")
        if word.startswith("+") and host.get(word[1:]) is False
    ]  # fmt: skip
    if lacking:
        raise ArgumentError(
            f"NUMBA_CPU_FEATURES asks for {','.join(lacking)}, which this processor does not have:"
            " unset it."
        )
    own = _has_fused(llvm, llvm.get_host_cpu_name(), host.flatten())
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    if own and not _has_fused(llvm, config.CPU_NAME or llvm.get_host_cpu_name(), features):
        names = ("CPU_NAME", "CPU_FEATURES")
        given = [f"NUMBA_{n}={value}" for n in names if (value := getattr(config, n)) is not None]
        warnings.warn(
            f"with {' and '.join(given)} kernels are compiled without the fused multiply-adds of"
            " this processor: they are many times slower, and results differ in the last bits."
            " Unset it for full speed.",
            stacklevel=3,
        )


def _absolute(folder):
    """The folder for compiled kernels as a full path: the process may go elsewhere."""
    folder = os.path.expanduser(folder)
    if folder.startswith("~"):  # no such user, or no HOME and no entry in the password file
        warnings.warn(
            f"NUMBA_CACHE_DIR is {folder}, but this user has no home folder: it is ignored. Set it"
            " to a full path.",
            stacklevel=3,
        )
        return ""
    return os.path.abspath(folder)


def _has_fused(llvm, cpu, features):
    """Whether LLVM has an instruction for ``x y + z``, or calls a function for each number."""
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features)
    return "fmaf" not in machine.emit_assembly(llvm.parse_assembly(FUSED))


numba = _load()
check(numba.config)
