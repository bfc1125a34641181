"""Outlives a killed supervisor just long enough to end what it leaves behind. Run as a script; imports nothing of ours.

Standard input says which process groups live: a line `+123` when one starts, `-123` when it is gone. When it ends, the
supervisor is gone: the leaders are asked to stop, and whole groups are killed when they do not.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

GRACE_S = 10
# As long as one delivery may take: requests in flight can end, and a new supervisor finds the port free soon.
POLL_S = 0.1


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line[0] == "+" else groups.discard
        change(int(line[1:]))
    _signal(os.kill, groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and _signal(os.killpg, groups, 0):
        time.sleep(POLL_S)
    _signal(os.killpg, groups, signal.SIGKILL)


def _signal(send: Callable[[int, int], None], targets: Iterable[int], number: int) -> int:
    """How many of the targets are still there."""
    reached = 0
    for target in targets:
        try:
            send(target, number)
        except OSError:
            continue
        reached += 1
    return reached


if __name__ == "__main__":
    main()
