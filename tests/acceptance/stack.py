"""A whole platform for a test: `manage.py serve` with web, workers and beat, on a Postgres and a Redis of its own."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

from config.embedded.redis import Redis
from config.embedded.services import Services

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
STOP_S = 30.0
FOREIGN = ("DATABASE_URL", "REDIS_URL", "SIGNET_STATE_DIR", "PORT", "HTTP_CLIENT", "RETRY_SCHEDULE", "DELIVERY_TIMEOUT")


class Stack:
    """Start it, speak to it over HTTP, hurt its parts, ask its database."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self._services = Services(directory / "services")
        urls = self._services.start()
        self.database_url, self.redis_url = urls.database_url, urls.redis_url
        self.redis_server = Redis(self._services.ground)
        clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.environment = clean | {
            "DEBUG": "true",
            "ALLOW_HTTP_TARGETS": "true",
            "ALLOWED_TARGET_NETWORKS": "127.0.0.0/8",
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "SIGNET_STATE_DIR": str(directory / "state"),
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
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_S):
            raise AssertionError("never ready:\n" + "\n".join(self.lines))
        self.key = self.manage("create_key", "--provider", "tests").strip().splitlines()[-1]

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
        self._services.erase()

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request with the provider's key; the status and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
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
        mark = f"{node}-{self.port}@"
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").split("\0")
                pid = int(path.parent.name)
                if any(word.startswith(mark) for word in words) and os.getpgid(pid) == pid:
                    return pid
            except (OSError, ProcessLookupError):
                continue
        raise AssertionError(f"no node {node} of this stack is running")

    def freeze_redis(self) -> None:
        os.kill(self._redis_pid(), signal.SIGSTOP)

    def thaw_redis(self) -> None:
        os.kill(self._redis_pid(), signal.SIGCONT)

    def _redis_pid(self) -> int:
        return int((self._services.ground.sockets / "redis.pid").read_text())


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
