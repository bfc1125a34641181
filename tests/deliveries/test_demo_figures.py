"""The demo counts what its receivers verified and what the platform says of its deliveries, system by system."""

import hmac
import http.client
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries
from standardwebhooks import Webhook

from deliveries.demo import ledger as ledger_module
from deliveries.demo import tally as tally_module
from deliveries.demo.figures import Figures
from deliveries.demo.ledger import OVERLAP, Ledger
from deliveries.demo.letters import NO_LETTERS, Letters
from deliveries.demo.model import TROUBLED_SCHEDULE_S
from deliveries.demo.receivers import Known, Reading, card
from deliveries.demo.receiving import SILENT_ANSWER, DemoReceiver, trouble
from deliveries.demo.screen import Screen
from deliveries.demo.stream import Published
from deliveries.demo.tally import Attempts, Journal, Seen, Taken, Tally, now_s
from deliveries.models import Delivery
from deliveries.receiver import Answer, Verdict
from dispatcher.ids import new_id
from subscriptions.models import Endpoint, Merchant
from tests.ids import id_at

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_SECRET = "whsec_RkVEQ0JBOTg3NjU0MzIxMEZFRENCQTk4NzY1NDMyMTA="
SHOP = "/saltmarsh/shop"
SILENT = "/lagoon/payments"


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def tally(journal: Journal) -> Tally:
    return Tally(journal)


def taken(
    key: str, *, system: str = "card", attempt: int = 1, good: bool | None = True, accepted: bool = True
) -> Taken:
    return Taken(system, key, attempt, is_good=good, is_accepted=accepted)


def test_the_tally_tells_verified_retried_refused_and_bad_apart(journal: Journal, tally: Tally) -> None:
    journal.note("card", "a", at=100)
    for delivery in (
        taken("a"),
        taken("a", accepted=False),
        taken("a", attempt=2),
        taken("a", good=None),
        taken("", good=None),
        taken("", good=False, accepted=False),
    ):
        tally.note(delivery, at=101)

    expected = Seen(
        verified=2,
        verified_after_retry=1,
        unverified=2,
        retried=1,
        refused=1,
        bad_signatures=1,
        p50_ms=1000,
        p95_ms=1000,
    )
    assert tally.read(now=101) == {"card": expected, "": expected}


def test_each_system_is_counted_by_itself_and_all_together(journal: Journal, tally: Tally) -> None:
    journal.note("card", "same", at=100)
    journal.note("paisr", "same", at=100.5)
    tally.note(taken("same"), at=101)
    tally.note(taken("same", system="paisr"), at=101)

    seen = tally.read(now=101)

    assert seen["card"] == Seen(verified=1, p50_ms=1000, p95_ms=1000)
    assert seen["paisr"] == Seen(verified=1, p50_ms=500, p95_ms=500)
    assert (seen[""].verified, seen[""].p50_ms) == (2, 750)


def test_what_somebody_else_published_is_counted_without_a_latency(tally: Tally) -> None:
    tally.note(taken("by hand"), at=100)

    assert tally.read(now=100)["card"] == Seen(verified=1)


def test_latency_is_that_of_the_last_seconds(journal: Journal, tally: Tally) -> None:
    journal.note("card", "early", at=0)
    tally.note(taken("early"), at=9)
    tally.note(taken("early", attempt=2), at=20)
    for number in range(100):
        journal.note("card", str(number), at=20)
        tally.note(taken(str(number)), at=20 + (number + 1) / 1000)

    seen = tally.read(now=21)["card"]

    assert seen.p50_ms == pytest.approx(50.5, abs=0.1)
    assert seen.p95_ms == pytest.approx(95, abs=0.2)


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
    monkeypatch.setattr(tally_module, "REMEMBERED_MOST", 2)
    attempts = Attempts()
    for key in ("a", "b", "c"):
        journal.note("card", key, at=1)
        attempts.count("/", key)

    assert [journal.find("card", key) for key in ("a", "b", "c")] == [None, 1, 1]
    assert [attempts.count("/", key) for key in ("c", "b", "a")] == [2, 2, 1]


