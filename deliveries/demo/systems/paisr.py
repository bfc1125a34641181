"""Paisr's part of the demo: thin events to one endpoint that verifies version 1 and one that verifies version 2."""

from collections import deque
from datetime import datetime
from random import Random

from deliveries.demo.model import TROUBLED_SCHEDULE_S, Event, PlannedEndpoint, PlannedMerchant, System, new_id

OPEN_MOST = 100
NEXT = {
    "invoice.created": ("invoice.paid", "invoice.paid", "invoice.paid", "invoice.removed"),
    "subscription.created": ("subscription.active",),
    "subscription.active": ("subscription.suspended", "subscription.cancelled", "subscription.expired"),
    "customer.created": ("customer.updated",),
}
BEGINNINGS = {"invoice.created": 50, "subscription.created": 20, "customer.created": 15, "transfer.inbound": 15}
PREFIXES = {"invoice": "inv", "subscription": "sub", "customer": "cus", "transfer": "trf"}

HIERARCHY = (PlannedMerchant("demo-thistle", "Thistle Fitness", country="BE"),)
ENDPOINTS = (
    PlannedEndpoint(
        "demo-thistle", "/thistle/v1", "Billing, version 1", ("invoice.*", "transfer.*"), fields={"profile": "paisr"}
    ),
    PlannedEndpoint(
        "demo-thistle",
        "/thistle/v2",
        "Members' area, version 2; its server fails now and then",
        trouble="fails",
        fields={"profile": "paisr-v2", "retry_schedule": TROUBLED_SCHEDULE_S},
    ),
)


class Resources:
    """Invoices, subscriptions and customers, each of which goes through its life once."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._open: deque[tuple[str, str]] = deque(maxlen=OPEN_MOST)

    def draw(self, now: datetime) -> Event:  # noqa: ARG002 - a thin event tells no time
        name, id_ = self._take()
        if name in NEXT:
            self._open.append((name, id_))
        return Event(name, {"id": id_}, f"{name} {id_}", HIERARCHY[0].reference)

    def _take(self) -> tuple[str, str]:
        if len(self._open) > 4 and self._random.randrange(100) < 55:
            step, id_ = self._open.popleft()
            return self._random.choice(NEXT[step]), id_
        name = self._random.choices(list(BEGINNINGS), list(BEGINNINGS.values()))[0]
        return name, new_id(self._random, PREFIXES[name.partition(".")[0]])


SYSTEM = System("paisr", "Paisr", HIERARCHY, ENDPOINTS, Resources)
