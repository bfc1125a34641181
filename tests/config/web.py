"""The real web process on a database of the tests, with a provider's key and a merchant to publish for."""

import http.client
import json
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
from typing import Any
from urllib.parse import urlsplit

from django.db import connection
from django.utils import timezone

from config import plans
from subscriptions.models import EventType, Merchant
from subscriptions.services import keys

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0
THREADS = 2


def database_url() -> str:
    """Of the database that the tests have made, for other processes."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


@dataclass(frozen=True)
class Web:
    port: int
    key: str

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
        with closing(self.connect()) as http_connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            http_connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **named})
            answer = http_connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def publish(self) -> tuple[int, Any, Any]:
        body = json.dumps({"type": "invoice.paid", "merchant": "alice", "payload": {}}).encode()
        return self.request("POST", "/api/v2/events", body, Content_Type="application/json")

    def send(self, head: str, body: bytes = b"") -> socket.socket:
        """A socket on which so much of a request was sent."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        lines = f"{head}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
        made.sendall(lines.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        return made


def seed() -> str:
    """A merchant, an event type; the provider's key."""
    now = timezone.now()
    EventType.objects.create(name="invoice.paid", created_at=now, updated_at=now)
    Merchant.objects.create(name="Alice", reference="alice", created_at=now, updated_at=now)
    return keys.create(name="test", merchant=None, now=now, actor="test").text


@contextmanager
def running(key: str, *, app: str = "config.front:application", **environment: str) -> Iterator[Web]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        (sys.executable, *plans.SERVER, "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", app),
        cwd=ROOT,
        env={
            **os.environ,
            "DEBUG": "true",
            "DATABASE_URL": database_url(),
            "SIGNET_ROLE": "",
            "SIGNET_WEB_THREADS": str(THREADS),
            **environment,
        },
    )
    try:
        made = Web(port, key)
        _wait_ready(made)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_ready(web: Web) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            if web.request("GET", "/livez")[0] == 200:
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
