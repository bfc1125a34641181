"""Keeps web, workers and beat running, tells when all are ready, and stops them in order."""

import http.client
import os
import select
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from config.children import Child, Guardian, Plan
from config.terminal import Terminal

TICK_S = 0.1
PROBE_TIMEOUT_S = 2.0
SERVICES_EVERY_S = 2.0
FRONT_STOP_S = 5.0
WORKERS_STOP_S = 20.0
# A worker finishes what it has in flight (10 s a delivery) and ends within 15 s; then patience is over.
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Checks:
    """What the supervisor asks of the world around its children.

    `is_web_ready` is asked until it says yes. `keep_services` is called every few seconds and revives embedded
    services that died. `on_ready` is called once and may name one more child.
    """

    is_web_ready: Callable[[], bool]
    keep_services: Callable[[], None]
    on_ready: Callable[[], Plan | None]


class Supervisor:
    """One run: start, watch until a signal comes, stop. Single-threaded; a signal wakes its select."""

    def __init__(self, plans: Sequence[Plan], *, cwd: Path, terminal: Terminal, checks: "Checks") -> None:
        self._cwd = cwd
        self._terminal = terminal
        self._checks = checks
        self._checked_at = 0.0
        self._guardian = Guardian()
        self._children = [Child(plan, guard=self._guardian.tell) for plan in plans]
        self._selector = selectors.DefaultSelector()
        self._rests: dict[int, bytes] = {}
        self._signals = 0

    def run(self) -> None:
        """Returns when everything has ended."""
        with _Wakeup(self._note_signal, self._selector):
            try:
                for child in self._children:
                    self._start(child)
                self._watch()
            finally:
                self._stop_all()
                self._guardian.close()
                self._selector.close()

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals += 1

    def _watch(self) -> None:
        is_announced = False
        while not self._signals:
            self._pump(TICK_S)
            self._tend()
            self._tend_services(time.monotonic())
            if not is_announced and self._is_ready():
                is_announced = True
                self._add(self._checks.on_ready())

    def _is_ready(self) -> bool:
        return all(child.is_ready for child in self._children) and self._checks.is_web_ready()

    def _add(self, plan: Plan | None) -> None:
        if plan:
            child = Child(plan, guard=self._guardian.tell)
            self._children.append(child)
            self._start(child)

    def _tend_services(self, now: float) -> None:
        if now - self._checked_at > SERVICES_EVERY_S:
            self._checked_at = now
            self._checks.keep_services()

    def _tend(self) -> None:
        """Bury and restart what died."""
        for child in self._children:
            now = time.monotonic()
            if child.process and child.process.poll() is not None:
                code = self._bury(child)
                if child.plan.is_kept:
                    pause = child.plan_restart(now)
                    self._terminal.say(f"{child.plan.name} ended ({_describe(code)}); restart in {pause:g} s")
                elif code:
                    self._terminal.say(f"{child.plan.name} ended ({_describe(code)})")
            elif child.restart_at is not None and now >= child.restart_at:
                self._start(child)

    def _start(self, child: Child) -> None:
        process = child.start(cwd=self._cwd, now=time.monotonic())
        assert process.stdout is not None  # noqa: S101 - for the type checker
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, child.plan.name)

    def _bury(self, child: Child) -> int:
        """The exit code. Its last words are read once the whole group is dead, when the stream has an end."""
        assert child.process is not None  # noqa: S101 - for the type checker
        stream = child.process.stdout
        code = child.bury()
        if stream and not stream.closed:
            fd = stream.fileno()
            while self._forward(fd, child.plan.name) and select.select([fd], [], [], 0)[0]:
                pass
            self._close(fd)
            stream.close()
        return code

    def _pump(self, timeout_s: float) -> None:
        """Pass on what the children wrote, for at most the given time while they write nothing."""
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                os.read(key.fd, READ_BYTES)
            elif not self._forward(key.fd, key.data):
                self._close(key.fd)

    def _forward(self, fd: int, name: str) -> bool:
        """False at the end of the stream."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return True
        *lines, rest = (self._rests.pop(fd, b"") + data).split(b"\n")
        for line in filter(None, map(bytes.rstrip, lines)):
            self._terminal.say(line.decode(errors="replace"), name=name)
        if rest and data:
            self._rests[fd] = rest
        elif rest:
            self._terminal.say(rest.decode(errors="replace"), name=name)
        return bool(data)

    def _close(self, fd: int) -> None:
        self._rests.pop(fd, None)
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _stop_all(self) -> None:
        """First what brings new work, then the workers, so that they end with nothing behind them."""
        front = [child for child in self._children if not child.plan.is_worker]
        self._stop(front, FRONT_STOP_S)
        self._stop([child for child in self._children if child.plan.is_worker], WORKERS_STOP_S)

    def _stop(self, children: Sequence[Child], patience_s: float) -> None:
        """Ask, wait, kill. A second Ctrl-C ends the waiting."""
        deadline = time.monotonic() + patience_s
        for child in children:
            child.ask_to_stop()
        while any(child.process for child in children):
            is_hurried = self._signals > 1 or time.monotonic() > deadline
            for child in children:
                if child.process and (is_hurried or child.process.poll() is not None):
                    self._bury(child)
            self._pump(TICK_S)


class _Wakeup:
    """Signal handlers for the time of a run; every signal also makes the selector return."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)

    def __init__(self, handler: Callable[[int, FrameType | None], None], selector: selectors.BaseSelector) -> None:
        self._handler = handler
        self._reader, self._writer = socket.socketpair()
        self._selector = selector

    def __enter__(self) -> None:
        self._writer.setblocking(False)  # noqa: FBT003 - no keyword there
        self._selector.register(self._reader, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._handler) for number in self.NUMBERS}

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()


def probe(host: str, port: int) -> bool:
    """Whether web can serve. That deliveries may have waited while nothing ran does not keep it from being ready."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz?exclude=deliveries")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
