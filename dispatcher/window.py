"""How many requests a lane may have in flight: grows while its receiver answers, falls when it times out.

As TCP's slow start and multiplicative decrease (RFC 5681), with answers for acknowledgements and timeouts for losses.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dispatcher.outcomes import TIMEOUTS, Reason

INITIAL_SIZE = 4
# Requests. Few enough that a dead newcomer holds four sockets, and 4 → 50 takes four answered rounds.

LIMITED = frozenset({Reason.HTTP_RATE_LIMITED})
# The receiver is alive and asks for less: no reason to send it more at once.

ANSWERED = frozenset(
    {
        Reason.DELIVERED,
        Reason.ACK_MISSING,
        Reason.HTTP_REDIRECT,
        Reason.HTTP_CLIENT_ERROR,
        Reason.HTTP_GONE,
        Reason.HTTP_SERVER_ERROR,
        Reason.HTTP_UNEXPECTED_STATUS,
    }
)
# An error is an answer too: it freed its socket, and that is what the window is about.


@dataclass(frozen=True, slots=True)
class Window:
    """`size` is what may be in flight now; `is_suspect` that the receiver timed out last and has not answered since."""

    size: int = INITIAL_SIZE
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """What a group of finished requests says about the receiver. Quick network failures say nothing: left out."""

    answered: int = 0
    limited: int = 0
    timeouts: int = 0


INITIAL = Window()


def tally(reasons: Iterable[Reason]) -> Tally:
    """Count the outcomes of a group by what they mean for the window."""
    answered = limited = timeouts = 0
    for reason in reasons:
        if reason in ANSWERED:
            answered += 1
        elif reason in TIMEOUTS:
            timeouts += 1
        elif reason in LIMITED:
            limited += 1
    return Tally(answered, limited, timeouts)


def after(window: Window, group: Tally, *, ceiling: int) -> Window:
    """The window after a group of a lane's requests has finished. `ceiling` is the endpoint's max_in_flight.

    1. Timeouts, and as many as answers or more: the receiver hangs. One request at a time, and suspect.
    2. Fewer timeouts than answers: it lives, but is overloaded or has a slow corner. Half as many at once; one slow
       request among fifty must not cost a healthy lane its throughput.
    3. Answers only: one more for each, which doubles the window with every full round.
    4. Neither (refused, reset, interrupted): such failures hold no socket. As before.
    """
    heard = group.answered + group.limited
    if group.timeouts and group.timeouts >= heard:
        return Window(1, is_suspect=True)
    if group.timeouts:
        return Window(_bounded(window.size // 2, ceiling), is_suspect=False)
    return Window(_bounded(window.size + group.answered, ceiling), window.is_suspect and not heard)


def ceiling_of(*, max_in_flight: int, is_ordered: bool) -> int:
    """The most that an endpoint may ever have in flight: one when its deliveries must arrive in order."""
    return 1 if is_ordered else max_in_flight


def _bounded(size: int, ceiling: int) -> int:
    return max(1, min(size, ceiling))
