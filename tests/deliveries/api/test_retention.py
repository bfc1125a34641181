"""Retention: whole events go or stay; nothing that is still owed is ever deleted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from deliveries.id_ranges import delivery_id
from deliveries.models import Attempt, Delivery, Event, IdempotencyKey
from deliveries.services import publish, retention
from dispatcher.ids import new_id
from subscriptions.models import Endpoint, StoredAnswer
from tests.deliveries.api.conftest import World
from tests.ids import id_at

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(days=90)
OLD = NOW - timedelta(days=91)

Owe = Callable[..., Event]


@pytest.fixture
def owe(endpoint: Endpoint) -> Owe:
    """An event of that time with one delivery in that status, tried once."""

    def make(*statuses: str, at: datetime = OLD, tried_at: datetime | None = None) -> Event:
        event = Event.objects.create(
            id=id_at(at),
            merchant_id=endpoint.owner_id,
            type="invoice.paid",
            payload=b"{}",
            occurred_at=at,
            created_at=at,
        )
        for place, status in enumerate(statuses, start=1):
            is_final = status in {"delivered", "failed", "cancelled"}
            delivery = Delivery.objects.create(
                id=delivery_id(event.id, place=place),
                event_id=event.id,
                endpoint_id=new_id(),
                owner_id=endpoint.owner_id,
                event_type=event.type,
                status=status,
                attempts_made=1,
                next_attempt_at=at if status == "pending" else None,
                finished_at=at if is_final else None,
                last_attempt_at=tried_at or at,
                created_at=at,
            )
            Attempt.objects.create(
                delivery_id=delivery.id,
                number=1,
                trigger="event",
                is_counted=True,
                reason="delivered",
                url="https://receiver.example/",
                request_headers="",
                started_at=at,
            )
        return event

    return make


def purge() -> retention.Deleted:
    return sum(retention.purge(before=BEFORE, now=NOW), retention.Deleted())


@pytest.mark.parametrize("status", ["delivered", "failed", "cancelled", "held"])
def test_old_and_settled_goes_with_its_attempts(status: str, owe: Owe) -> None:
    owe(status, status)
    owe()
    assert purge() == retention.Deleted(events=2, deliveries=2, attempts=2)
    assert (Event.objects.count(), Delivery.objects.count(), Attempt.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("statuses", "fields"),
    [
        (["pending"], {}),
        (["delivered", "pending"], {}),
        (["delivered"], {"at": BEFORE}),
        (["delivered"], {"at": NOW}),
        # Sent again within the time for which the log is kept.
        (["delivered"], {"tried_at": NOW - timedelta(days=1)}),
    ],
)
def test_what_stays_stays_whole(statuses: list[str], fields: dict[str, Any], owe: Owe) -> None:
    owe(*statuses, **fields)
    assert purge() == retention.Deleted()
    assert (Event.objects.count(), Attempt.objects.count()) == (1, len(statuses))


def test_step_by_step_past_what_stays(owe: Owe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVENTS_A_STEP", 2)
    for day in range(10, 0, -1):
        owe("pending" if day % 3 == 0 else "failed", at=BEFORE - timedelta(days=day))
    assert [step.events for step in retention.purge(before=BEFORE, now=NOW)] == [1, 2, 1, 1, 2]
    assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}


def test_expired_keys_go(world: World, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEYS_A_STEP", 2)
    for number in range(5):
        publish("invoice.paid", {}, merchant="alice", idempotency_key=f"k{number}", now=NOW - timedelta(hours=24))
    publish("invoice.paid", {}, merchant="alice", idempotency_key="live", now=NOW)
    for number, end in enumerate((NOW, NOW + timedelta(seconds=1))):
        StoredAnswer.objects.create(
            scope="t", key=str(number), request_hash=b"", status=200, answer=b"", created_at=OLD, expires_at=end
        )
    assert purge() == retention.Deleted(keys=6)
    assert IdempotencyKey.objects.get().key == "live"
    assert StoredAnswer.objects.get().key == "1"


class TestCommand:
    def test_tells_what_it_does(self, owe: Owe, capsys: pytest.CaptureFixture[str]) -> None:
        owe("failed", at=datetime.now(UTC) - timedelta(days=91))
        owe("failed", at=datetime.now(UTC) - timedelta(days=89))
        call_command("retention", "--yes")
        told = "1 events, 1 deliveries, 1 attempts, 0 hourly counts, 0 keys deleted\n"
        assert capsys.readouterr().out == f"{told}done: {told}"
        assert Event.objects.count() == 1

    def test_asks_first(self, owe: Owe) -> None:
        owe("failed", at=datetime.now(UTC) - timedelta(days=91))
        with pytest.raises(CommandError, match="say --yes"):
            call_command("retention")
        assert Event.objects.count() == 1
