"""Sets the wall clock of one part of a platform wrong. Python imports this first where it is on the path.

SIGNET_SKEW is `<part> <seconds>`; the part is web, drain, tasks or beat. Monotonic clocks go on as they were, as on a
host whose date is off.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID


def _part() -> str:
    ready = os.environ.get("SIGNET_READY_FILE", "").rpartition("/")[2].partition("-")[0]
    return ready or os.environ.get("SIGNET_ROLE", "") or ("beat" if "beat" in sys.orig_argv else "")


def _set_wrong(seconds: float) -> None:
    import time_machine
    from uuid_utils import compat

    uuid7 = compat.uuid7
    # It reads the clock of the system by itself; milliseconds are its upper 48 bits.
    compat.uuid7 = lambda **_: UUID(int=uuid7().int + (int(seconds * 1000) << 80))
    time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True).start()


if "SIGNET_SKEW" in os.environ:
    _wanted, _seconds = os.environ["SIGNET_SKEW"].split()
    if _wanted == _part():
        _set_wrong(float(_seconds))
