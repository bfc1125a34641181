"""`serve` runs the whole platform, says when it is ready, and takes everything with it when it goes."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings

from config.embedded import state
from config.embedded.state import Urls

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc"),
]

READY_S = 60
STOP_S = 20


class Platform:
    """A running `serve` with its own embedded services."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._directory = directory
        # The role too: a test that imported the WSGI entry point has set it, and as web nothing waits long for a lock.
        own = ("DATABASE_URL", "REDIS_URL", "SIGNET_STATE_DIR", "SIGNET_ROLE", "DJANGO_SETTINGS_MODULE")
        kept = {name: value for name, value in os.environ.items() if name not in own}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", "0", "--workers", "1", *arguments],
            cwd=settings.BASE_DIR,
            env={**kept, "SIGNET_STATE_DIR": str(directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in iter(self.process.stdout.readline, ""))

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches."""

        def look() -> re.Match[str] | None:
            if self.process.poll() is not None and not self._reader.is_alive() and not self._match(pattern):
                pytest.fail("\n".join(["serve ended:", *self.lines]))
            return self._match(pattern)

        wait_until(look, timeout_s=READY_S)
        found = self._match(pattern)
        assert found
        return found

    def _match(self, pattern: str) -> re.Match[str] | None:
        return next((found for line in list(self.lines) if (found := re.match(pattern, line))), None)

    def wait_ready(self) -> int:
        """The port."""
        return int(self.wait_for(r"ready http://127\.0\.0\.1:(\d+)$")[1])

    def processes(self, word: str = "") -> list[int]:
        """Living processes of this platform, the servers of the embedded services not among them."""
        marks = (f"SIGNET_STATE_DIR={self._directory}".encode(), word.encode())
        return [pid for pid in _pids() if marks[0] in _read(pid, "environ") and marks[1] in _read(pid, "cmdline")]

    def stop(self) -> float:
        """How long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=STOP_S)
        return time.monotonic() - started

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        wait_until(lambda: not self.processes(), timeout_s=STOP_S)
        self._reader.join(timeout=5)
        if self.process.stdout:
            self.process.stdout.close()


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def wait_until(check: Callable[[], object], *, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def serve(state_dir: Path) -> Iterator[Callable[..., Platform]]:
    started: list[Platform] = []

    def start(*arguments: str) -> Platform:
        started.append(Platform(state_dir, *arguments))
        return started[-1]

    yield start
    for platform in started:
        platform.kill()
    for platform in started:
        platform.close()


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_it_serves_until_it_is_asked_to_stop_and_leaves_nothing(
    serve: Callable[..., Platform], state_dir: Path
) -> None:
    platform = serve()
    port = platform.wait_ready()

    assert get(port, "/readyz") == 200
    assert get(port, "/livez") == 200
    assert state.read(state_dir).database_url

    assert platform.stop() < STOP_S
    assert platform.process.returncode == 0
    assert platform.processes() == []
    assert state.read(state_dir) == Urls()
    assert sum(line.startswith("ready ") for line in platform.lines) == 1


def test_a_killed_supervisor_leaves_no_web_and_no_worker(serve: Callable[..., Platform]) -> None:
    platform = serve()
    port = platform.wait_ready()

    platform.kill()

    wait_until(lambda: not platform.processes(), timeout_s=STOP_S)
    with pytest.raises(ConnectionRefusedError):
        get(port, "/livez")


def test_the_next_start_finds_the_services_of_a_killed_one(serve: Callable[..., Platform], state_dir: Path) -> None:
    first = serve()
    first.wait_ready()
    first.kill()
    urls = state.read(state_dir)

    second = serve()
    second.wait_ready()

    assert state.read(state_dir) == urls
    assert second.stop() < STOP_S
    assert state.read(state_dir) == Urls()


def test_what_dies_is_started_again(serve: Callable[..., Platform]) -> None:
    platform = serve()
    port = platform.wait_ready()
    drains = platform.processes("drain-")
    web = platform.processes("granian")

    for pid in drains + web:
        os.kill(pid, signal.SIGKILL)

    platform.wait_for(r"signet  \| drain ended \(signal SIGKILL\); restart in 0\.5 s")
    platform.wait_for(r"signet  \| web ended \(signal SIGKILL\); restart in 0\.5 s")
    wait_until(
        lambda: platform.processes("drain-") and set(platform.processes("drain-")).isdisjoint(drains), timeout_s=20
    )
    wait_until(lambda: _answers(port), timeout_s=20)


def _answers(port: int) -> bool:
    try:
        return get(port, "/readyz") == 200
    except OSError:
        return False


def test_embedded_services_that_die_are_started_again(serve: Callable[..., Platform], state_dir: Path) -> None:
    platform = serve()
    port = platform.wait_ready()
    (pid_file,) = state_dir.glob("postgres-*/postmaster.pid")

    os.kill(int(pid_file.read_text().split("\n")[0]), signal.SIGKILL)

    platform.wait_for(r"signet  \| postgres was gone; started again")
    wait_until(lambda: _answers(port), timeout_s=20)


def test_a_signal_during_the_start_leaves_nothing(serve: Callable[..., Platform], state_dir: Path) -> None:
    platform = serve()
    wait_until(lambda: state.read(state_dir).database_url, timeout_s=READY_S)

    assert platform.stop() < STOP_S
    assert platform.process.returncode == 0
    assert platform.processes() == []
    assert state.read(state_dir) == Urls()


def test_a_taken_port_is_an_error_before_anything_is_started(serve: Callable[..., Platform], state_dir: Path) -> None:
    with taken_port() as port:
        platform = serve("--port", str(port))
        platform.process.wait(timeout=READY_S)

    assert platform.process.returncode == 1
    platform.wait_for(
        rf"CommandError: Cannot listen on 127\.0\.0\.1:{port} \(Address already in use\): stop what uses it"
    )
    assert not (state_dir / "embedded.json").exists()


def test_a_second_one_in_the_same_checkout_keeps_the_services_for_itself(serve: Callable[..., Platform]) -> None:
    first, second = serve(), serve()
    first.wait_ready()
    port = second.wait_ready()

    assert first.stop() < STOP_S
    assert get(port, "/readyz") == 200
