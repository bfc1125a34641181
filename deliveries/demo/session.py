"""One run of the demo, from an empty database or an old world to the summary."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import DatabaseError, connection

from deliveries.demo import access, world
from deliveries.demo.desk_receiver import DeskReceiver, Tally
from deliveries.demo.ledger import Ledger
from deliveries.demo.screen import Figures, Screen, welcome
from deliveries.demo.stream import Published, Stream

LOOK_EVERY_S = 2.0
# How old the platform's own figures are at most, and how long the receiver takes to notice a rotated secret.
WAIT_FOR_OTHER_S = 1.0
STREAM_STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """`url` is the web process's; `seconds` None: until interrupted."""

    url: str
    rate: float
    seconds: float | None
    is_debug: bool


class Session:
    """`run` raises KeyboardInterrupt when a signal comes; `figures` can be read all the same."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self._options = options
        self._screen = screen
        self._started_at = datetime.now(UTC)
        self._tally = Tally(since=self._started_at.timestamp())
        self._ledger = Ledger(since=self._started_at)
        self._statuses: Mapping[str, int] = {}
        self._trouble = ""
        self._looked_at = 0.0
        self._stream: Stream | None = None

    def run(self) -> None:
        """Build the world, receive, publish, tell. Raises Refusal when the world cannot be built."""
        self._wait_for_other()
        receiver = _listen(self._tally)
        try:
            self._open(receiver)
            self._watch(receiver)
        finally:
            if self._stream:
                self._stream.stop(patience_s=STREAM_STOP_S)
                self._look_once_more()
            receiver.end()

    def figures(self) -> Figures:
        published = self._stream.read() if self._stream else Published()
        return Figures(published, self._statuses, self._tally.read(now=time.time()), self._trouble)

    def _wait_for_other(self) -> None:
        """Two demos on one database would pull the endpoints back and forth between their receivers."""
        is_told = False
        while not world.claim():
            if not is_told:
                self._screen.say("Another demo runs on this database; this one begins when that has ended.")
                is_told = True
            time.sleep(WAIT_FOR_OTHER_S)

    def _open(self, receiver: DeskReceiver) -> None:
        now = datetime.now(UTC)
        world.build(receiver_url=receiver.url, now=now)
        granted = access.grant(is_debug=self._options.is_debug, now=now)
        receiver.check_with(world.secrets_by_path(receiver.url))
        receiver.start()
        self._screen.say(*welcome(granted, url=self._options.url, receiver_url=receiver.url, rate=self._options.rate))
        self._stream = Stream(url=self._options.url, key=granted.provider_key, rate=self._options.rate)
        self._stream.start()

    def _watch(self, receiver: DeskReceiver) -> None:
        end_at = None if self._options.seconds is None else time.monotonic() + self._options.seconds
        while end_at is None or time.monotonic() < end_at:
            rest_s = self._screen.every_s if end_at is None else end_at - time.monotonic()
            time.sleep(max(0.0, min(self._screen.every_s, rest_s)))
            self._look(receiver)
            self._screen.show(self.figures())

    def _look(self, receiver: DeskReceiver) -> None:
        """A database that is away for a while is not the demo's end."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        try:
            self._statuses = self._ledger.look(now=datetime.now(UTC))
            receiver.check_with(world.secrets_by_path(receiver.url))
            self._trouble = ""
        except DatabaseError as failure:
            connection.close()
            self._trouble = f"database: {str(failure).strip().splitlines()[0]}"
        self._looked_at = time.monotonic()

    def _look_once_more(self) -> None:
        """For the summary. Where the database is being stopped as well, the figures are those of the last look."""
        with suppress(DatabaseError):
            self._statuses = self._ledger.look(now=datetime.now(UTC))


def _listen(tally: Tally) -> DeskReceiver:
    """Where it listened last time if that is free, else anywhere."""
    try:
        return DeskReceiver(port=world.remembered_port(), tally=tally)
    except OSError:
        return DeskReceiver(port=0, tally=tally)
