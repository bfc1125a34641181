"""When the client asks again."""

from datetime import UTC, datetime

import pytest

from dispatcher.client.errors import ApiError, NetworkError, SignetError, UnexpectedAnswer, api_error
from dispatcher.client.retry import NEVER, Retry, read_retry_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RETRY = Retry(budget_s=60, attempts=5, first_wait_s=1, longest_wait_s=8)


def failed(status: int, *, code: str = "", retry_after_s: float | None = None) -> ApiError:
    return api_error(status, f'{{"code": "{code}"}}'.encode(), retry_after_s=retry_after_s)


def wait_s(failure: SignetError, *, is_safe: bool = True, made: int = 1, elapsed_s: float = 0.0) -> float | None:
    return RETRY.wait_s(failure, is_safe=is_safe, attempts_made=made, elapsed_s=elapsed_s, chance=1.0)


@pytest.mark.parametrize(
    ("failure", "if_safe", "otherwise"),
    [
        (failed(429), True, True),
        (failed(503), True, True),
        (failed(409, code="in_progress"), True, True),
        (failed(409, code="idempotency_key_reused"), False, False),
        (failed(502), True, False),
        (failed(504), True, False),
        (failed(500), False, False),
        (failed(400), False, False),
        (failed(401), False, False),
        (failed(404), False, False),
        (failed(422), False, False),
        (NetworkError("reset"), True, False),
        (NetworkError("refused", is_unsent=True), True, True),
        (NetworkError("bad certificate", is_unsent=True, is_lasting=True), False, False),
        (UnexpectedAnswer("a page"), False, False),
    ],
    ids=str,
)
def test_only_what_may_help_and_cannot_be_done_twice_is_repeated(
    failure: SignetError, if_safe: bool, otherwise: bool
) -> None:
    assert (wait_s(failure) is not None) is if_safe
    assert (wait_s(failure, is_safe=False) is not None) is otherwise


def test_the_waits_double_up_to_the_longest_and_end_with_the_attempts() -> None:
    assert [wait_s(failed(503), made=made) for made in range(1, 6)] == [1, 2, 4, 8, None]


def test_callers_that_failed_together_come_back_apart() -> None:
    waits = [
        RETRY.wait_s(failed(503), is_safe=True, attempts_made=2, elapsed_s=0, chance=chance)
        for chance in (0.0, 0.5, 1.0)
    ]

    assert waits == [1.0, 1.5, 2.0]


def test_retry_after_lengthens_a_wait_and_never_shortens_it() -> None:
    assert wait_s(failed(429, retry_after_s=30)) == 30
    assert wait_s(failed(429, retry_after_s=0), made=3) == 4


def test_no_attempt_begins_after_the_budget() -> None:
    assert wait_s(failed(503), elapsed_s=59) == 1
    assert wait_s(failed(503), elapsed_s=59.1) is None
    assert wait_s(failed(429, retry_after_s=61)) is None


def test_never_is_never() -> None:
    assert NEVER.wait_s(failed(503), is_safe=True, attempts_made=1, elapsed_s=0, chance=0) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 40, None),
        ("", None),
        (None, None),
    ],
)
def test_both_forms_of_retry_after_are_read(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, now=NOW) == seconds
