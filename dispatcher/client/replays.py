"""Replays: many deliveries sent again, and how far that is."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from dispatcher.client.calling import PAGE_SIZE, Caller, segment
from dispatcher.client.results import Replay, Stats

POLL_S = 0.5


class Replays:
    """`merchant.replays`; `merchant.endpoints` begins them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, endpoint: str | None = None, page_size: int = PAGE_SIZE) -> Iterator[Replay]:
        """Newest first."""
        return self._caller.pages("/replays", Replay, {"endpoint": endpoint}, page_size=page_size)

    def get(self, replay: str) -> Replay:
        return self._caller.get(f"/replays/{segment(replay)}", Replay)

    def stop(self, replay: str) -> Replay:
        """One that is over stays as it is."""
        return self._caller.post(f"/replays/{segment(replay)}/stop", Replay, {})

    def wait(
        self,
        replay: str,
        *,
        timeout_s: float | None = None,
        every_s: float = POLL_S,
        on_progress: Callable[[Replay], Any] = lambda found: None,  # noqa: ARG005 - nobody wants to know
    ) -> Replay:
        """Ask until it is finished or stopped. Raises TimeoutError; the replay itself goes on then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.get(replay)
            on_progress(found)
            if found.is_over:
                return found
            if deadline is not None and time.monotonic() + every_s > deadline:
                raise TimeoutError(f"The replay {replay} is still running.")
            time.sleep(every_s)


class Statistics:
    """`merchant.stats`: of all its endpoints."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        bucket: str | None = None,
        event_type: str | None = None,
    ) -> Stats:
        """By default the last 24 hours; `bucket` is `hour` or `day`."""
        query = {"since": since, "until": until, "bucket": bucket, "event_type": event_type}
        return self._caller.get("/stats", Stats, query)