def test_trouble_is_the_same_for_the_same_attempt_and_as_frequent_as_announced() -> None:
    keys = [f"event {number}" for number in range(4_000)]
    first = Counter(trouble(SHOP, key, 1) for key in keys)
    lasting = [key for key in keys if all(trouble(SHOP, key, attempt) for attempt in range(1, 6))]
    silent = Counter(trouble(SILENT, key, 1) for key in keys)

    assert [trouble(SHOP, key, 1) for key in keys] == [trouble(SHOP, key, 1) for key in keys]
    assert set(first) == {None, Answer(500), Answer(503)}
    assert 0.13 < 1 - first[None] / len(keys) < 0.19
    assert 0.005 < len(lasting) / len(keys) < 0.02
    # Sent again by hand, nearly all are taken.
    assert sum(trouble(SHOP, key, len(TROUBLED_SCHEDULE_S) + 2) is None for key in lasting) > 0.6 * len(lasting)
    assert set(silent) == {None, SILENT_ANSWER}
    assert 0.12 < silent[SILENT_ANSWER] / len(keys) < 0.18
    assert not any(trouble("/bramble/everything", key, 1) for key in keys)


def test_the_silent_answer_is_a_success_without_the_confirmation() -> None:
    assert SILENT_ANSWER.status == 200
    assert not SILENT_ANSWER.body.startswith(b"OK")


def read_plain(known: Known, headers: Any, body: bytes, now: float) -> Reading:
    """A reader that takes the body for the key, as long as it is in lower case."""
    if body == b"away":
        raise ConnectionRefusedError
    return Reading(Verdict.GOOD, body.decode("ascii")) if body.islower() else Reading(Verdict.BAD)


@pytest.fixture
def receiver(tally: Tally) -> Iterator[DemoReceiver]:
    made = DemoReceiver(port=0, tally=tally, readers={"default": card.read, "paysera": read_plain})
    made.check_with(
        {
            SHOP: Known("card", "default", SECRET),
            "/calm": Known("card", "default", SECRET),
            SILENT: Known("paysera", "paysera"),
            "/odd": Known("card", "stripe"),
        }
    )
    made.start()
    yield made
    made.end()


def post(receiver: DemoReceiver, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def post_card(receiver: DemoReceiver, path: str, id_: str, *, secret: str = SECRET) -> int:
    body, at = json.dumps({"id": id_, "updatedAt": "now"}), datetime.now(UTC)
    headers = {
        "X-Webhook-Event": "card_state",
        "X-Webhook-Signature": hmac.new(secret.encode(), body.encode(), "sha256").hexdigest(),
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, at, body),
    }
    return post(receiver, path, body.encode(), headers)[0]


def test_the_receiver_verifies_and_only_the_troubled_endpoint_fails(
    receiver: DemoReceiver, journal: Journal, tally: Tally
) -> None:
    ids = [f"c{number}" for number in range(60)]
    keys = {id_: f"card_state {id_} now" for id_ in ids}
    for key in keys.values():
        journal.note("card", key, at=now_s())

    assert {post_card(receiver, "/calm", id_) for id_ in ids[:10]} == {200}
    expected = [(trouble(SHOP, keys[id_], 1) or Answer(200)).status for id_ in ids]
    assert [post_card(receiver, SHOP, id_) for id_ in ids] == expected
    assert post_card(receiver, "/calm", ids[0], secret=OTHER_SECRET) == 401
    seen = tally.read(now=now_s())["card"]

    failed = sum(status != 200 for status in expected)
    assert failed > 0
    assert (seen.verified, seen.refused, seen.bad_signatures) == (10 + 60 - failed, failed, 1)


