"""GET /webhooks/events/{id}: the whole story of one event, for those it concerns."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deliveries.models import Attempt, Delivery, IdempotencyKey
from deliveries.services import publish
from dispatcher.ids import Prefix, new_id, show
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.api.conftest import Caller, Make, World, code_of

URL = "/api/v2/webhooks/events"


@pytest.fixture
def attempt(event_id: str, now: datetime) -> Attempt:
    return make_attempt(Delivery.objects.get(), now=now)


def make_attempt(delivery: Delivery, *, now: datetime, **fields: Any) -> Attempt:
    values: dict[str, Any] = {
        "number": 1,
        "trigger": "event",
        "is_counted": True,
        "reason": "http_server_error",
        "url": "https://receiver.example/in",
        "request_headers": "Content-Type: application/json\r\nAuthorization: ••••\r\n",
        "response_status": 503,
        "response_headers": "Server: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
        "response_body": b"busy",
        "peer": "93.184.215.14:443",
        "wait_ms": 12.34567,
        "total_ms": 20.0,
        "started_at": now,
    }
    return Attempt.objects.create(delivery_id=delivery.id, **{**values, **fields})


def attempt_of(caller: Caller, event_id: str) -> dict[str, Any]:
    (delivery,) = caller.get(f"{URL}/{event_id}").json()["deliveries"]
    (shown,) = delivery["attempts"]
    assert isinstance(shown, dict)
    return shown


class TestShape:
    def test_event_and_delivery(self, alice: Caller, world: World, endpoint: Endpoint, event_id: str) -> None:
        response = alice.get(f"{URL}/{event_id}")
        assert b'"payload":{"b": 1.10,  "a": [1e2]}' in response.content
        shown, delivery = response.json(), Delivery.objects.get()
        moment = delivery.created_at.isoformat().replace("+00:00", "Z")
        assert shown == {
            "id": event_id,
            "event_type": "invoice.paid",
            "merchant": world.alice.public_id,
            "account": "card-1",
            "is_test": False,
            "mode": "live",
            "occurred_at": moment,
            "created_at": moment,
            "payload": {"b": 1.10, "a": [100.0]},
            "expunged_at": None,
            "deliveries": [
                {
                    "delivery_id": delivery.public_id,
                    "endpoint_id": endpoint.public_id,
                    "delivery_status": "pending",
                    "delivery_attempts": 0,
                    "delivery_response_code": None,
                    "delivery_error": None,
                    "next_attempt_at": moment,
                    "last_attempt_at": None,
                    "finished_at": None,
                    "created_at": moment,
                    "attempts": [],
                }
            ],
        }

    def test_attempt(self, alice: Caller, event_id: str, attempt: Attempt) -> None:
        assert attempt_of(alice, event_id) == {
            "id": attempt.public_id,
            "number": 1,
            "trigger": "event",
            "is_counted": True,
            "reason": "http_server_error",
            "detail": "",
            "started_at": "2026-03-01T12:00:00Z",
            "request": {
                "url": "https://receiver.example/in",
                "headers": [
                    {"name": "Content-Type", "value": "application/json"},
                    {"name": "Authorization", "value": "••••"},
                ],
                "body": None,
                "is_body_base64": False,
            },
            "response": {
                "status": 503,
                "headers": [
                    {"name": "Server", "value": "x"},
                    {"name": "Set-Cookie", "value": "a=1"},
                    {"name": "Set-Cookie", "value": "b=2"},
                ],
                "body": "busy",
                "is_body_base64": False,
                "is_body_truncated": False,
                "body_error": None,
            },
            "phases_ms": {"dns": None, "connect": None, "tls": None, "send": None, "wait": 12.346, "total": 20.0},
            "peer": "93.184.215.14:443",
        }

    def test_bodies_that_are_no_text(self, alice: Caller, event_id: str, now: datetime) -> None:
        make_attempt(Delivery.objects.get(), now=now, request_body=b"\xff\x00", response_body=b"\x80\x81")
        shown = attempt_of(alice, event_id)
        assert (shown["request"]["body"], shown["request"]["is_body_base64"]) == ("/wA=", True)
        assert (shown["response"]["body"], shown["response"]["is_body_base64"]) == ("gIE=", True)

    def test_no_answer(self, alice: Caller, event_id: str, now: datetime) -> None:
        make_attempt(
            Delivery.objects.get(), now=now, reason="connect_timeout", response_status=None, response_headers=""
        )
        assert attempt_of(alice, event_id)["response"] is None

    def test_attempts_stand_in_their_order(self, alice: Caller, event_id: str, now: datetime) -> None:
        for number in (2, 1, 3):
            make_attempt(Delivery.objects.get(), now=now, number=number)
        (delivery,) = alice.get(f"{URL}/{event_id}").json()["deliveries"]
        assert [shown["number"] for shown in delivery["attempts"]] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("peer", "shown"),
        [("127.0.0.1:8080", ""), ("10.1.2.3:443", ""), ("[fd00::1]:443", ""), ("[2606:4700::1]:443", None), ("", "")],
    )
    def test_a_peer_in_a_private_network_is_the_providers_secret(
        self, peer: str, shown: str | None, alice: Caller, provider: Caller, event_id: str, now: datetime
    ) -> None:
        make_attempt(Delivery.objects.get(), now=now, peer=peer)
        assert attempt_of(alice, event_id)["peer"] == (peer if shown is None else shown)
        (delivery,) = provider.get(f"{URL}/{event_id}", {"merchant": "alice"}).json()["deliveries"]
        assert delivery["attempts"][0]["peer"] == peer


class TestNames:
    @pytest.mark.parametrize("named", ["stmt-17", "a/b?c=d", "100%", "evt_1"])
    def test_the_providers_own_id(self, named: str, alice: Caller, endpoint: Endpoint) -> None:
        publish("invoice.paid", {}, merchant="alice", id=named)
        path = named.replace("%", "%25").replace("?", "%3F")
        assert alice.get(f"{URL}/{path}").json()["id"] == named

    def test_the_newest_of_two_with_one_name(self, alice: Caller, endpoint: Endpoint, now: datetime) -> None:
        for text in (b"1", b"2"):
            publish("invoice.paid", text, merchant="alice", id="stmt-17", now=now)
            IdempotencyKey.objects.all().delete()
        assert alice.get(f"{URL}/stmt-17").json()["payload"] == 2

    @pytest.mark.parametrize("named", ["nothing", "evt_1", show(Prefix.EVENT, new_id()), "%00", "é"])
    def test_no_such_event(self, named: str, alice: Caller, event_id: str) -> None:
        assert code_of(alice.get(f"{URL}/{named}")) == (404, "not_found")


class TestTenancy:
    def test_only_the_deliveries_to_ones_own_endpoints(
        self, world: World, make_endpoint: Make, endpoint: Endpoint, caller_of: Callable[[Merchant], Caller]
    ) -> None:
        above = make_endpoint(world.portfolio)
        make_endpoint(world.charlie)
        event = publish("invoice.paid", {}, merchant="alice").id
        seen = {}
        for owner in (world.alice, world.portfolio):
            shown = caller_of(owner).get(f"{URL}/{event}").json()
            seen[owner] = [row["endpoint_id"] for row in shown["deliveries"]]
        assert seen == {world.alice: [endpoint.public_id], world.portfolio: [above.public_id]}
        for stranger in (world.bob, world.charlie):
            assert code_of(caller_of(stranger).get(f"{URL}/{event}")) == (404, "not_found")

    def test_ones_own_event_that_no_endpoint_wanted(self, world: World, alice: Caller, charlie: Caller) -> None:
        event = publish("invoice.paid", {}, merchant="alice").id
        assert alice.get(f"{URL}/{event}").json()["deliveries"] == []
        assert code_of(charlie.get(f"{URL}/{event}")) == (404, "not_found")

    def test_an_own_id_of_another_merchants_event(self, world: World, charlie: Caller) -> None:
        publish("invoice.paid", {}, merchant="alice", id="stmt-17")
        assert code_of(charlie.get(f"{URL}/stmt-17")) == (404, "not_found")

    def test_the_provider_names_the_merchant(self, provider: Caller, event_id: str) -> None:
        assert provider.get(f"{URL}/{event_id}", {"merchant": "alice"}).status_code == 200
        assert code_of(provider.get(f"{URL}/{event_id}", {"merchant": "charlie"})) == (404, "not_found")


def test_four_statements_however_many_attempts(alice: Caller, event_id: str, now: datetime) -> None:
    for number in range(1, 13):
        make_attempt(Delivery.objects.get(), now=now, number=number)
    with CaptureQueriesContext(connection) as queries:
        alice.get(f"{URL}/{event_id}")
    assert len(queries) == 4
