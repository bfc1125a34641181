"""POST /webhooks/endpoints/{id}/test: sent now, once, and kept like any other attempt."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from ipaddress import ip_network
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries.models import Attempt, CountDelta, Delivery, Event, Lane, LaneEntry
from deliveries.receiver import Behaviour, Received, Receiver
from deliveries.services import trial, waiting
from deliveries.services.waiting import MOST_AT_ONCE
from dispatcher.profiles.catalogue import PROFILES
from subscriptions.errors import Overloaded
from subscriptions.models import AuditEntry, Endpoint, EventType, Merchant
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of
from tests.receivers.scripts import hold, then

SECRET = "whsec_" + "QUJD" * 11


@pytest.fixture
def came() -> list[Received]:
    return []


@pytest.fixture
def receiver(settings: Any, came: list[Received]) -> Iterator[Receiver]:
    settings.ALLOW_HTTP_TARGETS = True
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    made = Receiver(port=0, default=Behaviour(secret=SECRET), report=came.append)
    thread = Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.stop()
    thread.join(5)
    made.close()


@pytest.fixture
def target(world: World, receiver: Receiver, make_endpoint: Make) -> Endpoint:
    made: Endpoint = make_endpoint(world.alice, target=f"{receiver.url}/in", secret=SECRET)
    return made


def url(endpoint: Endpoint) -> str:
    return f"/api/v2/webhooks/endpoints/{endpoint.public_id}/test"


@pytest.mark.django_db(transaction=True)
class TestSent:
    def test_a_signed_event_goes_out_and_the_attempt_comes_back(
        self, alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        EventType.objects.filter(name="invoice.sent").update(example={"id": "in_1", "total": 1.5})
        response = alice.post(url(target))
        assert response.status_code == 200
        shown, (received,) = response.json(), came
        assert received.is_genuine
        assert received.body == b'{"id": "in_1", "total": 1.5}'
        assert received.event_type == shown["event_type"] == "invoice.sent"
        assert received.event_id == shown["event_id"]
        assert received.attempt == "1"
        assert (shown["delivery_status"], shown["reason"], shown["trigger"]) == ("delivered", "delivered", "test")
        assert shown["response"]["status"] == 200
        assert shown["request"]["body"] == '{"id": "in_1", "total": 1.5}'
        names = {header["name"] for header in shown["request"]["headers"]}
        assert {"X-Webhook-Signature", "webhook-signature", "X-Webhook-Id"} <= names

    def test_what_is_kept(self, alice: Caller, target: Endpoint, world: World) -> None:
        shown = alice.post(url(target), {"event_type": "invoice.paid"}).json()
        event, delivery, attempt = Event.objects.get(), Delivery.objects.get(), Attempt.objects.get()
        assert (event.is_test, event.type, event.merchant_id) == (True, "invoice.paid", world.alice.id)
        assert (event.public_id, delivery.public_id) == (shown["event_id"], shown["delivery_id"])
        assert (delivery.status, delivery.attempts_made, delivery.attempts_counted) == ("delivered", 1, 1)
        assert (delivery.next_attempt_at, delivery.last_reason, delivery.last_status) == (None, "delivered", 200)
        assert (attempt.delivery_id, attempt.number, attempt.trigger) == (delivery.id, 1, "test")
        # A test tells nothing about the endpoint's traffic.
        assert attempt.leaves == "delivered"
        assert not CountDelta.objects.exists()
        assert not LaneEntry.objects.exists()
        assert Lane.objects.get().due_at is None
        assert AuditEntry.objects.get(action="endpoint.tested").target == target.public_id

    def test_no_transaction_is_open_meanwhile(
        self, alice: Caller, target: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And what a crash would leave is committed: the delivery and its entry, due in a minute."""
        seen = []

        def look(*args: Any, **kwargs: Any) -> Any:
            entry = LaneEntry.objects.get()
            seen.append((connection.in_atomic_block, Delivery.objects.get().status, entry.trigger))
            assert 50 < (entry.due_at - timezone.now()).total_seconds() <= 60
            return send(*args, **kwargs)

        send = trial._send
        monkeypatch.setattr(trial, "_send", look)
        assert alice.post(url(target), Idempotency_Key="k").status_code == 200
        assert seen == [(False, "pending", "test")]

    def test_a_failing_receiver_is_no_error_of_ours(
        self, alice: Caller, target: Endpoint, receiver: Receiver, came: list[Received]
    ) -> None:
        receiver.default.status = 503
        response = alice.post(url(target))
        shown = response.json()
        assert (response.status_code, shown["reason"], shown["delivery_status"]) == (200, "http_server_error", "failed")
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.next_attempt_at) == ("failed", None)
        assert not LaneEntry.objects.exists()
        assert len(came) == 1

    def test_nobody_there(self, alice: Caller, world: World, receiver: Receiver, make_endpoint: Make) -> None:
        receiver.stop()
        receiver.close()
        closed = make_endpoint(world.alice, target=f"{receiver.url}/in")
        shown = alice.post(url(closed)).json()
        assert (shown["reason"], shown["response"], shown["delivery_status"]) == ("connect_refused", None, "failed")

    def test_a_refused_address(self, alice: Caller, world: World, make_endpoint: Make) -> None:
        inside = make_endpoint(world.alice, target="https://10.0.0.1/")
        shown = alice.post(url(inside)).json()
        assert (shown["reason"], shown["delivery_status"], shown["peer"]) == ("blocked_address", "failed", "")

    def test_a_disabled_endpoint_can_be_tried(
        self, alice: Caller, target: Endpoint, came: list[Received], now: datetime
    ) -> None:
        Endpoint.objects.update(is_active=False)
        assert alice.post(url(target)).json()["delivery_status"] == "delivered"
        assert len(came) == 1

    def test_settled_by_a_drain_meanwhile(
        self, alice: Caller, target: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A drain may hold what waits for a disabled endpoint: the outcome still stands."""

        def settle(*args: Any, **kwargs: Any) -> Any:
            LaneEntry.objects.all().delete()
            Delivery.objects.update(status="held", next_attempt_at=None)
            return send(*args, **kwargs)

        send = trial._send
        monkeypatch.setattr(trial, "_send", settle)
        assert alice.post(url(target)).json()["delivery_status"] == "delivered"
        assert Delivery.objects.get().status == "delivered"

    def test_the_same_idempotency_key_sends_once(self, alice: Caller, target: Endpoint, came: list[Received]) -> None:
        first = alice.post(url(target), Idempotency_Key="k")
        again = alice.post(url(target), Idempotency_Key="k")
        assert (again.status_code, again.json()) == (200, first.json())
        assert again.headers["Idempotent-Replayed"] == "true"
        assert len(came) == 1

    def test_the_key_of_a_test_under_way(self, alice: Caller, target: Endpoint) -> None:
        alice.post(url(target), Idempotency_Key="k")
        Attempt.objects.all().delete()
        assert code_of(alice.post(url(target), Idempotency_Key="k")) == (409, "in_progress")


@pytest.mark.django_db(transaction=True)
class TestMoreThanMayWait:
    @pytest.fixture
    def silent(self, world: World, make_endpoint: Make, receive: Make, settings: Any) -> Endpoint:
        """Its receiver says nothing until the deadline."""
        settings.ALLOW_HTTP_TARGETS = True
        settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
        settings.DELIVERY_TIMEOUT = 1.0
        made: Endpoint = make_endpoint(world.alice, target=receive(then(b"", hold)).url())
        return made

    def test_is_sent_away_and_leaves_no_trace(self, silent: Endpoint, world: World, caller_of: Any) -> None:
        callers = [caller_of(world.alice) for _ in range(MOST_AT_ONCE + 1)]
        path = url(silent)

        def ask(caller: Caller) -> Any:
            try:
                return caller.post(path, Idempotency_Key="k")
            finally:
                connection.close()

        with ThreadPoolExecutor(len(callers)) as pool:
            answers = list(pool.map(ask, callers))
        (refused,) = (answer for answer in answers if answer.status_code != 200)
        assert code_of(refused) == (503, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        assert (Event.objects.count(), Attempt.objects.count(), LaneEntry.objects.count()) == (MOST_AT_ONCE,) * 2 + (0,)
        assert AuditEntry.objects.filter(action="endpoint.tested").count() == MOST_AT_ONCE
        # Its key was not used up.
        again = callers[answers.index(refused)].post(path, Idempotency_Key="k")
        assert again.status_code == 200
        assert "Idempotent-Replayed" not in again.headers

    def test_shares_the_room_with_connectivity_tests(
        self, target: Endpoint, alice: Caller, came: list[Received]
    ) -> None:
        with ExitStack() as held:
            for _ in range(MOST_AT_ONCE):
                held.enter_context(waiting.slot())
            for what in ("test", "connectivity"):
                answer = alice.post(f"/api/v2/webhooks/endpoints/{target.public_id}/{what}")
                assert code_of(answer) == (503, "overloaded")
            with pytest.raises(Overloaded):
                trial.make(endpoint=target, event_type=None, actor="x", now=timezone.now())
            # Of what is wrong with a request one hears all the same.
            assert errors_of(alice.post(url(target), {"x": 1})) == [("/x", "unknown_field")]
        assert (came, Event.objects.count()) == ([], 0)
        assert alice.post(url(target)).json()["delivery_status"] == "delivered"

    @pytest.mark.parametrize("body", [{"event_type": "nope"}, {}])
    def test_keeps_no_room_after_a_failure(
        self, body: Any, target: Endpoint, alice: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(trial, "_send", lambda *_, **__: 1 / 0)
            for _ in range(MOST_AT_ONCE + 1):
                assert alice.post(url(target), body).status_code == (422 if body else 500)
        assert alice.post(url(target)).status_code == 200


@pytest.mark.django_db(transaction=True)
class TestType:
    @pytest.mark.parametrize(
        ("event_types", "chosen"),
        [
            (None, "invoice.paid"),
            (["invoice.sent"], "invoice.sent"),
            (["invoice.*"], "invoice.paid"),
            (["card.*", "invoice.sent"], "invoice.sent"),
            ([], "test.sample"),
        ],
    )
    def test_the_first_that_the_endpoint_hears(
        self, event_types: list[str] | None, chosen: str, alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        Endpoint.objects.update(event_types=event_types)
        assert alice.post(url(target)).json()["event_type"] == chosen
        assert json.loads(came[0].body)["type"] == chosen

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            ({"event_type": "nope"}, [("/event_type", "unknown_event_type")]),
            ({"event_type": 1}, [("/event_type", "wrong_type")]),
            ({"type": "invoice.paid"}, [("/type", "unknown_field")]),
        ],
    )
    def test_refused(
        self, body: Any, errors: list[tuple[str, str]], alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        assert errors_of(alice.post(url(target), body)) == errors
        assert (came, Event.objects.count()) == ([], 0)

    def test_archived(self, alice: Caller, target: Endpoint) -> None:
        EventType.objects.update(archived=True)
        response = alice.post(url(target), {"event_type": "invoice.paid"})
        assert errors_of(response) == [("/event_type", "unknown_event_type")]


@pytest.mark.django_db(transaction=True)
class TestTenancy:
    def test_strangers_find_nothing_and_nothing_is_sent(
        self, world: World, target: Endpoint, came: list[Received], caller_of: Callable[[Merchant], Caller]
    ) -> None:
        for stranger in (world.bob, world.charlie, world.portfolio):
            assert code_of(caller_of(stranger).post(url(target))) == (404, "not_found")
        assert (came, Event.objects.count(), Delivery.objects.count()) == ([], 0, 0)

    def test_a_deleted_endpoint(self, alice: Caller, target: Endpoint, came: list[Received], now: datetime) -> None:
        Endpoint.objects.update(is_active=False, deleted_at=now)
        assert code_of(alice.post(url(target))) == (404, "not_found")
        assert came == []

    def test_no_endpoints_id(self, alice: Caller) -> None:
        assert code_of(alice.post("/api/v2/webhooks/endpoints/x/test")) == (404, "not_found")

    def test_the_provider_names_the_merchant(self, provider: Caller, target: Endpoint, world: World) -> None:
        assert provider.post(f"{url(target)}?merchant=alice").json()["delivery_status"] == "delivered"
        assert code_of(provider.post(f"{url(target)}?merchant=bob")) == (404, "not_found")


@pytest.mark.django_db(transaction=True)
class TestPayload:
    @pytest.mark.parametrize(
        "payload", [b'{"b": 1.10,  "a": [1e2, "\xc3\xa9\\u00e9"]}', b"null", b"0", b'""', b"[ ]", b"false"]
    )
    def test_ones_own_is_sent_byte_for_byte(
        self, payload: bytes, alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        response = alice.post(url(target), b'{"payload": ' + payload + b', "event_type": "invoice.sent"}')
        assert response.status_code == 200
        assert (came[0].body, came[0].event_type) == (payload, "invoice.sent")
        assert came[0].is_genuine
        assert bytes(Event.objects.get().payload) == payload

    def test_it_need_not_fit_the_schema(self, alice: Caller, target: Endpoint, came: list[Received]) -> None:
        EventType.objects.update(schema={"type": "object", "required": ["id"]}, strict=True)
        assert alice.post(url(target), b'{"payload": {}}').status_code == 200
        assert came[0].body == b"{}"

    def test_as_large_as_one_that_is_published(
        self, alice: Caller, target: Endpoint, came: list[Received], settings: Any
    ) -> None:
        settings.PAYLOAD_MAX_BYTES = 100_000
        assert alice.post(url(target), b'{"payload": "' + b"x" * 99_998 + b'"}').status_code == 200
        for size in (99_999, 120_000):
            answer = alice.post(url(target), b'{"payload": "' + b"x" * size + b'"}')
            assert code_of(answer) == (413, "payload_too_large")
        assert len(came) == Event.objects.count() == 1

    @pytest.mark.parametrize("payload", [b"NaN", b'{"a": 1, "a": 2}', b'"\\u0000"', b"1e999", b"[" * 70 + b"]" * 70])
    def test_what_cannot_be_published_cannot_be_tried(
        self, payload: bytes, alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        assert alice.post(url(target), b'{"payload": ' + payload + b"}").status_code == 400
        assert (came, Event.objects.count()) == ([], 0)

    def test_the_same_key_with_another_payload_is_refused(
        self, alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        for expected in (200, 200):
            assert alice.post(url(target), {"payload": 1}, Idempotency_Key="k").status_code == expected
        assert alice.post(url(target), {"payload": 2}, Idempotency_Key="k").status_code == 409
        assert [one.body for one in came] == [b"1"]

    def test_a_stranger_sends_nothing(self, charlie: Caller, target: Endpoint, came: list[Received]) -> None:
        assert code_of(charlie.post(url(target), {"payload": {}})) == (404, "not_found")
        assert (came, Event.objects.count()) == ([], 0)

    def test_without_one_the_sample_of_the_schema(self, alice: Caller, target: Endpoint, came: list[Received]) -> None:
        schema = {
            "type": "object",
            "properties": {"id": {"const": "x"}, "lines": {"type": "array", "items": {"const": 1}}},
        }
        EventType.objects.filter(name="invoice.paid").update(schema=schema)
        assert alice.post(url(target)).status_code == 200
        assert came[0].body == b'{"id": "x", "lines": [1]}'

    def test_a_format_that_carries_flat_objects_gets_one(
        self, alice: Caller, target: Endpoint, came: list[Received]
    ) -> None:
        schemas = {
            "invoice.paid": {"type": "object", "required": ["a"], "properties": {"a": {"const": [1]}}},
            "invoice.sent": {"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}},
        }
        for name, schema in schemas.items():
            EventType.objects.filter(name=name).update(schema=schema)
        flat = next(name for name, profile in PROFILES.items() if profile.body.kind == "form")
        Endpoint.objects.update(profile=flat)
        for name in schemas:
            alice.post(url(target), {"event_type": name})
        sent = [bytes(event.payload) for event in Event.objects.order_by("id")]
        assert json.loads(sent[0])["text"] == "This is a test event."
        assert sent[1] == b'{"a": 1}'


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["live", "test"])
def test_the_merchants_mode(
    mode: str, alice: Caller, world: World, target: Endpoint, came: list[Received], provider: Caller
) -> None:
    """In what the merchant gets, and in the log."""
    Merchant.objects.filter(id=world.alice.id).update(mode=mode)
    Endpoint.objects.update(profile="stripe")
    shown = alice.post(url(target), {"payload": {"object": {}}}).json()
    assert json.loads(came[0].body)["livemode"] is (mode == "live")
    assert alice.get(f"/api/v2/webhooks/events/{shown['event_id']}").json()["mode"] == mode
