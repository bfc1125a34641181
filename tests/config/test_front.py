"""The web process's door: slow, endless and broken requests hold no thread, and a flood is told to come again."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from config import front, plans
from subscriptions.models import EventType, Merchant
from subscriptions.services import keys

pytestmark = pytest.mark.django_db(transaction=True)

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


@pytest.fixture
def web(make_web: Any) -> Iterator[Web]:
    with make_web() as made:
        yield made


@pytest.fixture
def make_web(db: None) -> Any:
    now = timezone.now()
    EventType.objects.create(name="invoice.paid", created_at=now, updated_at=now)
    Merchant.objects.create(name="Alice", reference="alice", created_at=now, updated_at=now)
    key = keys.create(name="test", merchant=None, now=now, actor="test").text

    @contextmanager
    def make(*, app: str = "config.front:application", **environment: str) -> Iterator[Web]:
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

    return make


def _wait_ready(web: Web) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            if web.request("GET", "/livez")[0] == 200:
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def answer_of(sock: socket.socket) -> tuple[int, dict[str, str], Any]:
    """What comes back on a socket that a request was written to."""
    with closing(sock):
        response = http.client.HTTPResponse(sock)
        response.begin()
        return response.status, dict(response.headers), json.loads(response.read())


def test_bodies_that_never_end_hold_no_thread(web: Web) -> None:
    head = "POST /api/v2/events HTTP/1.1\r\nContent-Length: 100"
    slow = [web.send(head, b"{") for _ in range(10 * THREADS)]
    slow += [web.send("POST /admin/login/ HTTP/1.1\r\nTransfer-Encoding: chunked", b"1\r\nx\r\n") for _ in range(10)]
    began = time.monotonic()
    assert [web.publish()[0] for _ in range(5)] == [202] * 5
    # No assertion on speed: the senders would have held every thread for as long as they live.
    assert time.monotonic() - began < front.BODY_S / 2
    for sock in slow:
        sock.close()


def test_a_body_that_does_not_arrive_in_time_is_told_so(make_web: Any) -> None:
    with make_web(app="tests.config.hasty_front:application") as web:
        sock = web.send("POST /api/v2/events HTTP/1.1\r\nContent-Length: 100", b"{")
        status, headers, body = answer_of(sock)
    assert (status, body["code"], body["instance"]) == (408, "request_timeout", "/api/v2/events")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == body["request_id"]


@pytest.mark.parametrize("framing", ["Content-Length: 99999999999", "Transfer-Encoding: chunked"])
def test_a_body_that_is_too_large_is_refused_before_it_is_all_there(framing: str, web: Web) -> None:
    sock = web.send(f"POST /api/v2/events HTTP/1.1\r\n{framing}")
    if "chunked" in framing:
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            for _ in range(10):
                sock.sendall(chunk)
        except OSError:
            pass  # it has stopped listening
    status, _, body = answer_of(sock)
    assert (status, body["code"]) == (413, "body_too_large")
    assert web.publish()[0] == 202


def test_a_request_that_breaks_off_does_nothing(web: Web) -> None:
    body = b'{"type":"invoice.paid","merchant":"alice","payload":{}}'
    sock = web.send(f"POST /api/v2/events HTTP/1.1\r\nContent-Length: {len(body) + 1}", body)
    sock.shutdown(socket.SHUT_WR)
    status, _, problem = answer_of(sock)
    assert (status, problem["code"]) == (400, "incomplete_body")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM deliveries_event")
        assert cursor.fetchone() == (0,)
    assert web.publish()[0] == 202


def test_a_flood_is_told_to_come_again_and_what_was_taken_is_answered(web: Web) -> None:
    most = THREADS * (1 + front.WAITING_EACH)
    with psycopg.connect(database_url()) as blocker, ThreadPoolExecutor(most + 10) as pool:
        blocker.execute("LOCK TABLE subscriptions_apikey IN ACCESS EXCLUSIVE MODE")
        asked = [pool.submit(web.publish) for _ in range(most + 10)]
        wait(asked, timeout=READY_S, return_when=FIRST_COMPLETED)
        assert web.request("GET", "/livez")[0] == 200
        blocker.rollback()
        answers = [one.result() for one in asked]
    sent_away = [(headers, json.loads(body)) for status, headers, body in answers if status == 503]
    assert sum(status == 202 for status, _, _ in answers) == most
    assert len(sent_away) == 10
    for headers, body in sent_away:
        assert (headers["Content-Type"], headers["Retry-After"]) == ("application/problem+json", "1")
        assert (body["status"], body["code"]) == (503, "overloaded")
    assert web.publish()[0] == 202


def test_a_header_with_an_underscore_passes_for_no_other(web: Web) -> None:
    with closing(web.connect()) as http_connection:
        http_connection.request("GET", "/api/v2/merchants", headers={"X_API_Token": web.key})
        assert http_connection.getresponse().status == 401
    with closing(web.connect()) as http_connection:
        http_connection.request("GET", "/api/v2/merchants", headers={"X-API-Token": web.key})
        assert http_connection.getresponse().status == 200


@pytest.mark.parametrize(
    "path", ["/a%00b", "/%ff%fe", "/api/v2/%F0%9F%98%80", "//api/v2/events", "/api/v2/events%2F", "/x?a=%ff&b=%00"]
)
def test_an_odd_path_is_answered_with_a_problem(path: str, web: Web) -> None:
    status, headers, body = web.request("GET", path)
    assert status in (400, 404, 405)
    assert (headers["Content-Type"], json.loads(body)["status"]) == ("application/problem+json", status)


def test_who_asks_for_a_websocket_is_answered_as_everybody_else(web: Web) -> None:
    handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    sock = web.send(f"GET /api/v2/nothing HTTP/1.1\r\n{handshake}\r\nSec-WebSocket-Version: 13")
    status, headers, body = answer_of(sock)
    assert (status, headers["content-type"], body["code"]) == (404, "application/problem+json", "not_found")


def test_head_has_no_body_and_a_get_may_have_one(web: Web) -> None:
    assert web.request("HEAD", "/livez")[::2] == (200, b"")
    assert web.request("GET", "/livez", b"body")[0] == 200


def test_one_connection_carries_many_requests(web: Web) -> None:
    with closing(web.connect()) as http_connection:
        for _ in range(20):
            http_connection.request("GET", "/livez")
            assert http_connection.getresponse().read() == b'{"status": "ok"}'
