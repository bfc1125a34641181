"""Strict types: what does not fit is never stored, a new schema is in force at once, and others pay nothing."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from deliveries import tasks
from deliveries.models import Delivery, Event, IdempotencyKey, LaneEntry
from deliveries.services import NewEvent, payload_schemas, publish, publish_batch
from deliveries.services import publish as publish_event
from deliveries.services.payload_schemas import MOST_KNOWN
from subscriptions.errors import Conflict, Invalid
from subscriptions.models import EventType, Merchant
from subscriptions.services import event_types
from tests.statements import counting_statements

Make = Callable[..., Any]
SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "total": {"type": "integer", "minimum": 0}},
}
GOOD, BAD = b'{"id": "in_1", "total": 5}', b'{"total": -1}'


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """As a process that has not published yet."""
    payload_schemas._known.clear()
    yield
    payload_schemas._known.clear()


@pytest.fixture
def alice(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid", schema=SCHEMA, strict=True)
    make_type("invoice.sent", schema=SCHEMA)
    merchant: Merchant = make_merchant("alice")
    make_endpoint(merchant)
    return merchant


def change(now: datetime, **values: Any) -> None:
    event_types.update(name="invoice.paid", data=values, now=now, actor="test")


def refused(payload: bytes = BAD, **named: Any) -> list[tuple[str, str]]:
    """What is told; nothing may have been stored."""
    before = counts()
    with pytest.raises(Invalid) as refusal:
        publish("invoice.paid", payload, merchant="alice", **named)
    assert counts() == before
    return [(error.pointer, error.code) for error in refusal.value.errors]


def counts() -> list[int]:
    return [model.objects.count() for model in (Event, Delivery, LaneEntry, IdempotencyKey)]


class TestRefused:
    def test_a_misfit_is_refused_and_nothing_is_stored(self, alice: Merchant) -> None:
        expected = [("/events/0/payload/id", "schema_mismatch"), ("/events/0/payload/total", "schema_mismatch")]
        assert refused() == expected
        assert refused(idempotency_key="k", id="e") == expected
        publish("invoice.paid", GOOD, merchant="alice")
        assert bytes(Event.objects.get().payload) == GOOD

    def test_one_misfit_in_a_batch(self, alice: Merchant, now: datetime) -> None:
        events = [NewEvent("invoice.paid", GOOD, "alice", idempotency_key=f"k{n}") for n in range(3)]
        events[1] = NewEvent("invoice.paid", b'{"id": 5}', "alice")
        with pytest.raises(Invalid) as refusal:
            publish_batch(events, scope="t", now=now)
        assert [(e.pointer, e.code) for e in refusal.value.errors] == [("/events/1/payload/id", "schema_mismatch")]
        assert counts() == [0, 0, 0, 0]

    def test_a_thousand_misfits_are_told_in_a_hundred_sentences(self, alice: Merchant, now: datetime) -> None:
        with pytest.raises(Invalid) as refusal:
            publish_batch([NewEvent("invoice.paid", BAD, "alice")] * 1000, scope="t", now=now)
        assert len(refusal.value.errors) == 100
        assert counts() == [0, 0, 0, 0]

    def test_types_that_are_not_strict_take_anything(self, alice: Merchant) -> None:
        publish("invoice.sent", BAD, merchant="alice")
        assert Event.objects.count() == 1

    def test_unknown_names_come_first(self, alice: Merchant) -> None:
        with pytest.raises(Invalid) as refusal:
            publish("invoice.paid", BAD, merchant="nobody")
        assert [e.code for e in refusal.value.errors] == ["unknown_merchant"]

    def test_from_celery_and_the_command_line(self, alice: Merchant, tmp_path: Any) -> None:
        with pytest.raises(Invalid):
            tasks.publish("invoice.paid", json.loads(BAD), merchant="alice")
        (tmp_path / "bad.json").write_bytes(BAD)
        with pytest.raises(CommandError, match="payload/id: The schema asks for this member"):
            call_command("publish", "invoice.paid", "--merchant", "alice", "--payload", str(tmp_path / "bad.json"))
        assert counts() == [0, 0, 0, 0]

    def test_numbers_and_texts_at_their_edges(self, alice: Merchant, now: datetime) -> None:
        change(now, schema={"type": ["integer", "string"]})
        for payload in (b"1" + b"0" * 400, b"1.0", b"1e2", '"\U0001f600"'.encode(), b'"\\ud83d\\ude00"'):
            publish("invoice.paid", payload, merchant="alice")
        assert refused(b"1.5") == [("/events/0/payload", "schema_mismatch")]


@pytest.mark.django_db(transaction=True)
class TestCost:
    def test_types_that_are_not_strict_cost_nothing(self, alice: Merchant, now: datetime) -> None:
        for count in (1, 500):
            with counting_statements() as statements:
                publish_batch([NewEvent("invoice.sent", GOOD, "alice")] * count, scope="t", now=now)
            assert len(statements) == 2
        assert not payload_schemas._known

    def test_strict_types_are_learnt_once(self, alice: Merchant, now: datetime) -> None:
        sent = []
        for _ in range(2):
            with counting_statements() as statements:
                publish_batch([NewEvent("invoice.paid", GOOD, "alice")] * 500, scope="t", now=now)
            sent.append(len(statements))
        assert sent == [4, 2]  # tried, read the schema, published, rung; then published and rung

    def test_what_is_known_is_bounded(self, alice: Merchant, make_type: Make, now: datetime) -> None:
        for number in range(MOST_KNOWN + 5):
            make_type(f"t.{number}", schema=SCHEMA, strict=True)
        for first in (0, 200):
            names = [f"t.{number}" for number in range(first, min(first + 200, MOST_KNOWN + 5))]
            publish_batch([NewEvent(name, GOOD, "alice") for name in names], scope="t", now=now)
        assert len(payload_schemas._known) == MOST_KNOWN

    def test_more_types_in_a_batch_than_are_known(
        self, alice: Merchant, make_type: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A batch may name more strict types than are kept."""
        for number in range(5):
            make_type(f"t.{number}", schema=SCHEMA, strict=True)
        monkeypatch.setattr(payload_schemas, "MOST_KNOWN", 3)
        publish_batch([NewEvent(f"t.{number}", GOOD, "alice") for number in range(5)], scope="t", now=now)
        assert Event.objects.count() == 5


