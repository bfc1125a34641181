"""The demo counts what its receiver verified and what the platform says of its deliveries."""

import hmac
import http.client
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries
from standardwebhooks import Webhook

from deliveries.demo import ledger as ledger_module
from deliveries.demo.cast import TROUBLED_SCHEDULE_S
from deliveries.demo.ledger import OVERLAP, Ledger
from deliveries.demo.receiving import DemoReceiver, Seen, Tally, trouble
from deliveries.demo.screen import Figures, Screen
from deliveries.demo.stream import Published
from deliveries.models import Delivery
from deliveries.receiver import Received, Verdict
from deliveries.selectors.log import first_id
from dispatcher.ids import Prefix, new_id, show
from subscriptions.models import Endpoint, Merchant

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_SECRET = "whsec_RkVEQ0JBOTg3NjU0MzIxMEZFRENCQTk4NzY1NDMyMTA="
SHOP = "/saltmarsh/shop"


def event_at(moment: datetime) -> str:
    return show(Prefix.EVENT, first_id(moment))


def received(event_id: str, *, attempt: int = 1, status: int = 200, verdict: Verdict | None = Verdict.GOOD) -> Received:
    headers = {"x-webhook-id": event_id, "x-webhook-attempt": str(attempt)}
    return Received("/", headers, b"", verdict, verdict, status)


def test_the_tally_tells_verified_retried_refused_and_bad_apart(now: datetime) -> None:
    tally = Tally(since=now.timestamp())
    at = now.timestamp() + 1
    event = event_at(now)
    for delivery in (
        received(event),
        received(event, status=503),
        received(event, attempt=2),
        received(event, verdict=None),
        received(event, status=401, verdict=Verdict.BAD),
    ):
        tally.note(delivery, at=at)

    assert tally.read(now=at) == Seen(
        verified=2,
        verified_after_retry=1,
        unverified=1,
        retried=1,
        refused=1,
        bad_signatures=1,
        p50_ms=1000,
        p95_ms=1000,
    )


def test_the_tally_leaves_out_what_an_earlier_run_published(now: datetime) -> None:
    tally = Tally(since=now.timestamp())

    tally.note(received(event_at(now - timedelta(seconds=1))), at=now.timestamp())
    tally.note(received("chosen-by-the-provider"), at=now.timestamp())

    assert tally.read(now=now.timestamp()) == Seen()


def test_latency_is_that_of_the_last_seconds(now: datetime) -> None:
    tally = Tally(since=now.timestamp())
    start = now.timestamp()
    tally.note(received(event_at(now)), at=start + 9)
    for number in range(100):
        published = now + timedelta(seconds=20)
        tally.note(received(event_at(published)), at=start + 20 + (number + 1) / 1000)

    seen = tally.read(now=start + 21)

    assert seen.p50_ms == pytest.approx(50.5, abs=0.1)
    assert seen.p95_ms == pytest.approx(95, abs=0.2)


def test_trouble_is_the_same_for_the_same_attempt_and_as_frequent_as_announced() -> None:
    events = [f"evt_{number}" for number in range(4_000)]
    first = Counter(trouble(event, 1) for event in events)
    lasting = [event for event in events if all(trouble(event, attempt) for attempt in range(1, 6))]

    assert [trouble(event, 1) for event in events] == [trouble(event, 1) for event in events]
    assert set(first) == {None, 500, 503}
    assert 0.13 < 1 - first[None] / len(events) < 0.19
    assert 0.005 < len(lasting) / len(events) < 0.02
    # Sent again by hand, nearly all are taken.
    assert sum(trouble(event, len(TROUBLED_SCHEDULE_S) + 2) is None for event in lasting) > 0.6 * len(lasting)


@pytest.fixture
def tally() -> Tally:
    return Tally(since=0)


@pytest.fixture
def receiver(tally: Tally) -> Iterator[DemoReceiver]:
    made = DemoReceiver(port=0, tally=tally)
    made.check_with({SHOP: SECRET, "/calm": SECRET})
    made.start()
    yield made
    made.end()


def post(receiver: DemoReceiver, path: str, event_id: str, *, attempt: int = 1, secret: str = SECRET) -> int:
    body, at = '{"id":"ctx_1"}', datetime.now(UTC)
    headers = {
        "X-Webhook-Id": event_id,
        "X-Webhook-Attempt": str(attempt),
        "X-Webhook-Signature": hmac.new(secret.encode(), body.encode(), "sha256").hexdigest(),
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body),
    }
    connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_receiver_verifies_and_only_the_troubled_endpoint_fails(receiver: DemoReceiver, tally: Tally) -> None:
    events = [show(Prefix.EVENT, new_id()) for _ in range(60)]

    assert {post(receiver, "/calm", event) for event in events[:10]} == {200}
    assert [post(receiver, SHOP, event) for event in events] == [trouble(event, 1) or 200 for event in events]
    assert post(receiver, "/calm", events[0], secret=OTHER_SECRET) == 401
    seen = tally.read(now=time.time())

    failed = sum(trouble(event, 1) is not None for event in events)
    assert (seen.verified, seen.refused, seen.bad_signatures) == (10 + 60 - failed, failed, 1)


