"""``python -m tests.long [NAME ...] [--count N] [--seed S]``: run long tests, print a table."""

import argparse
import sys
import time

from minicnn.errors import MinicnnError
from tests.long import MODULES, load

SHOWN = 20  # failures printed of each test


def main(argv=None):
    """Run the long tests that are named, or all; 0 if all passed, 1 if one failed, 2 if misused."""
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(MODULES))
    parser.add_argument("--count", metavar="N", type=int, help="instead of each test's own number")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the random cases (0)")
    parser.add_argument("--only", metavar="CASE", help="one case, as a failure of calls names it")
    given = parser.parse_args(argv)
    try:
        tests = [(name, load(name)) for name in given.names or MODULES]
    except MinicnnError as error:
        parser.error(str(error))
    if given.count is not None and given.count < 1:
        parser.error(f"--count must be at least 1, got {given.count}.")
    if given.only is not None and given.names != ["calls"]:
        parser.error("--only is for calls: python -m tests.long calls --only CASE.")
    more = {} if given.only is None else {"only": given.only}
    return max(
        [_run(name, test, given.count or test.COUNT, given.seed, more) for name, test in tests]
    )


def _run(name, test, count, seed, more):
    """Run one test and print what it found; 0 if it passed, else 1."""
    start = time.perf_counter()
    found = test.run(count, seed, **more)
    command = f"python -m tests.long {name} --count {count} --seed {seed}"
    print(f"{test.TITLE}\n`{command}`, {time.perf_counter() - start:.0f} s\n")
    print("| what | figure |\n|---|---|", found.table(), "", sep="\n")
    for failure in found.failures[:SHOWN]:
        print(f"FAILED {failure}")
    if len(found.failures) > SHOWN:
        print(f"... and {len(found.failures) - SHOWN} more")
    print(flush=True)
    return int(not found.passed)


if __name__ == "__main__":
    sys.exit(main())
