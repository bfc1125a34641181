"""Publishing one event by the function and by the batch statement: the same rows, the same answers."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from deliveries.models import Delivery, Event, IdempotencyKey, Lane, LaneEntry
from deliveries.services import publish as publish_service
from deliveries.services import publish_batch
from deliveries.services.new_event import NewEvent
from subscriptions.errors import Conflict, Invalid
from subscriptions.models import Account, Endpoint, Merchant

pytestmark = pytest.mark.django_db

Make = Callable[..., Any]

EVENTS = {
    "by reference": NewEvent("invoice.paid", b'{"a": 1.10}', "alice"),
    "of a type that fewer hear": NewEvent("invoice.sent", b"[]", "alice"),
    "by account alone": NewEvent("invoice.paid", b"{}", account="card-1"),
    "by merchant and account": NewEvent("invoice.paid", b"{}", "alice", "card-1"),
    "of a merchant in test mode without endpoints": NewEvent("invoice.paid", b"{}", "bob"),
    "with an id of its own": NewEvent("invoice.paid", b"{}", "alice", id="own-1"),
    "with a key": NewEvent("invoice.paid", b"{}", "alice", idempotency_key="key-1"),
    "with both": NewEvent("invoice.paid", b"{}", "alice", id="own-2", idempotency_key="key-2"),
    "that occurred before": NewEvent("invoice.paid", b"{}", "alice", occurred_at=datetime(2020, 1, 1, tzinfo=UTC)),
    "of a deleted merchant": NewEvent("invoice.paid", b"{}", "gone"),
    "of nobody": NewEvent("invoice.paid", b"{}", "nobody"),
    "of an unknown account": NewEvent("invoice.paid", b"{}", account="nothing"),
    "of another's account": NewEvent("invoice.paid", b"{}", "bob", "card-1"),
    "of an account whose merchant is gone": NewEvent("invoice.paid", b"{}", account="card-gone"),
    "of an unknown type": NewEvent("invoice.eaten", b"{}", "alice"),
    "of an archived type": NewEvent("invoice.old", b"{}", "alice"),
    "with everything wrong": NewEvent("no.type", b"{}", "nobody", "nothing"),
}


@pytest.fixture
def world(make_merchant: Make, make_endpoint: Make, make_type: Make, now: datetime) -> None:
    for name in ("invoice.paid", "invoice.sent"):
        make_type(name)
    make_type("invoice.old", archived=True)
    reseller = make_merchant("reseller", kind="reseller")
    portfolio = make_merchant("portfolio", kind="portfolio", parent=reseller)
    alice, gone = make_merchant("alice", parent=portfolio), make_merchant("gone")
    make_merchant("bob")
    Merchant.objects.filter(reference="bob").update(mode="test")
    Account.objects.create(merchant=alice, reference="card-1", created_at=now)
    Account.objects.create(merchant=gone, reference="card-gone", created_at=now)
    Merchant.objects.filter(id=gone.id).update(deleted_at=now)
    make_endpoint(alice)
    make_endpoint(alice, event_types=["invoice.paid"])
    make_endpoint(alice, event_types=["invoice.*"], is_active=False)
    make_endpoint(alice, event_types=["other.*"])
    make_endpoint(alice, accounts=["card-1"])
    make_endpoint(alice, is_active=False, deleted_at=now)
    make_endpoint(portfolio)
    make_endpoint(reseller, accounts=["card-2"])
    make_endpoint(reseller, event_types=["invoice.sent"])


def told(event: NewEvent, *, now: datetime) -> Any:
    """What the caller is answered, without the ids that are new each time."""
    try:
        (accepted,) = publish_batch([event], scope="test", now=now)
    except (Invalid, Conflict) as refusal:
        return type(refusal), refusal.code, refusal.detail, getattr(refusal, "errors", None)
    return accepted.deliveries, accepted.is_duplicate, accepted.id if event.id else None


def rows() -> Any:
    """All that was written, told without ids that are new each time."""
    events = list(Event.objects.order_by("id"))
    place = {event.id: number for number, event in enumerate(events)}
    return [
        [(e.external_id, e.merchant_id, e.type, e.account, bytes(e.payload), e.is_live, e.occurred_at) for e in events],
        sorted(
            (
                *(place[d.event_id], str(d.id)[-3:], str(d.endpoint_id), str(d.owner_id), d.event_type, str(d.account)),
                *(d.status, str(d.next_attempt_at), str(d.created_at), str(d.id)[:33] == str(d.event_id)[:33]),
            )
            for d in Delivery.objects.all()
        ),
        sorted((str(e.delivery_id)[-3:], str(e.endpoint_id), e.due_at, e.trigger) for e in LaneEntry.objects.all()),
        sorted((str(lane.endpoint_id), lane.window, lane.due_at) for lane in Lane.objects.all()),
        sorted((k.scope, k.key, bytes(k.request_hash), k.expires_at) for k in IdempotencyKey.objects.all()),
    ]


def forget() -> None:
    for model in (Event, Delivery, LaneEntry, Lane, IdempotencyKey):
        model._default_manager.all().delete()


@pytest.mark.parametrize("name", EVENTS)
def test_both_ways_write_and_answer_the_same(
    name: str, world: None, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = EVENTS[name]
    by_function = [told(event, now=now), told(event, now=now), rows()]
    forget()
    with monkeypatch.context() as patch:
        patch.setattr(publish_module(), "_insert", publish_module()._insert_batch)
        by_statement = [told(event, now=now), told(event, now=now), rows()]
    assert by_function == by_statement


def publish_module() -> Any:
    """The package offers the function by the same name."""
    return sys.modules[publish_service.__module__]


def test_a_circle_above_a_merchant_ends(world: None, now: datetime) -> None:
    """Services refuse it; a row that somebody wrote by hand must not hang a publisher."""
    reseller = Merchant.objects.get(reference="reseller")
    Merchant.objects.filter(id=reseller.id).update(parent=Merchant.objects.get(reference="alice"))
    (accepted,) = publish_batch([EVENTS["by reference"]], scope="test", now=now)
    assert accepted.deliveries == 4


def test_its_plans_look_at_indexes_also_when_made_on_empty_tables(world: None, now: datetime) -> None:
    publish_batch([EVENTS["by reference"]], scope="test", now=now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT proconfig FROM pg_proc WHERE proname IN ('signet_publish_one', 'signet_mark_due')")
        assert cursor.fetchall() == [(["enable_seqscan=off"],)] * 2


def test_one_event_takes_one_statement(world: None, now: datetime, django_assert_num_queries: Any) -> None:
    assert Endpoint.objects.exists()
    with django_assert_num_queries(1):
        publish_batch([EVENTS["by reference"]], scope="test", now=now)