def test_a_rotated_secret_is_taken_up(receiver: DemoReceiver) -> None:
    event = show(Prefix.EVENT, new_id())
    receiver.check_with({"/calm": OTHER_SECRET})

    assert post(receiver, "/calm", event) == 401
    assert post(receiver, "/calm", event, secret=OTHER_SECRET) == 200


@pytest.fixture
def owe(make_merchant: Callable[..., Merchant], make_endpoint: Callable[..., Endpoint]) -> Callable[..., UUID]:
    endpoint = make_endpoint(make_merchant("alice"))

    def make(status: str, at: datetime) -> UUID:
        row = Delivery.objects.create(
            id=UUID(int=first_id(at).int + new_id().int % 2**62),
            event_id=new_id(),
            endpoint_id=endpoint.id,
            owner_id=endpoint.owner_id,
            event_type="card_state",
            created_at=at,
            **as_is(status, at),
        )
        return row.id

    return make


def as_is(status: str, at: datetime) -> dict[str, Any]:
    return {
        "status": status,
        "attempts_made": 0 if status in {"pending", "held"} else 1,
        "next_attempt_at": at if status == "pending" else None,
        "finished_at": None if status in {"pending", "held"} else at,
    }


def finish(delivery_id: UUID, status: str, at: datetime) -> None:
    Delivery.objects.filter(id=delivery_id).update(**as_is(status, at))


def test_the_ledger_follows_each_delivery_to_its_end(owe: Callable[..., UUID], now: datetime) -> None:
    owe("delivered", now - timedelta(seconds=1))
    ledger = Ledger(since=now)
    quick, slow, held = owe("delivered", now), owe("pending", now), owe("held", now)
    owe("failed", now)
    later = now + OVERLAP + timedelta(minutes=1)

    expected = Counter(delivered=1, pending=1, held=1, failed=1)
    assert ledger.look(now=now) == expected
    assert ledger.look(now=later) == expected
    finish(slow, "delivered", later)
    finish(held, "cancelled", later)
    owe("pending", later)

    assert ledger.look(now=later) == Counter(delivered=2, pending=1, cancelled=1, failed=1)
    # Counted for good: it may be deleted by retention meanwhile.
    Delivery.objects.filter(id=quick).delete()
    assert ledger.look(now=later) == Counter(delivered=2, pending=1, cancelled=1, failed=1)


def test_the_ledger_sees_what_commits_late(owe: Callable[..., UUID], now: datetime) -> None:
    ledger = Ledger(since=now)
    owe("delivered", now + timedelta(seconds=2))
    ledger.look(now=now + timedelta(seconds=2))
    owe("delivered", now + timedelta(seconds=1))

    assert ledger.look(now=now + timedelta(seconds=4)) == Counter(delivered=2)


def test_the_ledger_reads_no_more_than_it_may(
    owe: Callable[..., UUID], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "ROWS_MOST", 4)
    for number in range(10):
        owe("delivered", now + timedelta(seconds=number))
    ledger = Ledger(since=now)
    later = now + timedelta(minutes=1)

    assert [ledger.look(now=later)["delivered"] for _ in range(4)] == [4, 7, 10, 10]


def test_a_look_is_one_statement(
    owe: Callable[..., UUID], now: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ledger = Ledger(since=now)
    owe("pending", now)
    ledger.look(now=now + timedelta(minutes=1))

    with django_assert_num_queries(1):
        ledger.look(now=now + timedelta(minutes=1))


def figures(**seen: Any) -> Figures:
    return Figures(Published(events=1_204, deliveries=2_410), {"delivered": 2_400, "pending": 10}, Seen(**seen))


def test_the_live_line() -> None:
    shown = figures(verified=2_400, verified_after_retry=35, retried=41, p50_ms=4.4, p95_ms=9.6)
    calm = "published 1,204  delivered 2,400  verified 2,400 (35 after a retry)  retried 41  failed 0  pending 10"

    assert shown.line() == f"{calm}  p50 4 ms  p95 10 ms"
    assert (
        shown.line(is_last=True)
        == f"{calm}  held 0  unverified 0  bad signatures 0  publish errors 0  p50 4 ms  p95 10 ms"
    )
    assert figures(bad_signatures=3).line().endswith("pending 10  bad signatures 3")


class Console(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_in_place_and_a_pipe_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    console, pipe = Console(), io.StringIO()
    for out in (console, pipe):
        screen = Screen(out)
        screen.show(figures())
        screen.say("done")

    assert console.getvalue() == "\r\x1b[Kpublished 1,204  delivered 2,400  verif\r\x1b[Kdone\n"
    assert pipe.getvalue() == f"{figures().line()}\ndone\n"
