"""How far work is that goes through a log by its ids."""

from datetime import datetime
from uuid import UUID

from dispatcher.ids import time_of

NEARLY = 0.999
# Work that is not over does not say that it is.


def within(cursor: UUID | None, *, since: datetime, until: datetime) -> float:
    """From 0 to NEARLY: how much of a window of time lies behind the cursor."""
    if cursor is None:
        return 0.0
    if until <= since:
        return NEARLY
    return min(NEARLY, max(0.0, (time_of(cursor) - since) / (until - since)))