def test_paysera_is_answered_ok_but_not_always(receiver: DemoReceiver, journal: Journal, tally: Tally) -> None:
    silent = next(
        key for key in map("{}a".format, range(100)) if trouble(SILENT, key, 1) and not trouble(SILENT, key, 2)
    )
    calm = next(key for key in map("{}a".format, range(100)) if not trouble(SILENT, key, 1))
    for key in (silent, calm):
        journal.note("paysera", key, at=now_s())

    assert post(receiver, SILENT, calm.encode()) == (200, b"OK")
    assert post(receiver, SILENT, silent.encode()) == (200, SILENT_ANSWER.body)
    assert post(receiver, SILENT, silent.encode()) == (200, b"OK")
    seen = tally.read(now=now_s())["paysera"]
    assert (seen.verified, seen.verified_after_retry, seen.retried, seen.refused) == (2, 1, 1, 1)


def test_what_cannot_be_read_is_refused_or_taken_unverified(receiver: DemoReceiver, tally: Tally) -> None:
    assert post(receiver, SILENT, b"SHOUTED")[0] == 401
    assert post(receiver, SILENT, b"\xff")[0] == 401
    assert post(receiver, SILENT, b"away")[0] == 503
    assert post(receiver, "/odd", b"{}") == (200, b"")
    assert post(receiver, "/nowhere", b"{}")[0] == 404
    seen = tally.read(now=now_s())

    assert (seen["paysera"].bad_signatures, seen["paysera"].verified, seen["card"].unverified) == (2, 0, 1)


def test_a_rotated_secret_is_taken_up(receiver: DemoReceiver) -> None:
    receiver.check_with({"/calm": Known("card", "default", OTHER_SECRET)})

    assert post_card(receiver, "/calm", "c1") == 401
    assert post_card(receiver, "/calm", "c1", secret=OTHER_SECRET) == 200


@pytest.fixture
def owner(make_merchant: Callable[..., Merchant]) -> Merchant:
    return make_merchant("alice")


