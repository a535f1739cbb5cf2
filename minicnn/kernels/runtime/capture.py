"""Writing down what kernels hand out to the pool, so that it can be replayed.

While a thread *captures*, every call of :func:`minicnn.kernels.runtime.thread_pool.parallel_for`
that it makes is written to a list: the address of the function that does the tasks, its arguments
as they were packed, and the number of tasks. See :mod:`minicnn.kernels.runtime.replay`.
"""

from minicnn.kernels.runtime.atomics import peek, poke, read, thread_ident, write
from minicnn.kernels.runtime.jit import kernel

# Words of the pool's first line: the thread that captures, or 0; the address of the list; how many
# words it has room for; and how many are written, or -1 if they were too many.
CAPTURING, LIST, ROOM, WRITTEN = 8, 9, 10, 11
HEAD = 3  # words of a call before its arguments: its function, how many words they are, its tasks


@kernel
def note(function, place, words, count):
    """Write a call to the list, if this thread captures, and tell whether it does."""
    if read(CAPTURING) != thread_ident():
        return False
    written = read(WRITTEN)
    if written < 0 or written + HEAD + words > read(ROOM):
        write(WRITTEN, -1)
        return True
    at = read(LIST) + 8 * written
    poke(at, function)
    poke(at + 8, words)
    poke(at + 16, count)
    for word in range(words):
        poke(at + 8 * (HEAD + word), peek(place + 8 * word))
    write(WRITTEN, written + HEAD + words)
    return True