class TestNeverStale:
    def test_a_new_schema_is_in_force_with_the_next_event(self, alice: Merchant, now: datetime) -> None:
        """What this process knows is old: another one changed the schema."""
        publish("invoice.paid", GOOD, merchant="alice")
        change(now, schema={"type": "string"})
        assert refused(GOOD) == [("/events/0/payload", "schema_mismatch")]
        publish("invoice.paid", b'"text"', merchant="alice")
        assert Event.objects.count() == 2

    def test_a_payload_that_the_old_schema_refused(self, alice: Merchant, now: datetime) -> None:
        refused()
        change(now, schema=True)
        publish("invoice.paid", BAD, merchant="alice")
        assert Event.objects.count() == 1

    def test_strict_on_and_off(self, alice: Merchant, now: datetime) -> None:
        refused()
        change(now, strict=False)
        publish("invoice.paid", BAD, merchant="alice")
        assert not payload_schemas._known
        change(now, strict=True)
        refused()

    def test_deleted_and_made_anew(self, alice: Merchant, now: datetime) -> None:
        publish("invoice.paid", GOOD, merchant="alice")
        event_types.delete(name="invoice.paid", now=now, actor="test")
        data = {"name": "invoice.paid", "schema": {"type": "string"}, "strict": True}
        event_types.create(data=data, now=now, actor="test")
        refused(GOOD)

    @pytest.mark.django_db(transaction=True)
    def test_a_change_between_check_and_write(
        self, alice: Merchant, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The payload fits what was just read; before it is written the schema is another one."""
        learn = payload_schemas.learn
        rounds = []

        def learn_and_change(names: Any) -> Any:
            found = learn(names)
            rounds.append(names)
            if len(rounds) == 1:
                change(now, schema={"type": "string"})
            return found

        monkeypatch.setattr(payload_schemas, "learn", learn_and_change)
        assert refused(GOOD) == [("/events/0/payload", "schema_mismatch")]
        assert len(rounds) == 2

    def test_a_schema_that_never_rests(self, alice: Merchant, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        learn = payload_schemas.learn

        def learn_and_change(names: Any) -> Any:
            found = learn(names)
            change(now, schema={"type": "object", "description": str(len(rounds))})
            rounds.append(names)
            return found

        rounds: list[Any] = []
        monkeypatch.setattr(payload_schemas, "learn", learn_and_change)
        with pytest.raises(Conflict, match="keep changing"):
            publish("invoice.paid", GOOD, merchant="alice")
        assert len(rounds) == 5
        assert counts() == [0, 0, 0, 0]

    @pytest.mark.django_db(transaction=True)
    def test_publishers_and_a_changing_schema(self, alice: Merchant, now: datetime) -> None:
        """Whatever was stored fits the schema of its time: a number is only stored while numbers are asked for."""

        def call(number: int) -> str:
            try:
                if number % 10 == 0:
                    change(now, schema={"type": "integer" if number % 20 else "string"})
                    return "changed"
                return publish_event("invoice.paid", b"1" if number % 2 else b'"a"', merchant="alice").id
            except Invalid as refusal:
                return refusal.errors[0].code
            except Conflict as refusal:
                return refusal.code
            finally:
                connection.close()

        change(now, schema={"type": "integer"})
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(call, range(1, 120)))
        accepted = [answer for answer in answers if answer.startswith("evt_")]
        assert Event.objects.count() == len(accepted) > 0
        assert set(answers) - set(accepted) <= {"changed", "schema_mismatch", "try_again"}


class TestDuplicates:
    def test_a_known_key_answers_as_before(self, alice: Merchant, now: datetime) -> None:
        """Also in a process that does not know the schema, and after one that the payload does not fit."""
        named: Any = {"idempotency_key": "k", "merchant": "alice"}
        first = publish("invoice.paid", GOOD, **named)
        change(now, schema={"type": "string"})
        for _ in range(2):
            again = publish("invoice.paid", GOOD, **named)
            assert (again.id, again.is_duplicate, again.deliveries) == (first.id, True, 1)
            payload_schemas._known.clear()
        assert counts() == [1, 1, 1, 1]
        with pytest.raises(Conflict) as refusal:
            publish("invoice.paid", b'"other"', **named)
        assert refusal.value.code == "idempotency_key_reused"

    def test_a_known_id_with_a_new_key(self, alice: Merchant, now: datetime) -> None:
        publish("invoice.paid", GOOD, merchant="alice", id="e")
        change(now, schema={"type": "string"})
        for _ in range(2):
            again = publish("invoice.paid", GOOD, merchant="alice", id="e", idempotency_key="k")
            assert (again.id, again.is_duplicate) == ("e", True)
        assert counts() == [1, 1, 1, 2]

    def test_beside_new_events(self, alice: Merchant, now: datetime) -> None:
        known = NewEvent("invoice.paid", GOOD, "alice", idempotency_key="k")
        first = publish_batch([known], scope="t", now=now)[0]
        change(now, schema={"type": "string"})
        fresh = NewEvent("invoice.paid", b'"text"', "alice", idempotency_key="l")
        answers = publish_batch([known, fresh], scope="t", now=now)
        assert [(answer.id == first.id, answer.is_duplicate) for answer in answers] == [(True, True), (False, False)]
        with pytest.raises(Invalid):
            publish_batch([known, NewEvent("invoice.paid", GOOD, "alice")], scope="t", now=now)

    def test_an_expired_key_is_no_way_around_the_schema(self, alice: Merchant, now: datetime) -> None:
        publish("invoice.paid", GOOD, merchant="alice", idempotency_key="k", now=now)
        change(now, schema={"type": "string"})
        later = now + timedelta(hours=25)
        with pytest.raises(Invalid):
            publish("invoice.paid", GOOD, merchant="alice", idempotency_key="k", now=later)
        assert Event.objects.count() == 1

    def test_a_key_that_goes_meanwhile_is_no_way_around_either(
        self, alice: Merchant, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish("invoice.paid", GOOD, merchant="alice", idempotency_key="k")
        change(now, schema={"type": "string"})
        learn = payload_schemas.learn

        def learn_and_drop(names: Any) -> Any:
            IdempotencyKey.objects.all().delete()
            return learn(names)

        monkeypatch.setattr(payload_schemas, "learn", learn_and_drop)
        with pytest.raises(Invalid):
            publish("invoice.paid", GOOD, merchant="alice", idempotency_key="k")
        assert (Event.objects.count(), IdempotencyKey.objects.count()) == (1, 0)


class TestMode:
    def test_an_event_is_as_live_as_its_merchant_was(self, alice: Merchant, make_merchant: Make, now: datetime) -> None:
        publish("invoice.sent", b"{}", merchant="alice")
        Merchant.objects.filter(reference="alice").update(mode="test")
        publish("invoice.sent", b"{}", merchant="alice")
        assert list(Event.objects.order_by("id").values_list("is_live", flat=True)) == [True, False]

    def test_found_by_an_account_or_by_id(self, alice: Merchant, now: datetime) -> None:
        alice.accounts.create(reference="card-1", created_at=now)
        Merchant.objects.update(mode="test")
        publish("invoice.sent", b"{}", account="card-1")
        publish("invoice.sent", b"{}", merchant=alice.public_id)
        assert set(Event.objects.values_list("is_live", flat=True)) == {False}

    def test_not_as_live_as_those_above(self, make_merchant: Make, make_type: Make) -> None:
        make_type("a")
        portfolio = make_merchant("p", kind="portfolio")
        shop = make_merchant("shop", parent=portfolio)
        Merchant.objects.filter(id=shop.id).update(mode="test")
        publish("a", b"{}", merchant="shop")
        assert not Event.objects.get().is_live


def test_a_stored_schema_that_cannot_be_used(alice: Merchant) -> None:
    """Written past the services: events of the type are refused, with a sentence."""
    EventType.objects.filter(name="invoice.paid").update(schema={"type": "strnig"})
    assert refused(GOOD) == [("/events/0/payload", "schema_unusable")]
