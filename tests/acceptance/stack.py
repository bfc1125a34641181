"""A whole platform for a test: `manage.py serve` with web, workers and beat, on a Postgres and a Redis of its own."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from config.embedded.processes import is_alive, read_pid
from config.embedded.redis import Redis
from config.embedded.services import Services

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
STOP_S = 30.0
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SIGNET_STATE_DIR",
    "SIGNET_ROLE",
    "PORT",
    "HTTP_CLIENT",
    "RETRY_SCHEDULE",
    "DELIVERY_TIMEOUT",
)


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the platform. `part` is web, drain, tasks, beat or guardian; a leader heads its part's group."""

    pid: int
    part: str
    is_leader: bool


class Stack:
    """Start it, speak to it over HTTP, hurt its parts, ask its database."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self._services = Services(directory / "services")
        urls = self._services.start()
        self.database_url, self.redis_url = urls.database_url, urls.redis_url
        self.redis_server = Redis(self._services.ground)
        self.kill_points = directory / "kill"
        self.kill_points.mkdir()
        clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.environment = clean | {
            "DEBUG": "true",
            "ALLOW_HTTP_TARGETS": "true",
            "ALLOWED_TARGET_NETWORKS": "127.0.0.0/8",
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "SIGNET_STATE_DIR": str(directory / "state"),
            "SIGNET_KILL_AT": str(self.kill_points),
            **settings,
        }
        self.lines: list[str] = []
        self._ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.key = ""

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", "0"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._ready.clear()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_S):
            raise AssertionError("never ready:\n" + "\n".join(self.lines))
        self.key = self.key or self.manage("create_key", "--provider", "tests").strip().splitlines()[-1]

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("ready http://"):
                self.port = int(line.rsplit(":", 1)[1])
                self._ready.set()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            finally:
                self._process.kill()
        if self._process is not None and self._process.stdout is not None:
            self._reader.join(STOP_S)
            self._process.stdout.close()
        if self.redis_server.is_alive():
            self.thaw_redis()
        self._services.stop()
        with suppress(OSError):
            shutil.copy(self._services.ground.sockets / "postgres.log", self.directory)
        self._services.erase()

    def kill_everything(self) -> None:
        """SIGKILL the supervisor, its guardian and every child: as a power cut, but for the services."""
        assert self._process is not None
        assert self._process.stdout is not None
        everybody = [one.pid for one in self.running()]
        self._process.kill()
        for pid in everybody:
            kill(pid)
        self._process.wait()
        self._reader.join(STOP_S)
        self._process.stdout.close()

    def manage(self, *arguments: str, timeout_s: float = 60.0, **more: str) -> str:
        done = self.try_manage(*arguments, timeout_s=timeout_s, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_manage(self, *arguments: str, timeout_s: float = 60.0, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a command; `more` are further variables for it."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request with the provider's key; the status and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def create(self, path: str, body: object) -> Any:
        status, answer = self.call("POST", path, body)
        assert status == 201, (status, answer)
        return answer

    def sql(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(query, params).fetchall()

    def redis_client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.redis_url)

    def kill_workers(self, node: str = "drain") -> None:
        """SIGKILL the whole process group: the node's main process and its pool."""
        os.killpg(self.node_pid(node), signal.SIGKILL)

    def node_pid(self, node: str) -> int:
        for one in self.running():
            if one.part == node and one.is_leader:
                return one.pid
        raise AssertionError(f"no {node} of this stack is running")

    def pool_pids(self, node: str) -> list[int]:
        """The processes in which a node's tasks, or web's requests, run."""
        return [one.pid for one in self.running() if one.part == node and not one.is_leader]

    def running(self) -> list[Running]:
        """Every process of the platform, the supervisor and the services left out."""
        assert self._process is not None
        groups: dict[int, str] = {}
        found: list[tuple[int, int]] = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent, group = path.read_text().rpartition(")")[2].split()[:3]
                pid = int(path.parent.name)
                if state != "Z":
                    found.append((pid, int(group)))
                if int(parent) == self._process.pid and int(group) == pid:
                    groups[pid] = _part((path.parent / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
        return [Running(pid, groups[group], pid == group) for pid, group in found if group in groups]

    def arm(self, place: str, *, times: int = 1) -> None:
        """Let the process die that reaches the place as often."""
        draft = self.kill_points / "draft"
        draft.write_text(str(times))
        draft.rename(self.kill_points / place)

    def disarm(self) -> None:
        for path in self.kill_points.iterdir():
            path.unlink(missing_ok=True)

    def is_armed(self, place: str) -> bool:
        """Whether nobody has died there yet."""
        return (self.kill_points / place).exists()

    def freeze_redis(self) -> None:
        os.kill(self.redis_pid(), signal.SIGSTOP)

    def thaw_redis(self) -> None:
        os.kill(self.redis_pid(), signal.SIGCONT)

    def redis_pid(self) -> int:
        return int((self._services.ground.sockets / "redis.pid").read_text())

    def postgres_pid(self) -> int:
        for path in self._services.ground.path.glob("postgres-*/postmaster.pid"):
            if pid := read_pid(path):
                return pid
        raise AssertionError("no Postgres is running")

    def restart_postgres(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it fast (SIGINT) or at once and without a checkpoint (SIGKILL), and start it again."""
        pid = self.postgres_pid()
        kill(pid, number)
        wait_until(lambda: not is_alive(pid), seconds=STOP_S, what="Postgres ends")
        self.revive()

    def restart_redis(self) -> None:
        """Kill it; the next one is empty."""
        pid = self.redis_pid()
        kill(pid)
        wait_until(lambda: not is_alive(pid), seconds=STOP_S, what="Redis ends")
        self.revive()

    def revive(self) -> None:
        self._services.revive()


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """False for a process that is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _part(command: str) -> str:
    words = command.split("\0")
    for part in ("drain", "tasks"):
        if any(word.startswith(f"{part}-") for word in words):
            return part
    return "web" if "granian" in words else "beat" if "beat" in words else "guardian"


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Poll until true; how long it took. Fails with `what` when it never is."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


@contextmanager
def running_stack(directory: Path, **settings: str) -> Iterator[Stack]:
    stack = Stack(directory, **settings)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
