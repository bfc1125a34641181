"""A canary where nothing may be sent: whichever way a merchant points us at it, no connection ever comes."""

# ruff: noqa: RUF001 - characters that look like others are what is tested here

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self

import pytest
from django.db import connection

from deliveries.engine import process, stopping
from deliveries.models import Attempt
from deliveries.services import connectivity, publish, trial
from dispatcher.addresses import AddressRules
from dispatcher.http import resolver
from dispatcher.http.door import Client, Limits
from dispatcher.http.resolver import Resolver
from dispatcher.targets import SENTENCES
from subscriptions.models import Endpoint
from subscriptions.services import endpoint_urls
from tests.dispatcher.http.conftest import CLIENTS, Names
from tests.receivers import Receiver
from tests.receivers.certificates import NAME
from tests.receivers.scripts import keep_alive
from tests.subscriptions.conftest import Person, make_person, make_type

pytestmark = pytest.mark.django_db(transaction=True)

ELSEWHERE = "127.0.0.2"
# Loopback like 127.0.0.1, and not among what this installation allows.
MIXED = "mixed.merchant-one.com"
TURNED = "turned.merchant-one.com"
WRAPPED = "wrapped.merchant-one.com"


class Trap:
    """Listens and never accepts: whoever has connected stands in the queue."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.socket()
        self._listener.bind((ELSEWHERE, port))
        self._listener.listen(16)
        self._listener.settimeout(0)
        self.port = int(self._listener.getsockname()[1])

    @property
    def is_empty(self) -> bool:
        with suppress(BlockingIOError):
            self._listener.accept()[0].close()
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()


@pytest.fixture
def names() -> Names:
    made = Names()
    made.answers = {
        NAME: [[ELSEWHERE]],
        MIXED: [["127.0.0.1", ELSEWHERE]],
        TURNED: [[ELSEWHERE, "127.0.0.1"]],
        WRAPPED: [[f"::ffff:{ELSEWHERE}"]],
    }
    return made


@pytest.fixture(autouse=True, params=sorted(CLIENTS))
def platform(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch, names: Names
) -> Iterator[None]:
    """The platform with a resolver of the test's own, at registration and at every attempt."""

    def make(name: str, *, rules: AddressRules, limits: Limits) -> Client:
        return CLIENTS[name](rules=rules, limits=limits, resolve=names)

    for module in (process, trial, connectivity):
        monkeypatch.setattr(module, "make_client", make)
    monkeypatch.setattr(endpoint_urls, "Resolver", partial(Resolver, resolve=names))
    # Each lookup is a new question, as with a TTL of 0.
    monkeypatch.setattr(resolver, "FOUND_S", 0.0)
    monkeypatch.setattr(resolver, "FAILED_S", 0.0)
    settings.HTTP_CLIENT = request.param
    settings.ALLOW_HTTP_TARGETS = True
    settings.DELIVERY_TIMEOUT = 1.0
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.1/32"),)
    endpoint_urls._resolver.cache_clear()
    process.close()
    stopping.reset()
    yield
    process.close()
    stopping.reset()
    endpoint_urls._resolver.cache_clear()


@pytest.fixture
def trap() -> Iterator[Trap]:
    with Trap() as made:
        yield made
        assert made.is_empty


@pytest.fixture
def alice(db: None) -> Person:
    make_type("invoice.paid")
    return make_person("Alice")


def make_due() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries_laneentry SET due_at = clock_timestamp()")
        cursor.execute("UPDATE deliveries_lane SET due_at = clock_timestamp()")


HOSTS = [
    *(ELSEWHERE, f"{ELSEWHERE}.", "2130706434", "0x7f000002", "0177.0.0.2", "127.2", "0x7f.2", "127.0.0.002"),
    *(f"[::ffff:{ELSEWHERE}]", "[::ffff:7f00:2]", f"[::{ELSEWHERE}]", f"[64:ff9b::{ELSEWHERE}]", "[2002:7f00:2::1]"),
    *("１２７.0.0.2", "127。0。0。2", "127%2e0.0.2", f"shop.example.com@{ELSEWHERE}", "0.0.0.0", "localhost", "[::1]"),
    *(f"{ELSEWHERE}\\@shop.example.com", f"{ELSEWHERE}\t", f"{ELSEWHERE}#@shop.example.com", "[::ffff:127.0.0.2%25lo]"),
    *(NAME, NAME.upper(), f"{NAME}.", MIXED, TURNED, WRAPPED),
]


def urls(port: int) -> list[str]:
    """Each host with the port of the canary, where one can stand."""
    return [f"http://{host}/" if "#" in host or "\\" in host else f"http://{host}:{port}/in" for host in HOSTS]


def told(answer: Any) -> set[tuple[str, str]]:
    assert answer.status_code == 422, answer.content
    return {(error["pointer"], error["code"]) for error in answer.json()["errors"]}


