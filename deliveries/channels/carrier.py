"""Threads for what blocks, behind the three calls of the HTTP clients."""

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic

from dispatcher.http.door import Finished
from dispatcher.outcomes import Outcome, Phases, Reason

logger = logging.getLogger(__name__)

THREADS = 32
# Letters in the air at once. A mail server next door takes 50 ms for one, so this is some 600 a second from each
# process; its own limits are usually lower.

Carry = Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class _Job:
    number: int
    key: Hashable
    carry: Carry
    started: float


class Carrier:
    """Not for sharing between threads. The threads are daemons and hold nothing that must be finished: one that hangs
    in a system call keeps neither the drain nor the end of the process waiting.

    A letter that is not done by its deadline comes back as `response_timeout`; what its thread brings later is dropped.
    Until then that thread counts as taken, so that hanging back ends can never have more than `threads` of them.
    """

    def __init__(self, *, deadline_s: float, threads: int = THREADS) -> None:
        self._deadline_s = deadline_s
        self._threads_max = threads
        self._threads = 0
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        self._numbers = count()
        # In the order of their deadlines, as all have the same time.
        self._flying: dict[int, _Job] = {}
        # Those whose deadline has passed, and whose threads are still out.
        self._late: set[int] = set()
        # Brought in, and not yet asked for.
        self._finished: list[Finished] = []

    @property
    def in_flight(self) -> int:
        return len(self._flying) + len(self._finished)

    @property
    def free(self) -> int:
        """How many letters may be submitted now; more would wait here for a thread, with their time running.

        Asked also while nothing is in the air and nobody polls: threads that hung may have come back since.
        """
        self._sweep(0.0)
        return max(0, self._threads_max - len(self._flying) - len(self._late))

    def submit(self, key: Hashable, carry: Carry) -> None:
        """Start one letter; never blocks, never raises for what a back end does."""
        job = _Job(next(self._numbers), key, carry, monotonic())
        self._flying[job.number] = job
        if self._threads < min(len(self._flying) + len(self._late), self._threads_max):
            self._threads += 1
            arguments = (self._waiting, self._done)
            threading.Thread(target=_work, args=arguments, name="letter-carrier", daemon=True).start()
        self._waiting.put(job)

    def poll(self, timeout_s: float) -> list[Finished]:
        """Wait at most `timeout_s` for a letter to be done or overdue; returns early once one is."""
        first = next(iter(self._flying.values()), None)
        if first is not None:
            timeout_s = min(timeout_s, first.started + self._deadline_s - monotonic())
        self._sweep(0.0 if self._finished else max(0.0, timeout_s))
        finished, self._finished = self._finished, []
        return finished + self._overdue()

    def _sweep(self, timeout_s: float) -> None:
        """Take in what the threads have brought, after waiting for the first of it."""
        try:
            number, outcome = self._done.get(timeout=timeout_s) if timeout_s else self._done.get_nowait()
            while True:
                job = self._flying.pop(number, None)
                if job is None:
                    self._late.discard(number)
                else:
                    self._finished.append(Finished(job.key, outcome))
                number, outcome = self._done.get_nowait()
        except Empty:
            return

    def _overdue(self) -> list[Finished]:
        now, overdue = monotonic(), []
        for job in self._flying.values():
            if now - job.started < self._deadline_s:
                break
            overdue.append(job)
        for job in overdue:
            del self._flying[job.number]
            self._late.add(job.number)
        return [Finished(job.key, _timed_out(now - job.started)) for job in overdue]

    def close(self) -> None:
        """Abandon what is in flight; threads end as soon as what they wait for lets them."""
        for _ in range(self._threads):
            self._waiting.put(None)
        self._flying.clear()
        self._finished.clear()


def _work(waiting: SimpleQueue[_Job | None], done: SimpleQueue[tuple[int, Outcome]]) -> None:
    """A function and not a method: a thread that hangs must not keep its carrier in memory."""
    while (job := waiting.get()) is not None:
        try:
            outcome = job.carry()
        except Exception:
            # A back end may be anybody's; the thread must live to carry the next letter.
            logger.exception("a letter could not be carried")
            outcome = Outcome(Reason.INTERNAL_ERROR, detail="The letter could not be handed over.")
        elapsed_ms = (monotonic() - job.started) * 1000
        done.put((job.number, replace(outcome, phases=replace(outcome.phases, total=elapsed_ms))))


def _timed_out(elapsed_s: float) -> Outcome:
    detail = "The server did not take the letter in time."
    return Outcome(Reason.RESPONSE_TIMEOUT, detail=detail, phases=Phases(total=elapsed_s * 1000))
