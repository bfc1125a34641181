"""Ids for rows of the past."""

from datetime import datetime
from uuid import UUID

from dispatcher.ids import first_id, new_id

BELOW_TIME = (1 << 80) - 1


def id_at(moment: datetime) -> UUID:
    """A fresh id as a host makes it whose clock says so."""
    return UUID(int=first_id(moment).int | new_id().int & BELOW_TIME)
