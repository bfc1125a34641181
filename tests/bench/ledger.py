"""The ledger that must balance after every run, or the run is void."""

from collections import Counter
from dataclasses import dataclass

from django.db import connection

from deliveries.models import Attempt, Delivery, Event, LaneEntry

UNBALANCED = """
SELECT count(*) FROM deliveries_delivery d
WHERE (d.status = 'pending') <> EXISTS (SELECT FROM deliveries_laneentry e WHERE e.delivery_id = d.id)
"""


class Void(Exception):
    """A run whose books do not balance: its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What Postgres and the receiver say at one moment."""

    events: int
    deliveries: int
    delivered: int
    pending: int
    failed: int
    attempts: int
    received: int

    @classmethod
    def read(cls, *, received: int = 0) -> "Ledger":
        statuses = Counter(Delivery.objects.values_list("status", flat=True))
        return cls(
            events=Event.objects.count(),
            deliveries=statuses.total(),
            delivered=statuses["delivered"],
            pending=statuses["pending"],
            failed=statuses["failed"],
            attempts=Attempt.objects.count(),
            received=received,
        )

    def since(self, before: "Ledger") -> "Ledger":
        return Ledger(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))


def check(found: Ledger, *, published: int, delivered: int, received: int) -> None:
    """Raises Void unless everything that was published is where it should be, and each attempt was received once."""
    wanted = Ledger(
        events=published,
        deliveries=published,
        delivered=delivered,
        pending=published - delivered,
        failed=0,
        attempts=delivered,
        received=received,
    )
    if found != wanted:
        raise Void(f"the ledger does not balance: found {found}, wanted {wanted}")


def check_entries() -> None:
    """Raises Void when a delivery waits without an entry in its lane, or an entry without a delivery."""
    with connection.cursor() as cursor:
        cursor.execute(UNBALANCED)
        (wrong,) = cursor.fetchone() or (0,)
    strays = LaneEntry.objects.count() - Delivery.objects.filter(status="pending").count()
    if wrong or strays:
        raise Void(f"{wrong} deliveries and {strays} lane entries do not belong together")
