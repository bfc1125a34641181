"""Who hears what happens to the platform itself: those who asked for it by name, exactly once."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from deliveries.models import Delivery, Event, Lane, LaneEntry
from deliveries.services import operations, publish
from dispatcher.schemas.checker import Checker
from subscriptions.models import Endpoint, Merchant, Occurrence
from subscriptions.operational import TYPES, Operation
from tests.statements import counting_statements

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Make = Callable[..., Any]


@pytest.fixture
def alice(make_merchant: Make) -> Merchant:
    portfolio = make_merchant("portfolio", kind="portfolio", parent=make_merchant("reseller", kind="reseller"))
    merchant: Merchant = make_merchant("alice", parent=portfolio)
    return merchant


@pytest.fixture
def about(alice: Merchant, make_endpoint: Make) -> Endpoint:
    """The endpoint to which something happens. It listens too, to no effect."""
    made: Endpoint = make_endpoint(alice, event_types=["signet.*"])
    return made


def happen(endpoint: Endpoint, operation: Operation = Operation.SECRET_ROTATED, **fields: Any) -> Occurrence:
    detail = {"secret": "sec_1", "previous_expires_at": None}
    return Occurrence.objects.create(
        **{"detail": detail, "created_at": NOW, "type": operation.value} | fields,
        merchant_id=endpoint.owner_id,
        endpoint_id=endpoint.id,
    )


def heard_by() -> set[Endpoint]:
    operations.publish_step(now=NOW)
    return set(Endpoint.objects.filter(id__in=Delivery.objects.values("endpoint_id")))


class TestWhoHears:
    def test_those_who_name_the_type_or_its_group(self, about: Endpoint, alice: Merchant, make_endpoint: Make) -> None:
        wanted = [["signet.*"], ["signet.secret.*"], ["signet.secret.rotated", "invoice.paid"]]
        heard = {make_endpoint(alice, event_types=types) for types in wanted}
        for types in (None, ["signet.endpoint.*"], ["signet.endpoint.disabled"], ["secret.*"], []):
            make_endpoint(alice, event_types=types)
        happen(about)
        assert heard_by() == heard

    def test_above_the_merchant_but_not_beside_or_below_it(
        self, about: Endpoint, alice: Merchant, make_merchant: Make, make_endpoint: Make
    ) -> None:
        portfolio = alice.parent
        assert portfolio is not None
        assert portfolio.parent is not None
        heard = {make_endpoint(one, event_types=["signet.*"]) for one in (alice, portfolio, portfolio.parent)}
        for stranger in (make_merchant("charlie"), make_merchant("bob", parent=portfolio)):
            make_endpoint(stranger, event_types=["signet.*"])
        happen(about)
        assert heard_by() == heard

    def test_what_happens_above_is_not_told_below(
        self, about: Endpoint, alice: Merchant, make_merchant: Make, make_endpoint: Make
    ) -> None:
        below = make_endpoint(make_merchant("below", parent=alice), event_types=["signet.*"])
        happen(about)
        assert heard_by() == set()
        assert below.owner.parent == alice

    def test_a_merchant_that_hears_everything(self, about: Endpoint, make_merchant: Make, make_endpoint: Make) -> None:
        provider, former = make_merchant("provider"), make_merchant("former")
        listening = make_endpoint(provider, event_types=["signet.*"])
        make_endpoint(provider)
        make_endpoint(former, event_types=["signet.*"])
        Merchant.objects.filter(id__in=[provider.id, former.id]).update(hears_all_operations=True)
        Merchant.objects.filter(id=former.id).update(deleted_at=NOW)
        happen(about)
        assert heard_by() == {listening}

    def test_never_the_endpoint_itself_nor_a_deleted_one(
        self, about: Endpoint, alice: Merchant, make_endpoint: Make
    ) -> None:
        make_endpoint(alice, event_types=["signet.*"], deleted_at=NOW, is_active=False)
        happen(about)
        assert heard_by() == set()

    def test_one_that_wants_certain_accounts_hears_of_their_deliveries(
        self, about: Endpoint, alice: Merchant, make_endpoint: Make
    ) -> None:
        picky = make_endpoint(alice, event_types=["signet.*"], accounts=["card-1"])
        happen(about)
        assert heard_by() == set()
        happen(about, Operation.DELIVERY_FAILED, account="card-2")
        assert heard_by() == set()
        happen(about, Operation.DELIVERY_FAILED, account="card-1")
        assert heard_by() == {picky}


class TestOnce:
    def test_an_occurrence_becomes_an_event_with_all_that_is_owed(
        self, about: Endpoint, alice: Merchant, make_endpoint: Make, django_capture_on_commit_callbacks: Any
    ) -> None:
        active = make_endpoint(alice, event_types=["signet.*"])
        off = make_endpoint(alice, event_types=["signet.*"], is_active=False)
        happen(about)
        with django_capture_on_commit_callbacks(execute=True):
            assert operations.publish_step(now=NOW) == 1
        event = Event.objects.get()
        assert (event.type, event.merchant_id, event.occurred_at, event.is_test, event.is_live) == (
            "signet.secret.rotated",
            alice.id,
            NOW,
            False,
            True,
        )
        statuses = dict(Delivery.objects.values_list("endpoint_id", "status"))
        assert statuses == {active.id: "pending", off.id: "held"}
        assert (LaneEntry.objects.get().endpoint_id, Lane.objects.get().endpoint_id) == (active.id, active.id)
        assert Lane.objects.get().due_at is not None
        assert Occurrence.objects.count() == 0
        assert operations.publish_step(now=NOW) == 0

    def test_what_nobody_asked_for_leaves_nothing(self, about: Endpoint) -> None:
        for _ in range(3):
            happen(about)
        assert operations.publish_step(now=NOW) == 3
        assert (Event.objects.count(), Delivery.objects.count(), Occurrence.objects.count()) == (0, 0, 0)

    @pytest.mark.django_db(transaction=True)
    def test_several_at_once_publish_each_once(self, about: Endpoint, alice: Merchant, make_endpoint: Make) -> None:
        make_endpoint(alice, event_types=["signet.*"])
        for _ in range(1200):
            happen(about)

        def run(_: int) -> int:
            try:
                return operations.publish_occurrences(clock=lambda: NOW)
            finally:
                connection.close()

        with ThreadPoolExecutor(3) as pool:
            taken = sum(pool.map(run, range(3)))
        while more := operations.publish_step(now=NOW):
            taken += more
        assert taken == 1200
        assert Event.objects.count() == Delivery.objects.count() == 1200

    def test_if_the_events_are_not_written_the_occurrences_stay(
        self, about: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        happen(about)
        monkeypatch.setattr(operations, "DROP", "SELECT 1 / 0")
        with pytest.raises(Exception, match="division by zero"):
            operations.publish_step(now=NOW)
        assert (Occurrence.objects.count(), Event.objects.count()) == (1, 0)

    @pytest.mark.parametrize("count", [1, 400])
    def test_statements_do_not_grow_with_the_number(
        self, count: int, about: Endpoint, alice: Merchant, make_endpoint: Make
    ) -> None:
        for _ in range(3):
            make_endpoint(alice, event_types=["signet.*"])
        for _ in range(count):
            happen(about)
        with counting_statements() as seen:
            operations.publish_step(now=NOW)
        # The savepoint is the test's: it runs in a transaction of its own.
        assert len([text for text in seen if "SAVEPOINT" not in text]) == 4
        assert Delivery.objects.count() == 3 * count

    def test_they_are_published_in_the_order_in_which_they_happened(
        self, about: Endpoint, alice: Merchant, make_endpoint: Make
    ) -> None:
        make_endpoint(alice, event_types=["signet.*"])
        for number in range(5):
            happen(about, detail={"secret": f"sec_{number}", "previous_expires_at": None})
        operations.publish_step(now=NOW)
        payloads = [bytes(row.payload) for row in Event.objects.order_by("id")]
        assert [f"sec_{number}".encode() in payload for number, payload in enumerate(payloads)] == [True] * 5


class TestPayloads:
    def test_tells_whose_endpoint_it_is_and_where_to_read_more(
        self, about: Endpoint, alice: Merchant, make_endpoint: Make, settings: Any
    ) -> None:
        settings.PUBLIC_URL = "https://signet.example"
        make_endpoint(alice, event_types=["signet.*"])
        happen(about)
        operations.publish_step(now=NOW)
        shown = f"https://signet.example/api/v2/webhooks/endpoints/{about.public_id}?merchant={alice.public_id}"
        assert bytes(Event.objects.get().payload).decode() == (
            '{"type": "signet.secret.rotated", "occurred_at": "2026-03-01T12:00:00Z", '
            f'"merchant": {{"id": "{alice.public_id}", "reference": "alice"}}, "endpoint": "{about.public_id}", '
            f'"secret": "sec_1", "previous_expires_at": null, "links": {{"endpoint": "{shown}"}}}}'
        )

    @pytest.mark.parametrize("wanted", TYPES, ids=lambda wanted: wanted.name)
    def test_the_example_fits_the_schema_and_so_does_what_is_sent(
        self, wanted: Any, about: Endpoint, alice: Merchant, make_endpoint: Make
    ) -> None:
        checker = Checker(wanted.schema)
        assert checker.fits(wanted.example)
        make_endpoint(alice, event_types=["signet.*"])
        head = {"type", "occurred_at", "merchant", "endpoint", "links"}
        detail = {name: value for name, value in wanted.example.items() if name not in head}
        happen(about, Operation(wanted.name), detail=detail)
        operations.publish_step(now=NOW)
        sent = json.loads(bytes(Event.objects.get().payload))
        assert checker.fits(sent)
        assert set(sent) == set(wanted.example)
        assert not checker.fits({name: value for name, value in sent.items() if name != "endpoint"})


def test_an_ordinary_event_still_reaches_those_who_want_all(
    alice: Merchant, make_endpoint: Make, make_type: Make
) -> None:
    make_type("invoice.paid")
    make_endpoint(alice)
    make_endpoint(alice, event_types=["signet.*"])
    assert publish("invoice.paid", b"{}", merchant="alice").deliveries == 1
