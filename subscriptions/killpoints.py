"""Places where a test may kill its own process. Without SIGNET_KILL_AT, so outside of tests, they do nothing.

The variable names a directory. A test arms a place by writing into a file of its name how many times it shall be
reached; whoever reaches it the last time takes the file away and is gone, as if by a power cut.
"""

import os
import signal
from collections import Counter
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

VARIABLE = "SIGNET_KILL_AT"
_DIRECTORY = os.environ.get(VARIABLE, "")
_counts: Counter[str] = Counter()

if _DIRECTORY and not settings.DEBUG:
    raise ImproperlyConfigured(f"{VARIABLE} lets processes be killed and is for tests only: unset it.")


def reached(name: str) -> None:
    """The process is at the place `name`."""
    if _DIRECTORY:
        _die_if_armed(Path(_DIRECTORY, name))


def _die_if_armed(armed: Path) -> None:
    try:
        times = int(armed.read_text())
    except (OSError, ValueError):
        _counts.pop(armed.name, None)
        return
    _counts[armed.name] += 1
    if _counts[armed.name] < times:
        return
    try:
        armed.unlink()
    except FileNotFoundError:
        # Another process reached it at the same moment: only one dies.
        return
    os.kill(os.getpid(), signal.SIGKILL)
