"""Lets a drain know that its worker wants to stop.

A warm shutdown waits for running tasks, and tells the pool's processes nothing. So the worker's main process sets a
byte in memory that it shares with the children it forks, and a drain that sees it stops claiming: it finishes what is
in the air, within ten seconds, and ends.
"""

import mmap

# Made at import, in the main process, before the pool forks.
_flag = mmap.mmap(-1, 1)


def stop() -> None:
    _flag[0] = 1


def is_stopping() -> bool:
    return _flag[0] == 1


def reset() -> None:
    """For tests, which stop more than one drain in a process."""
    _flag[0] = 0
