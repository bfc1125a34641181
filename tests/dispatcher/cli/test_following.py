"""What `events tail` shows at each look: everything once, in each of its states, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dispatcher.cli.following import UNCHANGED_MOST, WINDOW, Follower
from dispatcher.client.results import LogRow

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Log:
    """A log that grows, newest first, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.rows: list[LogRow] = []
        self.asked: list[datetime | None] = []
        self.read = 0

    def add(self, name: str, *, at_s: float, status: str = "pending", attempts: int = 0) -> None:
        row: dict[str, Any] = {
            "id": f"evt_{name}",
            "delivery_id": name,
            "endpoint_id": "ep_1",
            "event_type": "a",
            "account": None,
            "delivery_status": status,
            "delivery_attempts": attempts,
            "delivery_response_code": None,
            "delivery_error": None,
            "next_attempt_at": None,
            "payload": {},
            "created_at": START,
        }
        made = msgspec.json.decode(
            msgspec.json.encode({**row, "created_at": START + timedelta(seconds=at_s)}), type=LogRow
        )
        others = [one for one in self.rows if one.delivery_id != name]
        self.rows = sorted([*others, made], key=lambda one: (one.created_at, one.delivery_id), reverse=True)

    def __call__(self, since: datetime | None) -> Iterator[LogRow]:
        self.asked.append(since)
        for row in self.rows:
            if since is None or row.created_at >= since:
                self.read += 1
                yield row


def names(rows: list[LogRow]) -> list[str]:
    return [row.delivery_id for row in rows]


def test_it_begins_with_the_last_ones_in_their_order_and_goes_on_with_new_ones() -> None:
    log = Log()
    for second in range(5):
        log.add(f"d{second}", at_s=second)
    follower = Follower(log)

    assert names(follower.begin(2)) == ["d3", "d4"]
    assert follower.look() == []
    log.add("d5", at_s=5)
    log.add("d6", at_s=6)
    assert names(follower.look()) == ["d5", "d6"]
    assert follower.look() == []


def test_with_none_to_begin_with_it_shows_only_what_is_new() -> None:
    log = Log()
    log.add("d0", at_s=0)
    follower = Follower(log)

    assert follower.begin(0) == []
    assert follower.look() == []
    log.add("d1", at_s=1)
    assert names(follower.look()) == ["d1"]


def test_an_empty_log_is_followed_from_its_first_row() -> None:
    log = Log()
    follower = Follower(log)

    assert (follower.begin(10), follower.look()) == ([], [])
    log.add("d0", at_s=0)
    assert names(follower.look()) == ["d0"]
    assert follower.look() == []


def test_each_state_is_shown_once() -> None:
    log = Log()
    log.add("d0", at_s=0)
    follower = Follower(log)
    follower.begin(1)

    log.add("d0", at_s=0, attempts=1)
    assert [row.delivery_attempts for row in follower.look()] == [1]
    log.add("d0", at_s=0, attempts=2, status="delivered")
    assert [row.delivery_status for row in follower.look()] == ["delivered"]
    assert follower.look() == []


def test_what_was_committed_late_is_not_missed() -> None:
    log = Log()
    log.add("d9", at_s=30)
    follower = Follower(log)
    follower.begin(1)

    log.add("d1", at_s=10)

    assert names(follower.look()) == ["d1"]


def test_no_look_reads_or_remembers_more_than_its_window() -> None:
    log = Log()
    follower = Follower(log)
    follower.begin(1)
    for second in range(0, 600, 10):
        log.add(f"d{second}", at_s=second)
        follower.look()

    assert log.asked[-1] == START + timedelta(seconds=580) - WINDOW
    assert len(follower._seen) == 7


def test_a_busy_log_is_not_read_whole_at_each_look() -> None:
    log = Log()
    for number in range(3 * UNCHANGED_MOST):
        log.add(f"d{number:04}", at_s=number / 1000)
    follower = Follower(log)
    follower.begin(1)
    log.read = 0

    log.add("new", at_s=10)
    assert names(follower.look()) == ["new"]

    assert log.read == UNCHANGED_MOST + 1