def test_nothing_that_leads_there_is_registered(alice: Person, trap: Trap) -> None:
    """By POST, by PATCH, by PUT: refused in one of two constant sentences, and nothing is stored."""
    made = alice.api.post("/endpoints", {"url": "http://127.0.0.1:45678/in"})
    assert made.status_code == 201
    path = f"/endpoints/{made.json()['id']}"
    sentences = {str(code): sentence for code, sentence in SENTENCES.items()}
    for url in urls(trap.port):
        for answer in (
            alice.api.post("/endpoints", {"url": url}),
            alice.api.patch(path, {"url": url}),
            alice.api.put("/config", {"url": url}),
            alice.api.post("/rules", {"name": "r", "recipients": [{"url": url}]}),
        ):
            assert {code for _, code in told(answer)} <= set(sentences), url
            errors = answer.json()["errors"]
            assert {error["message"] for error in errors} <= set(sentences.values()), url
            assert ELSEWHERE not in "".join(error["message"] for error in errors)
    assert list(Endpoint.objects.values_list("target", flat=True)) == ["http://127.0.0.1:45678/in"]
    assert trap.is_empty


def test_a_name_that_turned_after_registration_gets_no_packet(alice: Person, trap: Trap, names: Names) -> None:
    """Public when it was registered, ours when it is sent to: by event, by retry, by test, by connectivity test."""
    names.answers[NAME] = [["127.0.0.1"], [ELSEWHERE]]
    made = alice.api.post("/endpoints", {"url": f"http://{NAME}:{trap.port}/in"})
    assert made.status_code == 201, made.content
    path = f"/endpoints/{made.json()['id']}"
    publish("invoice.paid", b'{"n":1}', merchant="alice")
    assert process.drain() == 1
    make_due()
    assert process.drain() == 1
    tested = alice.api.post(f"{path}/test").json()
    asked = alice.api.post(f"{path}/connectivity").json()
    assert (tested["reason"], asked["reason"]) == ("blocked_address", "blocked_address")
    rows = list(Attempt.objects.order_by("id").values_list("reason", "peer", "detail", "is_counted"))
    sentence = SENTENCES[next(code for code in SENTENCES if str(code) == "blocked_address")]
    assert rows == [("blocked_address", "", sentence, True)] * 3
    assert trap.is_empty


def test_a_row_that_was_written_past_the_checks_gets_no_packet(
    alice: Person, trap: Trap, make_endpoint: Callable[..., Any]
) -> None:
    """As a row may be that was stored under other rules, restored or edited by hand."""
    stored = urls(trap.port)
    for url in stored:
        make_endpoint(alice.merchant, target=url)
    publish("invoice.paid", b'{"n":1}', merchant="alice")
    assert process.drain() == len(stored)
    rows = list(Attempt.objects.values_list("reason", "peer"))
    assert len(rows) == len(stored)
    assert {reason for reason, _ in rows} == {"blocked_address", "invalid_url"}
    assert {peer for _, peer in rows} == {""}
    assert trap.is_empty


def test_a_name_that_turns_between_two_events_gets_no_packet_where_it_leads(alice: Person, names: Names) -> None:
    """Same port on both sides, and a kept-alive connection to the old one."""
    names.answers[NAME] = [["127.0.0.1"]]
    with Receiver(keep_alive()) as receiver, Trap(receiver.port) as trap:
        made = alice.api.post("/endpoints", {"url": receiver.url("/in", name=NAME)})
        assert made.status_code == 201, made.content
        publish("invoice.paid", b'{"n":1}', merchant="alice")
        process.drain()
        names.answers[NAME] = [[ELSEWHERE]]
        publish("invoice.paid", b'{"n":2}', merchant="alice")
        process.drain()
        names.answers[NAME] = [["127.0.0.1"]]
        publish("invoice.paid", b'{"n":3}', merchant="alice")
        process.drain()
        assert [request.body for request in receiver.requests] == [b'{"n":1}', b'{"n":3}']
        assert trap.is_empty
    assert list(Attempt.objects.order_by("id").values_list("reason", flat=True)) == [
        "delivered",
        "blocked_address",
        "delivered",
    ]


def test_a_redirect_leads_nobody_there(alice: Person, trap: Trap) -> None:
    location = f"Location: http://{ELSEWHERE}:{trap.port}/\r\nRefresh: 0; url=http://{ELSEWHERE}:{trap.port}/\r\n"
    statuses = (300, 301, 302, 303, 305, 306, 307, 308)
    for status in statuses:
        answer = f"HTTP/1.1 {status} X\r\n{location}Content-Length: 0\r\n\r\n".encode()
        with Receiver(keep_alive(answer)) as receiver:
            made = alice.api.post("/endpoints", {"url": receiver.url("/in")})
            path = f"/endpoints/{made.json()['id']}"
            assert alice.api.post(f"{path}/test").json()["reason"] == "http_redirect"
            assert alice.api.post(f"{path}/connectivity").json()["status"] == status
    assert Attempt.objects.filter(reason="http_redirect").count() == len(statuses)
    assert trap.is_empty
