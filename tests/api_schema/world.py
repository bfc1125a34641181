"""A real web process on the tests' Postgres, with two merchants that own something of every kind, and a provider."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0
STOP_S = 20.0
LOCAL_TARGETS = {"ALLOW_HTTP_TARGETS": "true", "ALLOWED_TARGET_NETWORKS": "127.0.0.0/8"}


@dataclass(frozen=True)
class Web:
    """Where it listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def read(self, path: str) -> bytes:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=STOP_S)) as http_connection:
            http_connection.request("GET", path)
            answer = http_connection.getresponse()
            assert answer.status == 200
            return answer.read()

    def is_ready(self) -> bool:
        try:
            return bool(self.read("/livez"))
        except OSError:
            return False


def database_url() -> str:
    """Of the database that the tests have made, for other processes."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


@contextmanager
def running_web(log: Path) -> Iterator[Web]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        web = Web(free.getsockname()[1])
    command = (sys.executable, "-m", "granian", "--interface", "rsgi", "--http", "1", "--host", "127.0.0.1")
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*command, "--port", str(web.port), "--log-level", "warning", "config.front:application"),
            cwd=ROOT,
            env={**os.environ, **LOCAL_TARGETS, "DATABASE_URL": database_url(), "SIGNET_ROLE": ""},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + READY_S
        while not web.is_ready():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield web
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)
