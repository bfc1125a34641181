"""Retry: the decision after an attempt, as a table and as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.environment import DEFAULT_RETRY_SCHEDULE
from dispatcher.outcomes import UNCOUNTED, Outcome, Reason
from dispatcher.retry import AT_ONCE, DEFAULT_SCHEDULE, DELIVERED, FAILED, GONE, HELD, Decision, decide, parse_http_date

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SERVER_ERROR = Outcome(Reason.HTTP_SERVER_ERROR, status=500)
OURS = Outcome(Reason.INTERNAL_ERROR)
COUNTED_FAILURES = sorted(set(Reason) - UNCOUNTED - {Reason.DELIVERED, Reason.HTTP_GONE, Reason.RECIPIENT_REFUSED})


def after(
    outcome: Outcome,
    *,
    counted: int = 0,
    made: int | None = None,
    schedule: tuple[int, ...] = DEFAULT_SCHEDULE,
    jitter: float = 0.0,
    stop_statuses: frozenset[int] = frozenset(),
) -> Decision:
    return decide(
        outcome,
        attempts_counted=counted,
        attempts_made=counted if made is None else made,
        schedule=schedule,
        now=NOW,
        jitter=jitter,
        stop_statuses=stop_statuses,
    )


def asking(retry_after: str, *, status: int = 503, name: str = "Retry-After") -> Outcome:
    reason = Reason.HTTP_RATE_LIMITED if status == 429 else Reason.HTTP_SERVER_ERROR
    return Outcome(reason, status=status, headers=f"Server: x\r\n{name}: {retry_after}\r\nContent-Length: 0\r\n")


def pending(wait_s: float) -> Decision:
    return Decision("pending", wait_s, is_counted=True)


def test_the_default_schedule_is_ten_attempts_over_about_28_hours() -> None:
    assert tuple(min(10 * 4**n, 8 * 3600) for n in range(9)) == DEFAULT_SCHEDULE
    assert DEFAULT_SCHEDULE == DEFAULT_RETRY_SCHEDULE
    assert 27 < sum(DEFAULT_SCHEDULE) / 3600 < 29


def test_received_is_final() -> None:
    assert after(Outcome(Reason.DELIVERED, status=200), counted=3) == DELIVERED
    assert after(Outcome(Reason.DELIVERED, status=200), counted=9, schedule=()) == DELIVERED
    assert (DELIVERED.status, DELIVERED.wait_s, DELIVERED.is_counted, DELIVERED.disable_reason) == (
        "delivered",
        None,
        True,
        "",
    )


@pytest.mark.parametrize("reason", COUNTED_FAILURES)
@pytest.mark.parametrize(("counted", "wait_s"), list(enumerate(DEFAULT_SCHEDULE)))
def test_every_failure_of_the_receiver_waits_as_the_schedule_says(reason: Reason, counted: int, wait_s: int) -> None:
    assert after(Outcome(reason), counted=counted) == pending(wait_s)


@pytest.mark.parametrize("reason", COUNTED_FAILURES)
def test_a_used_up_schedule_is_failed(reason: Reason) -> None:
    assert after(Outcome(reason), counted=9) == FAILED
    assert after(Outcome(reason), counted=10) == FAILED
    assert after(Outcome(reason), counted=0, schedule=()) == FAILED
    assert (FAILED.status, FAILED.wait_s, FAILED.is_counted, FAILED.disable_reason) == ("failed", None, True, "")


def test_gone_stops_and_disables() -> None:
    decision = after(Outcome(Reason.HTTP_GONE, status=410))
    assert decision == GONE == Decision("failed", None, is_counted=True, disable_reason="http_gone")


def test_a_profile_may_stop_at_more_statuses() -> None:
    refused = Outcome(Reason.HTTP_CLIENT_ERROR, status=401)
    assert after(refused, stop_statuses=frozenset({401})) == FAILED
    assert after(refused) == pending(10)
    assert after(SERVER_ERROR, stop_statuses=frozenset({401})) == pending(10)
    assert after(Outcome(Reason.CONNECT_REFUSED), stop_statuses=frozenset({401})) == pending(10)


@pytest.mark.parametrize(("jitter", "wait_s"), [(-1.0, 144.0), (-0.5, 152.0), (0.0, 160.0), (1.0, 176.0)])
def test_jitter_stretches_a_wait_by_at_most_a_tenth(jitter: float, wait_s: float) -> None:
    assert after(SERVER_ERROR, counted=2, jitter=jitter).wait_s == pytest.approx(wait_s)


@pytest.mark.parametrize("reason", [Reason.INTERRUPTED, Reason.CANCELLED])
def test_what_we_broke_off_goes_again_at_once_and_uses_up_nothing(reason: Reason) -> None:
    assert after(Outcome(reason), counted=9, made=40) == AT_ONCE == Decision("pending", 0.0, is_counted=False)


@pytest.mark.parametrize(("made", "wait_s"), list(enumerate(DEFAULT_SCHEDULE)))
def test_our_own_error_backs_off_by_attempts_made_without_counting(made: int, wait_s: int) -> None:
    assert after(OURS, counted=0, made=made) == Decision("pending", wait_s, is_counted=False)


@pytest.mark.parametrize("made", [9, 10, 50])
def test_our_own_error_is_set_aside_in_the_end(made: int) -> None:
    assert after(OURS, counted=0, made=made) == HELD == Decision("held", None, is_counted=False)


def test_our_own_error_with_an_empty_schedule_is_set_aside_at_once() -> None:
    assert after(OURS, schedule=()) == HELD


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("60", 60),
        ("0060", 60),
        ("3", 10),
        ("0", 10),
        ("28800", 28_800),
        ("28801", 28_800),
        ("999999999", 28_800),
        (" \t60\t ", 60),
        ("1000000000", 10),
        ("-60", 10),
        ("+60", 10),
        ("60.5", 10),
        ("6e1", 10),
        ("60 s", 10),
        ("60, 90", 10),
        ("٦٠", 10),
        ("", 10),
        ("soon", 10),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun Mar  1 12:02:00 2026", 120),
        ("Sun Mar 01 12:02:00 2026", 120),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 10),
        ("Sun, 01 Mar 2076 12:00:00 GMT", 28_800),
        ("Sun, 01 Mar 2026 12:02:00 UTC", 10),
        ("Sun, 01 Mar 2026 12:02:00 +0000", 10),
        ("Sun, 1 Mar 2026 12:02:00 GMT", 10),
        ("sun, 01 mar 2026 12:02:00 gmt", 10),
        ("2026-03-01T12:02:00Z", 10),
        ("Sun, 31 Feb 2026 12:02:00 GMT", 10),
        ("Sun, 01 Mar 2026 25:02:00 GMT", 10),
        ("Sun, 01 Mar 0000 12:02:00 GMT", 10),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_lengthens_a_wait_within_the_longest_step(value: str, wait_s: int, status: int) -> None:
    assert after(asking(value, status=status)) == pending(wait_s)


def test_retry_after_never_shortens_a_wait() -> None:
    assert after(asking("60"), counted=4) == pending(2560)


def test_retry_after_cannot_outlast_an_own_schedule() -> None:
    assert after(asking("9999"), schedule=(5, 30, 20)) == pending(30)


def test_retry_after_cannot_revive_a_used_up_schedule() -> None:
    assert after(asking("60"), counted=9) == FAILED


@pytest.mark.parametrize("status", [500, 502, 504, 404, 301])
def test_retry_after_counts_on_429_and_503_only(status: int) -> None:
    assert after(asking("60", status=status)) == pending(10)


@pytest.mark.parametrize("name", ["retry-after", "RETRY-AFTER", "Retry-After"])
def test_the_case_of_the_header_does_not_matter(name: str) -> None:
    assert after(asking("60", name=name)) == pending(60)


def test_only_a_header_of_that_very_name_is_read() -> None:
    assert after(asking("60", name="X-Retry-After")) == pending(10)
    assert after(asking("60", name="Retry-After ")) == pending(10)


def test_the_first_of_several_headers_counts() -> None:
    outcome = Outcome(
        Reason.HTTP_SERVER_ERROR, status=503, headers="Retry-After: 60\r\nRetry-After: 90\r\nX: Retry-After: 5\r\n"
    )
    assert after(outcome) == pending(60)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun Nov  6 08:49:37 1994", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Thursday, 01-Jan-76 00:00:00 GMT", datetime(2076, 1, 1, tzinfo=UTC)),
        ("Friday, 01-Jan-77 00:00:00 GMT", datetime(1977, 1, 1, tzinfo=UTC)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_the_three_forms_of_an_http_date(text: str, moment: datetime) -> None:
    assert parse_http_date(text, now=NOW) == moment


schedules = st.lists(st.integers(1, 86_400), min_size=1, max_size=20)
jitters = st.floats(-1, 1)
header_values = st.one_of(
    st.integers(0, 10**10).map(str),
    st.integers(-(10**6), 10**6).map(
        lambda seconds: (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    ),
    st.text(max_size=40),
)


@given(schedules, jitters, header_values, st.sampled_from([429, 500, 503]), st.data())
def test_waits_stay_between_schedule_and_longest_step(
    schedule: list[int], jitter: float, value: str, status: int, data: st.DataObject
) -> None:
    counted = data.draw(st.integers(0, len(schedule) - 1))
    decision = after(asking(value, status=status), counted=counted, schedule=tuple(schedule), jitter=jitter)
    assert decision.status == "pending"
    assert decision.is_counted
    assert decision.wait_s is not None
    assert schedule[counted] * 0.9 <= decision.wait_s <= max(schedule) * (1.1 + 1e-9)


@given(st.sampled_from(Reason), st.lists(st.integers(1, 86_400), max_size=20), st.integers(0, 99), st.integers(0, 99))
def test_a_wait_exists_exactly_for_what_is_pending(
    reason: Reason, schedule: list[int], counted: int, ours: int
) -> None:
    decision = after(Outcome(reason), counted=counted, made=counted + ours, schedule=tuple(schedule))
    assert (decision.wait_s is not None) == (decision.status == "pending")
    assert decision.is_counted == (reason not in UNCOUNTED)
    assert (decision.status == "delivered") == (reason is Reason.DELIVERED)
    assert (decision.disable_reason == "http_gone") == (reason is Reason.HTTP_GONE)


@given(st.lists(st.integers(1, 86_400), max_size=20), st.sampled_from(COUNTED_FAILURES))
def test_a_failing_receiver_sees_one_attempt_more_than_the_schedule_has_waits(
    schedule: list[int], reason: Reason
) -> None:
    counted = 0
    while after(Outcome(reason), counted=counted, schedule=tuple(schedule)).status == "pending":
        counted += 1
    assert counted + 1 == len(schedule) + 1
