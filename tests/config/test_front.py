"""The web process's door: slow, endless and broken requests hold no thread, and a flood is told to come again."""

import http.client
import json
import socket
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import psycopg
import pytest
from django.db import connection

from config import front
from tests.config.web import READY_S, THREADS, Web, database_url

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.parametrize(("given", "is_kept"), [("mine-1", True), ("not this one", False)])
def test_who_is_sent_away_finds_their_own_request_id(given: str, is_kept: bool, web: Web) -> None:
    sock = web.send(f"POST /api/v2/events HTTP/1.1\r\nX-Request-Id: {given}\r\nContent-Length: 99999999999")
    status, headers, body = answer_of(sock)
    assert status == 413
    assert headers["x-request-id"] == body["request_id"]
    assert (body["request_id"] == given) is is_kept


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
