"""One run of the demo, from an empty database or an old world to the summary."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import Error, connection

from deliveries.demo import access, world
from deliveries.demo.figures import Figures
from deliveries.demo.ledger import Ledger
from deliveries.demo.letters import Letterbox, local_ports
from deliveries.demo.receivers import readers
from deliveries.demo.receiving import DemoReceiver
from deliveries.demo.screen import Screen, welcome
from deliveries.demo.stream import Stream
from deliveries.demo.tally import Journal, Tally, now_s

LOOK_EVERY_S = 1.0
# Reads the platform's own figures and, so that a rotation is noticed, the secrets; both in a few milliseconds.
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
        self._journal = Journal()
        self._tally = Tally(self._journal)
        self._ledger = Ledger(since=datetime.now(UTC))
        self._statuses: Mapping[str, Mapping[str, int]] = {}
        self._trouble = ""
        self._stream: Stream | None = None
        self._letterbox = Letterbox(None)

    def run(self) -> None:
        """Build the world, receive, publish, tell. Raises Refusal when the world cannot be built."""
        self._wait_for_other()
        self._ledger = Ledger(since=datetime.now(UTC))
        receiver = self._listen()
        try:
            self._open(receiver)
            self._watch(receiver)
        finally:
            if self._stream:
                self._stream.stop(patience_s=STREAM_STOP_S)
            self._take_leave()
            receiver.end()
            self._letterbox.end()

    def figures(self) -> Figures:
        published = self._stream.read() if self._stream else {}
        seen = self._tally.read(now=now_s())
        return Figures(published, self._statuses, seen, self._letterbox.read(), self._trouble)

    def _wait_for_other(self) -> None:
        """Two demos on one database would pull the endpoints back and forth between their receivers."""
        is_told = False
        while not world.claim():
            if not is_told:
                self._screen.say("Another demo runs on this database; this one begins when that has ended.")
                is_told = True
            time.sleep(WAIT_FOR_OTHER_S)

    def _listen(self) -> DemoReceiver:
        """Where it listened last time if that is free, else anywhere."""
        known = readers(f"{self._options.url}/.well-known/webhook-keys")
        try:
            return DemoReceiver(port=world.remembered_port(), tally=self._tally, readers=known)
        except OSError:
            return DemoReceiver(port=0, tally=self._tally, readers=known)

    def _open(self, receiver: DemoReceiver) -> None:
        now, ports = datetime.now(UTC), local_ports()
        self._letterbox = Letterbox(ports)
        world.build(receiver_url=receiver.url, now=now, has_letters=ports is not None)
        granted = access.grant(is_debug=self._options.is_debug, now=now)
        receiver.check_with(world.known_by_path(receiver.url))
        receiver.start()
        self._screen.say(*welcome(granted, url=self._options.url, receiver_url=receiver.url, rate=self._options.rate))
        self._stream = Stream(
            url=self._options.url, key=granted.provider_key, rate=self._options.rate, journal=self._journal
        )
        self._stream.start()

    def _watch(self, receiver: DemoReceiver) -> None:
        seconds = self._options.seconds
        now = time.monotonic()
        end_at, show_at = None if seconds is None else now + seconds, now + self._screen.every_s
        while end_at is None or now < end_at:
            time.sleep(LOOK_EVERY_S if end_at is None else min(LOOK_EVERY_S, end_at - now))
            self._look(receiver)
            now = time.monotonic()
            if now >= show_at:
                self._screen.show(self.figures())
                show_at = now + self._screen.every_s - LOOK_EVERY_S / 2

    def _look(self, receiver: DemoReceiver) -> None:
        """A database that is away for a while is not the demo's end."""
        try:
            self._count()
            receiver.check_with(world.known_by_path(receiver.url))
            self._trouble = ""
        except Error as failure:
            connection.close()
            self._trouble = f"database: {str(failure).strip().splitlines()[0]}"

    def _count(self) -> None:
        self._statuses = world.by_system(self._ledger.look(now=datetime.now(UTC)))

    def _take_leave(self) -> None:
        """Look once more, for the summary. Where the database is being stopped as well, the last look stands."""
        with suppress(Error):
            self._count()
            world.disclaim()
