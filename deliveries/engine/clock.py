"""The drain's clock: the database's time, carried on by this machine's monotonic clock."""

import time
from datetime import datetime, timedelta

SYNC_S = 60.0
# Two crystals drift apart by far less than a millisecond in a minute.


class Clock:
    """Hosts may disagree about the time by minutes; whether a delivery is due is one question with one answer."""

    def __init__(self) -> None:
        self._base: datetime | None = None
        self._base_at = 0.0

    @property
    def is_stale(self) -> bool:
        return self._base is None or time.monotonic() - self._base_at > SYNC_S

    def set(self, now: datetime) -> None:
        self._base, self._base_at = now, time.monotonic()

    def now(self) -> datetime:
        if self._base is None:
            raise RuntimeError("the clock was not set")
        return self._base + timedelta(seconds=time.monotonic() - self._base_at)
