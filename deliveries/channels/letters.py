"""What a back end is given to carry: one e-mail or SMS, whole, and how the log shows it."""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from dispatcher.outcomes import Outcome

SOCKET_SHARE = 0.8
# Of an attempt's time, for one step of a back end: a server that hangs is then told apart by the step it hangs in,
# before the deadline ends the attempt without a word.


@dataclass(frozen=True, slots=True)
class Letter:
    """`carry` blocks until the letter was taken or refused. `log_headers` has one `Name: value` a line (CRLF)."""

    log_headers: str
    text: str
    carry: Callable[[], Outcome]


def header_block(pairs: list[tuple[str, str]]) -> str:
    return "\r\n".join(f"{name}: {' '.join(value.split())}" for name, value in pairs)


def patience_s() -> float:
    """How long a back end may wait for one answer."""
    share: float = settings.DELIVERY_TIMEOUT * SOCKET_SHARE
    return share
