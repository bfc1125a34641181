"""What holds a lane back, and the sweep that finds lanes which sleep over their work."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from deliveries.models import Lane, LaneEntry
from deliveries.services.sweep import sweep
from dispatcher.ids import new_id
from subscriptions.models import Endpoint, Merchant

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
HOUR = timedelta(hours=1)


@pytest.fixture
def present() -> datetime:
    """By the clock that the sweep reads."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


@pytest.fixture
def alice(make_merchant: Make) -> Merchant:
    made: Merchant = make_merchant("alice")
    return made


@pytest.fixture
def lane(alice: Merchant, make_endpoint: Make) -> Make:
    """A lane with entries that are due then."""

    def make(*entries: datetime, is_active: bool = True, ordered: bool = True, **fields: Any) -> UUID:
        endpoint: Endpoint = make_endpoint(alice, is_active=is_active, ordered=ordered)
        Lane.objects.create(endpoint_id=endpoint.id, **fields)
        for due_at in entries:
            LaneEntry.objects.create(delivery_id=new_id(), endpoint_id=endpoint.id, due_at=due_at, trigger="event")
        return endpoint.id

    return make


@pytest.mark.parametrize(
    ("hours", "latest"),
    [
        ((None, None, None), None),
        ((1, None, None), 1),
        ((None, 2, None), 2),
        ((None, None, 3), 3),
        ((1, 2, 3), 3),
        ((3, 1, None), 3),
    ],
)
def test_nothing_is_sent_before_the_latest_of_what_holds_a_lane_back(
    hours: Iterable[int | None], latest: int | None, lane: Make, now: datetime
) -> None:
    retry_at, paced_until, open_until = (None if hour is None else now + hour * HOUR for hour in hours)
    lane(retry_at=retry_at, paced_until=paced_until, open_until=open_until, open_s=0 if open_until is None else 30)
    assert Lane.objects.get().not_before == (None if latest is None else now + latest * HOUR)


class TestSweep:
    def test_wakes_those_that_sleep_and_no_others(self, lane: Make, present: datetime) -> None:
        early, soon, late = present - HOUR, present + HOUR, present + 2 * HOUR
        lease = {"lease_token": new_id(), "leased_until": soon}
        for _ in range(2):
            lane()
            lane(early, due_at=early)
            lane(soon, late, due_at=soon)
            lane(early, due_at=soon, retry_at=soon)
            lane(early, due_at=soon, **lease)
        asleep = {
            lane(early),
            lane(late),
            lane(early, soon, due_at=soon),
            lane(soon, due_at=late),
            lane(early, due_at=late, paced_until=soon),
            lane(soon, due_at=soon, is_active=False),
        }
        assert set(sweep()) == asleep
        woken = Lane.objects.filter(endpoint_id__in=asleep, due_at__lte=soon)
        assert woken.count() == len(asleep)

    def test_of_nothing(self) -> None:
        assert sweep() == []

    def test_a_closed_lane_starts_anew_but_its_pace_holds(self, lane: Make, present: datetime) -> None:
        soon, late = present + HOUR, present + 2 * HOUR
        trouble = {"retry_at": soon, "open_until": late, "open_s": 60, "failing_since": present, "failures": 7}
        closed, kept = (lane(is_active=is_active, paced_until=soon, **trouble) for is_active in (False, True))
        sweep()
        shown = ("not_before", "retry_at", "open_until", "open_s", "failing_since", "failures", "paced_until")
        rows = {row.pop("endpoint_id"): tuple(row.values()) for row in Lane.objects.values("endpoint_id", *shown)}
        assert rows == {
            closed: (soon, None, None, 0, None, 0, soon),
            kept: (late, soon, late, 60, present, 7, soon),
        }

    def test_what_is_in_order_no_more_waits_no_more(self, lane: Make, present: datetime) -> None:
        soon = present + HOUR
        wait = {"due_at": soon, "retry_at": soon, "is_ordered": True}
        torn, in_order = (lane(present - HOUR, ordered=ordered, **wait) for ordered in (False, True))
        assert sweep() == [torn]
        assert dict(Lane.objects.values_list("endpoint_id", "not_before")) == {torn: None, in_order: soon}
