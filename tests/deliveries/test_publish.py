"""Publishing: who gets what, exactly once, all or nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from deliveries.models import Delivery, Event, IdempotencyKey, Lane, LaneEntry
from deliveries.services import NewEvent, publish, publish_batch
from subscriptions.errors import Conflict, Invalid, TooLarge
from subscriptions.models import Account, Endpoint, EventType, Merchant
from tests.statements import counting_statements

Make = Callable[..., Any]


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    for name in ("invoice.paid", "invoice.sent.late", "card_state"):
        make_type(name)
    merchant: Merchant = make_merchant("alice")
    return merchant


def heard_by(event_type: str = "invoice.paid", **named: Any) -> set[Endpoint]:
    accepted = publish(event_type, b"{}", **(named or {"merchant": "alice"}))
    found = Delivery.objects.filter(event_id=Event.objects.latest("id").id)
    assert accepted.deliveries == len(found)
    return set(Endpoint.objects.filter(id__in=[delivery.endpoint_id for delivery in found]))


class TestFanOut:
    def test_payload_bytes_are_kept_exactly(self, alice: Merchant, make_endpoint: Make) -> None:
        make_endpoint(alice)
        payload = '{"b":1.10,"a":  [1e2, "é"]}'.encode()
        publish("invoice.paid", payload, merchant="alice")
        assert bytes(Event.objects.get().payload) == payload

    def test_one_delivery_with_its_entry_and_a_lane_that_is_due(
        self, alice: Merchant, make_endpoint: Make, django_capture_on_commit_callbacks: Any
    ) -> None:
        endpoint = make_endpoint(alice)
        with django_capture_on_commit_callbacks(execute=True):
            accepted = publish("invoice.paid", {"a": 1}, merchant=alice.public_id)
        event, delivery, entry, lane = (
            Event.objects.get(),
            Delivery.objects.get(),
            LaneEntry.objects.get(),
            Lane.objects.get(),
        )
        assert accepted.id == event.public_id
        assert (accepted.is_duplicate, accepted.deliveries) == (False, 1)
        assert (delivery.event_id, delivery.endpoint_id, delivery.owner_id) == (event.id, endpoint.id, alice.id)
        assert (delivery.status, delivery.attempts_made) == ("pending", 0)
        assert (entry.delivery_id, entry.endpoint_id, entry.trigger) == (delivery.id, endpoint.id, "event")
        assert lane.endpoint_id == endpoint.id
        assert lane.due_at is not None

    def test_type_filters(self, alice: Merchant, make_endpoint: Make) -> None:
        everything = make_endpoint(alice)
        exact = make_endpoint(alice, event_types=["invoice.paid", "card_state"])
        group = make_endpoint(alice, event_types=["invoice.*"])
        deep = make_endpoint(alice, event_types=["invoice.sent.*"])
        nothing = make_endpoint(alice, event_types=[])
        assert heard_by("invoice.paid") == {everything, exact, group}
        assert heard_by("invoice.sent.late") == {everything, group, deep}
        assert heard_by("card_state") == {everything, exact}
        assert nothing.pk

    def test_account_filter(self, alice: Merchant, make_endpoint: Make, now: datetime) -> None:
        for reference in ("card-1", "card-9"):
            Account.objects.create(merchant=alice, reference=reference, created_at=now)
        everything = make_endpoint(alice)
        card = make_endpoint(alice, accounts=["card-1", "card-2"])
        assert heard_by(merchant="alice", account="card-1") == {everything, card}
        assert heard_by(merchant="alice", account="card-9") == {everything}
        assert heard_by(merchant="alice") == {everything}

    def test_those_above_hear_it_and_those_beside_do_not(
        self, alice: Merchant, make_merchant: Make, make_endpoint: Make
    ) -> None:
        reseller = make_merchant("r", kind="reseller")
        portfolio = make_merchant("p", kind="portfolio", parent=reseller)
        other = make_merchant("q", kind="portfolio", parent=reseller)
        Merchant.objects.filter(pk=alice.pk).update(parent=portfolio)
        hears = {make_endpoint(owner) for owner in (reseller, portfolio, alice)}
        make_endpoint(other)
        make_endpoint(make_merchant("bob", parent=portfolio))
        assert heard_by(merchant="alice") == hears

    def test_merchant_is_found_from_the_account(self, alice: Merchant, make_endpoint: Make, now: datetime) -> None:
        endpoint = make_endpoint(alice)
        Account.objects.create(merchant=alice, reference="card-1", created_at=now)
        assert heard_by(account="card-1") == {endpoint}
        assert Event.objects.get().merchant_id == alice.id

    def test_disabled_endpoint_gets_a_held_delivery_and_deleted_none(
        self, alice: Merchant, make_endpoint: Make, now: datetime
    ) -> None:
        disabled = make_endpoint(alice, is_active=False)
        make_endpoint(alice, is_active=False, deleted_at=now)
        assert heard_by() == {disabled}
        assert Delivery.objects.get().status == "held"
        assert not LaneEntry.objects.exists()

    def test_no_endpoint_is_no_error(self, alice: Merchant) -> None:
        assert publish("invoice.paid", {}, merchant="alice").deliveries == 0

    def test_delivery_ids_sort_as_published(self, alice: Merchant, make_endpoint: Make, now: datetime) -> None:
        make_endpoint(alice)
        make_endpoint(alice)
        events = [NewEvent("invoice.paid", b"%d" % n, "alice") for n in range(50)]
        publish_batch(events, scope="t", now=now)
        in_order = [bytes(Event.objects.get(id=d.event_id).payload) for d in Delivery.objects.order_by("id")]
        assert in_order == [b"%d" % n for n in range(50) for _ in range(2)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("event", "pointer", "code"),
        [
            (NewEvent("nope", b"{}", "alice"), "/events/1/type", "unknown_event_type"),
            (NewEvent("invoice.paid", b"{}", "nobody"), "/events/1/merchant", "unknown_merchant"),
            (NewEvent("invoice.paid", b"{}", None, "no-card"), "/events/1/account", "unknown_account"),
            (NewEvent("invoice.paid", b"{}", "alice", "no-card"), "/events/1/account", "unknown_account"),
            (NewEvent("invoice.paid", b"{}", "alice", "bobs"), "/events/1/account", "account_of_another_merchant"),
            (NewEvent("invoice.paid", b"{}"), "/events/1/merchant", "required"),
            (NewEvent("invoice.paid", b"{}", "alice", id="with space"), "/events/1/id", "invalid"),
            (NewEvent("invoice.paid", b"NaN", "alice"), "/events/1/payload", "invalid_json"),
        ],
    )
    def test_one_bad_event_and_nothing_is_stored(
        self, event: NewEvent, pointer: str, code: str, alice: Merchant, make_merchant: Make, now: datetime
    ) -> None:
        Account.objects.create(merchant=make_merchant("bob"), reference="bobs", created_at=now)
        with pytest.raises(Invalid) as refusal:
            publish_batch([NewEvent("invoice.paid", b"{}", "alice", idempotency_key="k"), event], scope="t", now=now)
        assert [(e.pointer, e.code) for e in refusal.value.errors] == [(pointer, code)]
        assert not Event.objects.exists()
        assert not IdempotencyKey.objects.exists()

    def test_archived_type_is_unknown(self, alice: Merchant) -> None:
        EventType.objects.filter(name="card_state").update(archived=True)
        with pytest.raises(Invalid):
            publish("card_state", {}, merchant="alice")

    def test_deleted_merchant_is_unknown(self, alice: Merchant, now: datetime) -> None:
        Account.objects.create(merchant=alice, reference="card-1", created_at=now)
        Merchant.objects.update(deleted_at=now)
        for merchant, account in (("alice", None), (alice.public_id, None), (None, "card-1")):
            with pytest.raises(Invalid):
                publish("invoice.paid", {}, merchant=merchant, account=account)

    def test_payload_over_the_limit(self, alice: Merchant, settings: Any) -> None:
        settings.PAYLOAD_MAX_BYTES = 10
        publish("invoice.paid", b'"12345678"', merchant="alice")
        with pytest.raises(TooLarge):
            publish("invoice.paid", b'"123456789"', merchant="alice")


class TestIdempotency:
    def test_same_key_is_the_same_event(self, alice: Merchant, make_endpoint: Make) -> None:
        make_endpoint(alice)
        first = publish("invoice.paid", {"a": 1}, merchant="alice", idempotency_key="k")
        again = publish("invoice.paid", {"a": 1}, merchant="alice", idempotency_key="k")
        assert (again.id, again.is_duplicate, again.deliveries) == (first.id, True, 1)
        assert Event.objects.count() == 1

    def test_same_key_with_another_body_is_refused(self, alice: Merchant) -> None:
        publish("invoice.paid", {"a": 1}, merchant="alice", idempotency_key="k")
        with pytest.raises(Conflict):
            publish("invoice.paid", {"a": 2}, merchant="alice", idempotency_key="k")
        assert Event.objects.count() == 1

    def test_provider_id_is_the_events_id_and_unique(self, alice: Merchant) -> None:
        first = publish("invoice.paid", {"a": 1}, merchant="alice", id="stmt-17")
        again = publish("invoice.paid", {"a": 1}, merchant="alice", id="stmt-17")
        assert (first.id, again.id, again.is_duplicate) == ("stmt-17", "stmt-17", True)
        with pytest.raises(Conflict):
            publish("invoice.paid", {"a": 2}, merchant="alice", id="stmt-17")

    def test_a_new_key_for_a_known_id_leads_to_the_same_event(self, alice: Merchant) -> None:
        publish("invoice.paid", {}, merchant="alice", id="stmt-17")
        for _ in range(2):
            again = publish("invoice.paid", {}, merchant="alice", id="stmt-17", idempotency_key="k")
            assert (again.id, again.is_duplicate) == ("stmt-17", True)
        assert Event.objects.count() == 1

    def test_twice_in_one_batch(self, alice: Merchant, now: datetime) -> None:
        event = NewEvent("invoice.paid", b"{}", "alice", idempotency_key="k")
        other = NewEvent("invoice.paid", b"{}", "alice")
        answers = publish_batch([event, other, event], scope="t", now=now)
        assert [answer.is_duplicate for answer in answers] == [False, False, True]
        assert answers[0].id == answers[2].id != answers[1].id

    def test_expired_key_is_free_again(self, alice: Merchant, now: datetime) -> None:
        first = publish("invoice.paid", {}, merchant="alice", idempotency_key="k", now=now)
        later = publish("invoice.paid", {}, merchant="alice", idempotency_key="k", now=now + timedelta(hours=25))
        assert first.id != later.id
        assert not later.is_duplicate

    def test_callers_do_not_share_keys(self, alice: Merchant, now: datetime) -> None:
        event = NewEvent("invoice.paid", b"{}", "alice", idempotency_key="k")
        ids = {publish_batch([event], scope=scope, now=now)[0].id for scope in ("one", "two")}
        assert len(ids) == 2

    @pytest.mark.django_db(transaction=True)
    def test_twenty_racing_callers_make_one_event(self, alice: Merchant, make_endpoint: Make) -> None:
        make_endpoint(alice)
        barrier = Barrier(20)

        def call(_: int) -> tuple[str, bool, int]:
            try:
                barrier.wait()
                answer = publish("invoice.paid", {"a": 1}, merchant="alice", idempotency_key="k")
                return answer.id, answer.is_duplicate, answer.deliveries
            finally:
                connection.close()

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(call, range(20)))
        assert len({answer[0] for answer in answers}) == 1
        assert sorted(answer[1] for answer in answers) == [False] + [True] * 19
        assert {answer[2] for answer in answers} == {1}
        assert (Event.objects.count(), Delivery.objects.count()) == (1, 1)


class TestTransactions:
    def test_joins_the_callers_transaction(self, alice: Merchant, make_endpoint: Make) -> None:
        make_endpoint(alice)

        class Undo(Exception):
            pass

        def undone() -> None:
            with transaction.atomic():
                publish("invoice.paid", {}, merchant="alice")
                raise Undo

        with pytest.raises(Undo):
            undone()
        assert not Event.objects.exists()
        assert not LaneEntry.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_one_statement_writes_and_one_wakes_however_many_events(
        self, alice: Merchant, make_endpoint: Make, now: datetime
    ) -> None:
        for _ in range(3):
            make_endpoint(alice)
        for count in (1, 500):
            events = [NewEvent("invoice.paid", b"{}", "alice")] * count
            with counting_statements() as statements:
                publish_batch(events, scope="t", now=now)
            assert len(statements) == 2
