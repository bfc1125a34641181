"""When to ask again: a pure function of what went wrong, how often it was tried and how much time is left."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from dispatcher.client.errors import ApiError, NetworkError, SignetError

IN_PROGRESS = "in_progress"
# 409 with this code: the first request with the same idempotency key is still being worked on.
ASKED_TO_WAIT = frozenset({429, 503})
# Nothing was done, says the API: any request may be repeated.
GATEWAY_TROUBLE = frozenset({502, 504})
# Whether something was done is not known: only what is safe to repeat is repeated.


@dataclass(frozen=True, slots=True)
class Retry:
    """`budget_s` is for one call with all its waits: no attempt begins after it. The waits double from `first_wait_s`
    to `longest_wait_s`; a longer `Retry-After` goes before them."""

    budget_s: float = 60.0
    attempts: int = 8
    first_wait_s: float = 0.25
    longest_wait_s: float = 15.0

    def wait_s(
        self, failure: SignetError, *, is_safe: bool, attempts_made: int, elapsed_s: float, chance: float
    ) -> float | None:
        """Seconds until the next attempt, None for giving up. `is_safe`: doing it twice is doing it once. `chance`,
        from 0 to 1, spreads callers that failed together over the second half of each wait."""
        if attempts_made >= self.attempts or not is_worth_repeating(failure, is_safe=is_safe):
            return None
        own_s = min(self.longest_wait_s, self.first_wait_s * 2 ** (attempts_made - 1)) * (0.5 + chance / 2)
        asked_s = failure.retry_after_s if isinstance(failure, ApiError) else None
        wait_s = max(own_s, asked_s or 0.0)
        return wait_s if elapsed_s + wait_s <= self.budget_s else None


NEVER = Retry(attempts=1)


def is_worth_repeating(failure: SignetError, *, is_safe: bool) -> bool:
    match failure:
        case NetworkError():
            return not failure.is_lasting and (is_safe or failure.is_unsent)
        case ApiError():
            if failure.status in ASKED_TO_WAIT or (failure.status == 409 and failure.code == IN_PROGRESS):
                return True
            return is_safe and failure.status in GATEWAY_TROUBLE
        case _:
            return False


def read_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Seconds from now, in either of the header's two forms; None for neither. Source: RFC 9110, 10.2.3."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
