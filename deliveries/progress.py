"""When this node last got somewhere: one number in memory that all its processes share.

A node is a Celery worker or beat. Its main process makes the memory before it forks its pool; whichever of them gets
somewhere notes it, and the main process tells Postgres with its next heartbeat. To note it costs a third of a
microsecond and asks nobody.
"""

import mmap
import struct
import time

_NUMBER = struct.Struct("d")
_mark = mmap.mmap(-1, _NUMBER.size)


def note() -> None:
    """A turn, a task or a tick is done."""
    # The monotonic clock is one for all processes of a machine.
    _NUMBER.pack_into(_mark, 0, time.monotonic())


def age_s() -> float | None:
    """Seconds since the last note; None before the first."""
    (noted,) = _NUMBER.unpack_from(_mark, 0)
    return time.monotonic() - noted if noted else None


def reset() -> None:
    """As at the start."""
    _NUMBER.pack_into(_mark, 0, 0.0)
