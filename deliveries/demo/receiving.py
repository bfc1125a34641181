"""The receiver behind the demo's endpoints: reads deliveries as each system's merchants do, and has trouble at some."""

import hashlib
import time
from collections.abc import Mapping
from threading import Thread

from deliveries.demo.model import TROUBLED_SCHEDULE_S, Trouble
from deliveries.demo.receivers import CONFIRMATIONS, Known, Reader, Reading
from deliveries.demo.systems import SYSTEMS
from deliveries.demo.tally import Attempts, Taken, Tally, now_s
from deliveries.receiver import Answer, Listener, Verdict

TROUBLES: Mapping[str, Trouble] = {
    planned.path: planned.trouble for system in SYSTEMS for planned in system.webhooks if planned.trouble
}
TROUBLE_PERCENT = 15
TROUBLE_STATUSES = (500, 503)
LASTING_ONE_IN = 80
# Events that a failing endpoint refuses until the schedule is used up, so that the log shows failed deliveries too.
# Sent again by hand they are accepted.
LASTING_ATTEMPTS = len(TROUBLED_SCHEDULE_S) + 1
SILENT_ANSWER = Answer(200, b"<p>Thank you.</p>")
# A page that does something else than confirm; its system takes the delivery as not received.


class DemoReceiver(Listener):
    """`check_with` before `start`: what has waited since the last run comes at once."""

    def __init__(self, *, port: int, tally: Tally, readers: Mapping[str, Reader]) -> None:
        self._known: Mapping[str, Known] = {}
        self._tally = tally
        self._readers = readers
        self._attempts = Attempts()
        super().__init__(port=port)
        self._thread = Thread(target=self.serve, name="receiver", daemon=True)

    def check_with(self, known: Mapping[str, Known]) -> None:
        """From now on these are the endpoints, by path."""
        self._known = known

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        if self._thread.is_alive():
            self.stop()
        self.close()

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """401 when the signature does not hold, 503 when it cannot be checked now."""
        known = self._known.get(path)
        if known is None:
            return Answer(404)
        try:
            reading = self._read(known, headers, body)
        except OSError:
            return Answer(503)
        if reading.verdict not in {None, Verdict.GOOD}:
            self._tally.note(Taken(known.system, reading.key, 1, is_good=False, is_accepted=False), at=now_s())
            return Answer(401)
        attempt = self._attempts.count(path, reading.key)
        troubled = trouble(path, reading.key, attempt)
        is_good = None if reading.verdict is None else True
        taken = Taken(known.system, reading.key, attempt, is_good=is_good, is_accepted=troubled is None)
        self._tally.note(taken, at=now_s())
        return troubled or Answer(200, CONFIRMATIONS.get(known.profile, b""))

    def _read(self, known: Known, headers: Mapping[str, str], body: bytes) -> Reading:
        """What is not of its system's form counts as a bad signature."""
        reader = self._readers.get(known.profile)
        if reader is None:
            return Reading(None)
        try:
            return reader(known, headers, body, time.time())
        except (ValueError, LookupError, TypeError, AttributeError):
            return Reading(Verdict.BAD)


def trouble(path: str, key: str, attempt: int) -> Answer | None:
    """What the endpoint answers to this attempt in place of a confirmation, always the same; None: it takes it."""
    kind = TROUBLES.get(path, "")
    draw = _draw(f"{path} {key} {attempt}")
    if not kind:
        return None
    if kind == "silent":
        return SILENT_ANSWER if draw % 100 < TROUBLE_PERCENT else None
    if _draw(key) % LASTING_ONE_IN == 0 and attempt <= LASTING_ATTEMPTS:
        return Answer(TROUBLE_STATUSES[0])
    status = TROUBLE_STATUSES[draw // 100 % len(TROUBLE_STATUSES)]
    return Answer(status) if draw % 100 < TROUBLE_PERCENT else None


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
