"""An endpoint's rate: kept in every second, across drains, retries, replays and idle times, and nothing is dropped."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise
from typing import Any

import pytest

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery, Lane, LaneEntry
from deliveries.services.replay import begin_again
from dispatcher.outcomes import Reason
from subscriptions.models import Endpoint
from tests.deliveries.engine.conftest import HandDrain, result
from tests.dispatcher.test_pace import most_in_a_second
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
ARRIVAL_SLACK_S = 0.1
# A request is on its way for some milliseconds, and the receiver's thread may be kept waiting on a busy machine.


@pytest.fixture
def now() -> datetime:
    """A little ahead of the database's own clock, by which lanes are marked due."""
    return datetime.now(UTC) + timedelta(seconds=1)


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(make_merchant("alice"))
    return made


class Traffic:
    """Turns at random moments of a clock that only the test moves; what they send comes back some time later."""

    def __init__(self, make_drain: Callable[[], HandDrain], *, seed: int, now: datetime) -> None:
        self.random = random.Random(seed)
        self.drains = [make_drain(), make_drain()]
        self.now = now
        self.sent: list[datetime] = []
        self._flying: list[tuple[datetime, HandDrain, Any]] = []

    def step(self) -> None:
        drain = self.random.choice(self.drains)
        landed = [item for item in self._flying if item[1] is drain and item[0] <= self.now]
        self._flying = [item for item in self._flying if item not in landed]
        results = [result(item[2], self._reason(), now=self.now) for item in landed]
        picks = drain.turn(now=self.now, results=results).picks
        # The commit, the rendering, a database that hangs for a moment: all of it lies before the sending.
        delay = self.random.choice([0.0, 0.001, 0.005, 0.3])
        self.now += timedelta(seconds=delay)
        for pick in picks:
            self.sent.append(self.now)
            drain.lanes[pick.endpoint_id].sent_at = self.now
            self._flying.append((self.now + timedelta(seconds=self.random.uniform(0, 0.4)), drain, pick))
        self.now += timedelta(seconds=self.random.choice([0.0, 0.002, 0.01, 0.02, 0.05]))

    def _reason(self) -> Reason:
        return self.random.choice([Reason.DELIVERED, Reason.DELIVERED, Reason.HTTP_SERVER_ERROR])

    def idle(self, seconds: float) -> None:
        """Time passes, and whoever holds a lane lets go of it."""
        self.now += timedelta(seconds=seconds)
        for _, drain, pick in self._flying:
            drain.turn(now=self.now, results=[result(pick, Reason.DELIVERED, now=self.now)], is_claiming=False)
        self._flying.clear()


@pytest.mark.parametrize("rate", [1, 2, 7, 19, 20, 45, 100, 333, 1000])
@pytest.mark.parametrize("is_ordered", [False, True])
def test_no_second_holds_more_than_the_rate(
    rate: int,
    is_ordered: bool,
    endpoint: Endpoint,
    make_drain: Callable[[], HandDrain],
    publish_many: Make,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two drains hand the lane to and fro; answers, retries, replays and idle times come as they like."""
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)
    Endpoint.objects.update(rate_limit=rate, max_in_flight=500, ordered=is_ordered)
    publish_many("alice", 400, now=now)
    Lane.objects.update(window=500)
    traffic = Traffic(make_drain, seed=rate, now=now)
    for number in range(160):
        if number % 40 == 20:
            done = list(Delivery.objects.filter(status="delivered").values_list("id", flat=True)[:20])
            begin_again(delivery_ids=done, endpoint_ids=[endpoint.id], now=now)
        if number % 40 == 39:
            traffic.idle(3.0)
        # Breakers have tests of their own, and marks are made by the database's clock.
        Lane.objects.update(open_until=None, open_s=0, attempts=0, failures=0)
        Lane.objects.filter(due_at__lt=traffic.now).update(due_at=traffic.now)
        LaneEntry.objects.filter(trigger="retry", due_at__gt=traffic.now).update(due_at=traffic.now)
        traffic.step()
    assert len(traffic.sent) >= min(3, rate)
    assert most_in_a_second(traffic.sent) <= rate


def test_a_rate_outlasts_the_end_of_every_other_wait(
    endpoint: Endpoint, drain: HandDrain, publish_many: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay ends an ordered lane's wait for its retry; it does not end the second."""
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)
    Endpoint.objects.update(rate_limit=1, ordered=True)
    publish_many("alice", 1, now=now)
    [pick] = drain.turn(now=now).picks
    drain.turn(now=now, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=now)])
    assert Lane.objects.get().not_before == now + timedelta(seconds=10)
    begin_again(delivery_ids=[pick.delivery_id], endpoint_ids=[endpoint.id], now=now)
    paced_until = now + timedelta(seconds=1.08)
    assert Lane.objects.get().not_before == paced_until
    Lane.objects.update(due_at=now)
    assert drain.turn(now=paced_until - timedelta(milliseconds=1)).picks == []
    assert len(drain.turn(now=paced_until).picks) == 1


def test_disabling_and_enabling_gives_no_second_burst(
    endpoint: Endpoint, drain: HandDrain, publish_many: Make, now: datetime
) -> None:
    Endpoint.objects.update(rate_limit=1)
    publish_many("alice", 2, now=now)
    [pick] = drain.turn(now=now).picks
    Endpoint.objects.update(is_active=False)
    drain.turn(now=now, results=[result(pick, Reason.DELIVERED, now=now)])
    Endpoint.objects.update(is_active=True)
    publish_many("alice", 1, now=now)
    assert drain.turn(now=now + timedelta(seconds=1)).picks == []
    assert len(drain.turn(now=now + timedelta(seconds=1.08)).picks) == 1


@pytest.fixture
def engine(settings: Any) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield
    process.close()


@pytest.mark.parametrize(("rate", "count"), [(2, 7), (10, 35), (40, 140)])
def test_over_real_sockets_every_second_keeps_to_the_rate_and_everything_arrives(
    rate: int,
    count: int,
    engine: None,
    endpoint: Endpoint,
    publish_many: Make,
    receive: Callable[[Script], Receiver],
) -> None:
    receiver = receive(keep_alive())
    Endpoint.objects.update(rate_limit=rate, target=receiver.url())
    publish_many("alice", count, now=datetime.now(UTC))
    began = time.monotonic()
    while Delivery.objects.filter(status="pending").exists():
        # A drain does not wait for what is due much later: beat's tick starts another.
        process.drain()
        time.sleep(0.02)
    took_s = time.monotonic() - began
    assert most_in_a_second(list(Attempt.objects.values_list("started_at", flat=True))) <= rate
    assert Attempt.objects.count() == Delivery.objects.filter(status="delivered").count() == count
    arrivals = sorted(request.at for request in receiver.requests)
    assert len(arrivals) == count
    # Any rate + 1 of them in a row are a second apart.
    spans = [later - earlier for earlier, later in zip(arrivals, arrivals[rate:], strict=False)]
    assert min(spans) >= 1 - ARRIVAL_SLACK_S
    assert all(earlier <= later for earlier, later in pairwise(arrivals))
    # Nothing is lost by being careful, either: well over half of what the rate allows.
    assert count / took_s >= rate * 0.6