@pytest.fixture
def owe(owner: Merchant, make_endpoint: Callable[..., Endpoint]) -> Callable[..., UUID]:
    endpoint = make_endpoint(owner)

    def make(status: str, at: datetime) -> UUID:
        row = Delivery.objects.create(
            id=id_at(at),
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


def test_the_ledger_follows_each_delivery_to_its_end(owner: Merchant, owe: Callable[..., UUID], now: datetime) -> None:
    def owners(**counts: int) -> Counter[tuple[UUID, str]]:
        return Counter({(owner.id, status): count for status, count in counts.items()})

    owe("delivered", now - timedelta(seconds=1))
    ledger = Ledger(since=now)
    quick, slow, held = owe("delivered", now), owe("pending", now), owe("held", now)
    owe("failed", now)
    later = now + OVERLAP + timedelta(minutes=1)

    expected = owners(delivered=1, pending=1, held=1, failed=1)
    assert ledger.look(now=now) == expected
    assert ledger.look(now=later) == expected
    finish(slow, "delivered", later)
    finish(held, "cancelled", later)
    owe("pending", later)

    assert ledger.look(now=later) == owners(delivered=2, pending=1, cancelled=1, failed=1)
    # Counted for good: it may be deleted by retention meanwhile.
    Delivery.objects.filter(id=quick).delete()
    assert ledger.look(now=later) == owners(delivered=2, pending=1, cancelled=1, failed=1)


def test_the_ledger_sees_what_commits_late(owner: Merchant, owe: Callable[..., UUID], now: datetime) -> None:
    ledger = Ledger(since=now)
    owe("delivered", now + timedelta(seconds=2))
    ledger.look(now=now + timedelta(seconds=2))
    owe("delivered", now + timedelta(seconds=1))

    assert ledger.look(now=now + timedelta(seconds=4)) == Counter({(owner.id, "delivered"): 2})


def test_the_ledger_reads_no_more_than_it_may(
    owner: Merchant, owe: Callable[..., UUID], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "ROWS_MOST", 4)
    for number in range(10):
        owe("delivered", now + timedelta(seconds=number))
    ledger = Ledger(since=now)
    later = now + timedelta(minutes=1)

    assert [ledger.look(now=later)[owner.id, "delivered"] for _ in range(4)] == [4, 7, 10, 10]


def test_a_look_is_one_statement(
    owe: Callable[..., UUID], now: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ledger = Ledger(since=now)
    owe("pending", now)
    ledger.look(now=now + timedelta(minutes=1))

    with django_assert_num_queries(1):
        ledger.look(now=now + timedelta(minutes=1))


def figures(letters: Letters = NO_LETTERS, **seen: Any) -> Figures:
    counted = Seen(**seen)
    return Figures(
        {"paysera": Published(events=1_204, deliveries=2_410), "card": Published(errors=1, trouble="500 Oops")},
        {"paysera": {"delivered": 2_400, "pending": 10}, "card": {"failed": 1}},
        {"paysera": counted, "": counted},
        letters,
    )


def test_a_line_for_each_system_and_one_for_all() -> None:
    shown = figures(verified=2_400, verified_after_retry=35, retried=41, p50_ms=4.4, p95_ms=9.6).lines()
    calm = "published  1,204  delivered  2,400  verified  2,400 (35 after a retry)  retried 41"

    assert shown[0] == f"Paysera        {calm}  failed 0  pending 10  p50 4 ms  p95 10 ms"
    assert [line.split("  ")[0].strip() for line in shown] == [
        *("Paysera", "Paysafe", "Paisr", "Gateway", "Card platform", "All", "500 Oops")
    ]
    assert shown[5] == f"All            {calm}  failed 1  pending 10  publish errors 1  p50 4 ms  p95 10 ms"


def test_what_should_not_happen_is_shown_when_it_does_and_at_the_end() -> None:
    assert "bad signatures" not in figures().total().line()
    assert figures(bad_signatures=3).total().line().endswith("pending 10  bad signatures 3  publish errors 1")
    assert "unverified 0  bad signatures 0  publish errors 1" in figures().total().line(is_last=True)
    last = figures().last_lines()
    assert (len(last), last[0].split()[0], last[-1].split("  ")[0]) == (6, "Paysera", "demo ended: All")


def test_the_table_is_aligned() -> None:
    table = figures(verified=2_400, p50_ms=4.4, p95_ms=1_009.6).table()

    head = "published delivered verified e-mails SMS retried failed pending bad p50 p95"
    assert table[0].split() == head.split()
    first = "Paysera 1,204 2,400 2,400 0 0 0 0 10 0 4 ms 1010 ms"
    assert table[1].split() == first.split()
    assert len({line.rstrip().rfind("ms") for line in (table[1], table[6])}) == 1
    assert all(len(line) <= 120 for line in table)
    assert (len(table), table[-1]) == (8, "500 Oops")


def test_letters_are_paysera_s() -> None:
    shown = figures(Letters(emails=12, sms=9), verified=3)

    assert "e-mails 12  SMS 9" in shown.lines()[0]
    assert ["e-mails" in line for line in shown.lines()] == [True, False, False, False, False, True, False]
    assert shown.table()[1].split()[3:6] == ["3", "12", "9"]
    systems = shown.summary()["systems"]
    assert [systems[name]["emails"] for name in systems] == [12, 0, 0, 0, 0]


def test_the_summary_has_every_system_and_the_total() -> None:
    summary = figures(verified=7).summary()

    assert list(summary) == ["systems", "total"]
    assert list(summary["systems"]) == ["paysera", "paysafe", "paisr", "gateway", "card"]
    assert summary["systems"]["paysera"]["published"] == summary["total"]["published"] == 1_204
    assert (summary["total"]["publish_errors"], summary["total"]["failed"], summary["total"]["verified"]) == (1, 1, 7)
    assert summary["systems"]["paisr"]["verified"] == 0


class Console(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_table_in_place_and_a_pipe_line_after_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    console, pipe = Console(), io.StringIO()
    for out in (console, pipe):
        screen = Screen(out)
        screen.show(figures())
        screen.show(figures())
        screen.say("done")
        screen.say("gone")

    table = "".join(f"{line[:39]}\n" for line in figures().table())
    assert console.getvalue() == f"{table}\x1b[8F\x1b[J{table}\x1b[8F\x1b[Jdone\ngone\n"
    lines = "".join(f"{line}\n" for line in figures().lines())
    assert pipe.getvalue() == f"{lines}{lines}done\ngone\n"
