"""Deliveries and lane entries that do not fit each other are found and put right."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from deliveries.models import Delivery, Lane, LaneEntry
from deliveries.services import NewEvent, lane_check, publish_batch
from dispatcher.ids import new_id
from subscriptions.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _published(make_merchant: Callable[..., Any], make_endpoint: Callable[..., Any], make_type: Any) -> None:
    """Three deliveries wait."""
    make_type("invoice.paid")
    make_endpoint(make_merchant("alice"))
    now = datetime.now(UTC) - timedelta(minutes=1)
    publish_batch([NewEvent("invoice.paid", b"%d" % n, "alice") for n in range(3)], scope="t", now=now)


def rows() -> list[Any]:
    return [*Delivery.objects.order_by("id").values(), *LaneEntry.objects.order_by("delivery_id").values()]


def test_what_fits_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    before = rows()
    assert lane_check.check() == lane_check.Repairs()
    assert rows() == before
    assert caplog.text == ""


@pytest.mark.parametrize("step", [1, 2, 100])
def test_a_pending_delivery_without_an_entry_gets_it_back(
    step: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_check, "STEP_ROWS", step)
    before = rows()
    first, _, last = Delivery.objects.order_by("id")
    LaneEntry.objects.filter(delivery_id__in=[first.id, last.id]).delete()
    Lane.objects.all().delete()
    assert lane_check.check() == lane_check.Repairs(entered=[first.id, last.id])
    assert rows() == before
    assert Lane.objects.get().due_at is not None
    assert "pending deliveries stood in no lane" in caplog.text
    assert lane_check.check() == lane_check.Repairs()


def test_a_retry_comes_back_at_its_time() -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    delivery = Delivery.objects.latest("id")
    Delivery.objects.filter(id=delivery.id).update(attempts_made=1, next_attempt_at=at)
    LaneEntry.objects.filter(delivery_id=delivery.id).delete()
    lane_check.check()
    entry = LaneEntry.objects.get(delivery_id=delivery.id)
    assert (entry.due_at, entry.trigger) == (at, "retry")


@pytest.mark.parametrize("status", ["delivered", "failed", "held", "cancelled", "gone"])
def test_an_entry_without_a_pending_delivery_is_taken_out(status: str, caplog: pytest.LogCaptureFixture) -> None:
    delivery = Delivery.objects.latest("id")
    if status == "gone":
        delivery.delete()
        delivery.id = LaneEntry.objects.latest("delivery_id").delivery_id
    else:
        end = None if status == "held" else datetime.now(UTC)
        Delivery.objects.filter(id=delivery.id).update(
            status=status, next_attempt_at=None, attempts_made=1, finished_at=end
        )
    assert lane_check.check() == lane_check.Repairs(dropped=[delivery.id])
    assert LaneEntry.objects.count() == 2
    assert "belonged to no pending delivery" in caplog.text


def test_the_command_tells_what_it_did() -> None:
    stray = LaneEntry.objects.create(
        delivery_id=new_id(), endpoint_id=Endpoint.objects.get().id, due_at=datetime.now(UTC), trigger="event"
    )
    lost = Delivery.objects.earliest("id")
    LaneEntry.objects.filter(delivery_id=lost.id).delete()
    told = StringIO()
    call_command("sweep", check=True, stdout=told)
    assert told.getvalue().splitlines()[0] == f"put back {lost.public_id}"
    assert told.getvalue().splitlines()[1].startswith("taken out del_")
    assert not LaneEntry.objects.filter(delivery_id=stray.delivery_id).exists()
    told = StringIO()
    call_command("sweep", check=True, stdout=told)
    assert told.getvalue() == ""
