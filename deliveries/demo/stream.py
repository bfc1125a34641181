"""A steady stream of sample events, published through the REST API as the systems would."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from random import Random
from threading import Event as Flag
from threading import Lock, Thread

from deliveries.demo.model import Event
from deliveries.demo.systems import SYSTEMS
from deliveries.demo.tally import Journal, now_s
from dispatcher.client import NEVER, Provider, SignetError

THREAD_RATE = 40.0
# Events a second that one connection carries with ease: an answer takes some 5 ms.
THREADS_MOST = 8
ANSWER_TIMEOUT_S = 10.0
PAUSE_S = 1.0
# After a failure: the web process may be starting again.
BEHIND_MOST_S = 1.0
# A stream that could not keep up goes on from now, it does not make up for lost time with a flood.


@dataclass(frozen=True, slots=True)
class Published:
    """`deliveries` is what the platform said it owes for the events. `trouble` is the last failure, until one works."""

    events: int = 0
    deliveries: int = 0
    errors: int = 0
    trouble: str = ""


class Stream:
    """Publishes `rate` events a second, of all systems alike, on as many threads as that needs."""

    def __init__(self, *, url: str, key: str, rate: float, journal: Journal) -> None:
        self._url = url
        self._key = key
        self._journal = journal
        self._stopping = Flag()
        self._lock = Lock()
        self._published = {system.name: Published() for system in SYSTEMS}
        count = min(THREADS_MOST, ceil(rate / THREAD_RATE))
        self._threads = [Thread(target=self._run, args=(count / rate,), daemon=True) for _ in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, *, patience_s: float) -> None:
        """Whoever waits for an answer longer than that is left behind."""
        self._stopping.set()
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def read(self) -> Mapping[str, Published]:
        """By system."""
        with self._lock:
            return dict(self._published)

    def _run(self, gap_s: float) -> None:
        random = Random()  # noqa: S311 - sample data
        sources = {system.name: system.source(random) for system in SYSTEMS}
        due_at = time.monotonic()
        # Without retries: what goes wrong is shown.
        with Provider(self._url, self._key, retry=NEVER, read_timeout_s=ANSWER_TIMEOUT_S) as provider:
            while not self._stopping.wait(max(0.0, due_at - time.monotonic())):
                name = random.choice(list(sources))
                now = datetime.now(UTC)
                trouble = self._publish(provider, name, sources[name].draw(now), now)
                if trouble:
                    self._stopping.wait(PAUSE_S)
                due_at = max(due_at + gap_s * random.uniform(0.5, 1.5), time.monotonic() - BEHIND_MOST_S)

    def _publish(self, provider: Provider, system: str, event: Event, now: datetime) -> str:
        """What went wrong, empty if nothing did. The journal is first: a delivery may arrive before the answer."""
        self._journal.note(system, event.key, at=now_s())
        deliveries, trouble = 0, ""
        try:
            accepted = provider.events.publish(
                event.type, event.payload, merchant=event.merchant, account=event.account, occurred_at=now
            )
            deliveries = accepted.deliveries
        except SignetError as failure:
            trouble = str(failure)
        with self._lock:
            before = self._published[system]
            self._published[system] = replace(
                before,
                events=before.events + (not trouble),
                deliveries=before.deliveries + deliveries,
                errors=before.errors + bool(trouble),
                trouble=trouble,
            )
        return trouble
