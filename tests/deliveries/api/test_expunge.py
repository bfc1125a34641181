"""Expunge: contents go for good, wherever they were; the log, and what protects against duplicates, stays."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries.engine.store import Store
from deliveries.engine.turn import Turn
from deliveries.models import (
    Attempt,
    CountDelta,
    Delivery,
    Event,
    Export,
    ExportChunk,
    Expunge,
    IdempotencyKey,
    Lane,
    LaneEntry,
    Replay,
)
from deliveries.services import exports, expunges, publish, replay, replays, trial
from dispatcher.ids import new_id
from subscriptions.errors import Conflict
from subscriptions.models import AuditEntry, Endpoint, StoredAnswer
from subscriptions.services import vault
from tests.deliveries import counting
from tests.deliveries.api.conftest import Caller, World, code_of, errors_of
from tests.security.tables import rows_about

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "the-card-number"
Make = Callable[..., Any]


def publish_one(**fields: Any) -> str:
    options = {"merchant": "alice", "account": "card-1"} | fields
    return publish("invoice.paid", b'{"card": "%s"}' % SECRET.encode(), **options).id


def try_it(delivery: Delivery, **fields: Any) -> Attempt:
    """An attempt with the contents in every place where there may be some."""
    values: dict[str, Any] = {
        "number": 1,
        "trigger": "event",
        "is_counted": True,
        "reason": "http_server_error",
        "leaves": "pending",
        "url": "https://receiver.example/in",
        "request_headers": f"Content-Type: application/json\r\nX-Card: {SECRET}\r\nwebhook-id: evt_1",
        "request_body": SECRET.encode(),
        "response_status": 500,
        "response_headers": f"Content-Length: 3\r\nX-Echo: {SECRET}\r\n {SECRET} goes: on\r\n{SECRET}\r\nServer: s",
        "response_body": SECRET.encode(),
        "body_error": SECRET,
        "detail": SECRET,
        "started_at": NOW,
    }
    Delivery.objects.filter(id=delivery.id).update(attempts_made=1)
    return Attempt.objects.create(delivery_id=delivery.id, **(values | fields))


def expunge(provider: Caller, event: str) -> Any:
    answer = provider.post(f"/api/v2/events/{event}/expunge")
    assert answer.status_code == 202, answer.content
    return answer.json()


def settle(*, now: datetime | None = None) -> None:
    while expunges.advance(clock=lambda: now or timezone.now()):
        pass


class TestOneEvent:
    def test_its_contents_are_nowhere_any_more(self, world: World, endpoint: Endpoint, provider: Caller) -> None:
        event = publish_one()
        try_it(Delivery.objects.get())
        assert set(rows_about([SECRET])) == {"deliveries_attempt"}
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM deliveries_event WHERE encode(payload, 'escape') LIKE %s", ["%card%"])
            assert cursor.fetchone() == (1,)
        shown = expunge(provider, event)
        assert (shown["status"], shown["events_expunged"], shown["deliveries_cancelled"]) == ("finished", 1, 1)
        assert (shown["progress"], shown["events_in_flight"]) == (1.0, 0)
        assert rows_about([SECRET]) == {}
        row = Attempt.objects.get()
        assert row.request_body is not None
        assert (bytes(row.request_body), bytes(row.response_body)) == (b"", b"")
        assert row.request_headers == "Content-Type: application/json\r\nX-Card: [expunged]\r\nwebhook-id: evt_1"
        assert row.response_headers == (
            "Content-Length: 3\r\nX-Echo: [expunged]\r\n[expunged]\r\n[expunged]\r\nServer: s"
        )
        assert (row.reason, row.response_status, row.detail, row.body_error) == ("http_server_error", 500, "", "")
        assert bytes(Event.objects.get().payload) == b""

    def test_a_body_that_was_the_payload_itself_stays_none(self, endpoint: Endpoint, provider: Caller) -> None:
        event = publish_one()
        try_it(Delivery.objects.get(), request_body=None)
        expunge(provider, event)
        assert Attempt.objects.get().request_body is None

    def test_the_log_shows_when(self, alice: Caller, endpoint: Endpoint, event_id: str, provider: Caller) -> None:
        other = publish_one()
        expunge(provider, event_id)
        at = Event.objects.get(id=Delivery.objects.earliest("id").event_id).expunged_at
        assert at is not None
        shown = at.isoformat().replace("+00:00", "Z")
        rows = {row["id"]: row for row in alice.get("/api/v2/webhooks/events").json()}
        assert (rows[event_id]["payload"], rows[event_id]["expunged_at"]) == (None, shown)
        assert (rows[event_id]["event_type"], rows[event_id]["account"]) == ("invoice.paid", "card-1")
        assert (rows[other]["payload"], rows[other]["expunged_at"]) == ({"card": SECRET}, None)
        detail = alice.get(f"/api/v2/webhooks/events/{event_id}").json()
        assert (detail["payload"], detail["expunged_at"]) == (None, shown)

    @pytest.mark.parametrize("status", ["pending", "held"])
    def test_what_waits_is_cancelled(self, status: str, endpoint: Endpoint, event_id: str, provider: Caller) -> None:
        if status == "held":
            Delivery.objects.update(status="held", next_attempt_at=None)
            LaneEntry.objects.all().delete()
        expunge(provider, event_id)
        row = Delivery.objects.get()
        assert (row.status, row.next_attempt_at, row.finished_at is not None) == ("cancelled", None, True)
        assert LaneEntry.objects.count() == 0

    @pytest.mark.parametrize("status", ["delivered", "failed", "cancelled"])
    def test_what_is_over_stays_as_it_was(
        self, status: str, endpoint: Endpoint, event_id: str, provider: Caller
    ) -> None:
        LaneEntry.objects.all().delete()
        Delivery.objects.update(status=status, next_attempt_at=None, finished_at=NOW, attempts_made=1)
        assert expunge(provider, event_id)["deliveries_cancelled"] == 0
        row = Delivery.objects.get()
        assert (row.status, row.finished_at) == (status, NOW)

    def test_a_resend_is_refused(self, alice: Caller, event_id: str, provider: Caller) -> None:
        expunge(provider, event_id)
        before = list(Delivery.objects.values())
        assert code_of(alice.post(f"/api/v2/webhooks/events/{event_id}/resend")) == (409, "expunged")
        with pytest.raises(Conflict):
            replay.resend(event=event_id, owner_id=None, actor="t", now=NOW)
        assert list(Delivery.objects.values()) == before

    def test_an_idempotency_key_still_leads_to_it(self, endpoint: Endpoint, provider: Caller) -> None:
        body = {"type": "invoice.paid", "merchant": "alice", "payload": {"a": 1}}
        first = provider.post("/api/v2/events", body, Idempotency_Key="k").json()
        expunge(provider, first["id"])
        again = provider.post("/api/v2/events", body, Idempotency_Key="k").json()
        assert (again["id"], again["duplicate"]) == (first["id"], True)
        assert code_of(provider.post("/api/v2/events", body | {"payload": 2}, Idempotency_Key="k"))[0] == 409
        assert IdempotencyKey.objects.count() == 1
        assert Event.objects.count() == 1

    def test_stored_answers_hold_nothing_of_it(self, alice: Caller, endpoint: Endpoint, provider: Caller) -> None:
        body = {"type": "invoice.paid", "merchant": "alice", "payload": {"card": SECRET}}
        event = provider.post("/api/v2/events", body, Idempotency_Key="a").json()["id"]
        provider.post("/api/v2/events/batch", {"events": [body]}, Idempotency_Key="b")
        alice.post(f"/api/v2/webhooks/events/{event}/resend", Idempotency_Key="c")
        rows = list(StoredAnswer.objects.all())
        assert rows
        for row in rows:
            kept = json.loads(vault.open_sealed(vault.STORED_ANSWER, row.id, row.answer or b""))
            assert SECRET.encode() not in base64.b64decode(kept["body"])

    def test_a_second_time_is_finished_at_once(self, event_id: str, provider: Caller) -> None:
        expunge(provider, event_id)
        at = Event.objects.get().expunged_at
        again = expunge(provider, event_id)
        assert (again["status"], again["events_expunged"]) == ("finished", 0)
        assert Event.objects.get().expunged_at == at

    def test_the_providers_own_id_names_it_too(self, endpoint: Endpoint, provider: Caller) -> None:
        publish_one(id="order/7")
        assert expunge(provider, "order/7")["events_expunged"] == 1
        assert Event.objects.get().external_id == "order/7"

    def test_it_is_in_the_audit_log(self, world: World, event_id: str, provider: Caller) -> None:
        shown = expunge(provider, event_id)
        entry = AuditEntry.objects.get(action="event.expunged")
        assert (entry.target, entry.merchant_id) == (event_id, world.alice.id)
        assert entry.detail == {"expunge": shown["id"]}
        assert entry.actor.startswith("key:")

    def test_only_the_provider_may(self, alice: Caller, charlie: Caller, event_id: str) -> None:
        for caller in (alice, charlie):
            assert code_of(caller.post(f"/api/v2/events/{event_id}/expunge")) == (403, "provider_key_needed")
            assert code_of(caller.post("/api/v2/merchants/alice/expunge", {"account": "card-1"}))[0] == 403
            assert code_of(caller.get("/api/v2/expunges"))[0] == 403
        assert Expunge.objects.count() == 0
        assert Event.objects.get().expunged_at is None

    def test_what_is_not_there(self, provider: Caller, event_id: str) -> None:
        assert code_of(provider.post("/api/v2/events/evt_nothing/expunge")) == (404, "not_found")
        assert errors_of(provider.post(f"/api/v2/events/{event_id}/expunge", {"x": 1})) == [("/x", "unknown_field")]
        assert code_of(provider.get("/api/v2/expunges/xpg_nothing")) == (404, "not_found")
        assert Event.objects.get().expunged_at is None

    def test_statistics_still_equal_a_recount(self, endpoint: Endpoint, event_id: str, provider: Caller) -> None:
        try_it(Delivery.objects.get(), leaves="pending")
        CountDelta.objects.create(
            endpoint_ids=[endpoint.id],
            owner_ids=[endpoint.owner_id],
            event_types=["invoice.paid"],
            started=[NOW],
            leaves=["pending"],
            latencies_ms=[0.0],
        )
        expunge(provider, event_id)
        counting.check(1, 0, 0)


class TestOnTheWay:
    """An event that is just being sent is expunged when it has arrived: nothing that comes back brings it back."""

    def fly(self) -> None:
        delivery = Delivery.objects.get()
        later = timezone.now() + timedelta(seconds=30)
        Lane.objects.update(lease_token=new_id(), leased_until=later, in_flight=[delivery.id], due_at=later)

    def land(self, status: str = "pending") -> None:
        """As RECORD and SAVE_LANES do it."""
        delivery = Delivery.objects.get()
        try_it(delivery, number=delivery.attempts_made + 1)
        Lane.objects.update(lease_token=None, leased_until=None, in_flight=[], due_at=None)
        if status == "delivered":
            LaneEntry.objects.all().delete()
            Delivery.objects.update(status=status, next_attempt_at=None, finished_at=NOW)

    @pytest.mark.parametrize(("lands_as", "ends_as"), [("pending", "cancelled"), ("delivered", "delivered")])
    def test_waits_until_it_has_landed(self, lands_as: str, ends_as: str, event_id: str, provider: Caller) -> None:
        self.fly()
        shown = expunge(provider, event_id)
        assert (shown["status"], shown["events_in_flight"], shown["events_expunged"]) == ("running", 1, 0)
        settle()
        assert Event.objects.get().expunged_at is None
        self.land(lands_as)
        settle()
        after = provider.get(f"/api/v2/expunges/{shown['id']}").json()
        assert (after["status"], after["events_in_flight"], after["events_expunged"]) == ("finished", 0, 1)
        assert rows_about([SECRET]) == {}
        assert Delivery.objects.get().status == ends_as

    def test_a_test_that_is_under_way_is_waited_for(self, endpoint: Endpoint, provider: Caller) -> None:
        now = timezone.now()
        trial.begin(endpoint=endpoint, event_type=None, actor="t", now=now, payload=b'"x"')
        event = Event.objects.get()
        assert expunge(provider, event.public_id)["status"] == "running"
        settle(now=now + timedelta(seconds=30))
        assert Event.objects.get().expunged_at is None
        settle(now=now + timedelta(seconds=61))
        assert Event.objects.get().expunged_at is not None
        assert Delivery.objects.get().status == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_a_drain_finds_nothing_to_send(world: World, endpoint: Endpoint, provider: Caller) -> None:
    event = publish_one()
    expunge(provider, event)
    store = Store()
    store.connect()
    try:
        now = timezone.now() + timedelta(seconds=5)
        turn = Turn(
            store=store, held={}, results=[], returned=[], free=10, may_be_suspect=True, is_claiming=True, now=now
        )
        assert turn.take().picks == []
    finally:
        store.close()


class TestAccount:
    def expunge(self, provider: Caller, account: str = "card-1", merchant: str = "alice") -> Any:
        answer = provider.post(f"/api/v2/merchants/{merchant}/expunge", {"account": account})
        assert answer.status_code == 202, answer.content
        return answer.json()

    def test_all_events_of_it_and_no_other(self, world: World, endpoint: Endpoint, provider: Caller) -> None:
        meant = {publish_one() for _ in range(expunges.STEP_MOST + 3)}
        others = {publish_one(account=None) for _ in range(3)}
        others |= {publish("invoice.paid", b"{}", merchant="bob").id}
        shown = self.expunge(provider)
        assert (shown["status"], shown["account"], shown["event"]) == ("running", "card-1", None)
        settle()
        gone = {row.public_id for row in Event.objects.exclude(expunged_at=None)}
        assert gone == meant
        assert {row.public_id for row in Event.objects.filter(expunged_at=None)} == others
        after = provider.get(f"/api/v2/expunges/{shown['id']}").json()
        assert (after["status"], after["events_expunged"], after["deliveries_cancelled"]) == ("finished", 53, 53)
        assert after["progress"] == 1.0

    def test_goes_on_where_it_was_killed(
        self, endpoint: Endpoint, provider: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(expunges, "STEP_MOST", 2)
        for _ in range(7):
            publish_one()
        shown = self.expunge(provider)
        row = Expunge.objects.get()
        assert expunges._step(row.id, now=NOW) == 2
        monkeypatch.setattr(expunges, "reached", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            expunges._step(row.id, now=NOW)
        monkeypatch.undo()
        assert Event.objects.exclude(expunged_at=None).count() == 2
        between = provider.get(f"/api/v2/expunges/{shown['id']}").json()
        assert (between["status"], between["events_expunged"]) == ("running", 2)
        assert between["progress"] < 1
        settle()
        assert Event.objects.exclude(expunged_at=None).count() == 7
        assert provider.get(f"/api/v2/expunges/{shown['id']}").json()["events_expunged"] == 7

    def test_waits_for_those_that_are_on_their_way_only(self, endpoint: Endpoint, provider: Caller) -> None:
        events = [publish_one() for _ in range(3)]
        flying = Delivery.objects.order_by("id")[1]
        later = timezone.now() + timedelta(seconds=30)
        Lane.objects.update(lease_token=new_id(), leased_until=later, in_flight=[flying.id])
        shown = self.expunge(provider)
        settle()
        assert Event.objects.exclude(expunged_at=None).count() == 2
        between = provider.get(f"/api/v2/expunges/{shown['id']}").json()
        assert (between["status"], between["events_in_flight"]) == ("running", 1)
        Lane.objects.update(lease_token=None, leased_until=None, in_flight=[])
        settle()
        assert Event.objects.exclude(expunged_at=None).count() == len(events)

    def test_later_events_are_not_meant(self, endpoint: Endpoint, provider: Caller) -> None:
        publish_one()
        self.expunge(provider)
        settle()
        publish_one()
        settle()
        assert Event.objects.filter(expunged_at=None).count() == 1

    def test_needs_the_account(self, provider: Caller, world: World) -> None:
        path = "/api/v2/merchants/alice/expunge"
        assert errors_of(provider.post(path, {})) == [("/account", "required")]
        assert errors_of(provider.post(path, {"account": None})) == [("/account", "wrong_type")]
        assert code_of(provider.post("/api/v2/merchants/nobody/expunge", {"account": "x"})) == (404, "not_found")
        assert Expunge.objects.count() == 0


class TestReplays:
    def test_none_sends_what_is_gone(
        self, world: World, endpoint: Endpoint, make_endpoint: Make, provider: Caller
    ) -> None:
        kept, gone = publish_one(), publish_one()
        LaneEntry.objects.all().delete()
        expunge(provider, gone)
        Delivery.objects.update(status="failed", next_attempt_at=None, finished_at=NOW)
        late = make_endpoint(world.alice)
        now = timezone.now() + timedelta(minutes=1)
        since = now - timedelta(days=1)
        for one, kind in ((endpoint, Replay.Kind.RECOVER), (late, Replay.Kind.MISSING)):
            counted = replays.count(endpoint=one, kind=kind, since=since, until=None, now=now)
            assert (counted.count, counted.is_exact) == (1, True)
            replays.begin(endpoint=one, kind=kind, since=since, until=None, actor="t", now=now)
        replays.advance(clock=lambda: now)
        sent = Delivery.objects.filter(status="pending")
        by_id = {row.id: row.public_id for row in Event.objects.all()}
        assert [by_id[row.event_id] for row in sent] == [kept, kept]
        assert set(Replay.objects.values_list("sent", flat=True)) == {1}

    def test_a_resend_that_was_begun_before_sends_nothing(self, endpoint: Endpoint, provider: Caller) -> None:
        event = publish_one()
        delivery = Delivery.objects.get()
        expunge(provider, event)
        assert replay.begin_again(delivery_ids=[delivery.id], endpoint_ids=[endpoint.id], now=NOW) == set()
        assert Delivery.objects.get().status == "cancelled"


class TestFiles:
    def begin(self, merchant: Any, *include: str) -> Export:
        return exports.begin(
            merchant=merchant, format="ndjson", since=None, until=None, include=include, actor="t", now=timezone.now()
        )

    def test_those_that_may_hold_it_go(
        self, world: World, endpoint: Endpoint, provider: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = publish_one()
        whole, plain, strangers = (
            self.begin(world.alice, "payloads"),
            self.begin(world.alice),
            self.begin(world.bob, "payloads"),
        )
        running = self.begin(world.alice, "attempts")
        exports.advance(clock=timezone.now)
        Export.objects.filter(id=running.id).update(status="running", finished_at=None)
        assert ExportChunk.objects.filter(export=whole).exists()
        expunge(provider, event)
        statuses = dict(Export.objects.values_list("id", "status"))
        assert statuses == {
            whole.id: "expired",
            running.id: "expired",
            plain.id: "finished",
            strangers.id: "finished",
        }
        assert Export.objects.get(id=whole.id).stop_reason == "expunged"
        assert not ExportChunk.objects.filter(export__in=[whole, running]).exists()
        assert ExportChunk.objects.filter(export=plain).exists()
