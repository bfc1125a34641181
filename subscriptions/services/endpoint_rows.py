"""Gives a locked endpoint back with its changes: the next version, and the bell for what is queued for it."""

from datetime import datetime

from subscriptions.models import Endpoint
from subscriptions.services import bell, operations
from subscriptions.services.notices import Failing

PAUSED = "paused"
# The `disabled_reason` of an endpoint that its owner switched off.
DELETED = "deleted"


def save(endpoint: Endpoint, *, now: datetime) -> None:
    """Every change counts as a new version: senders keep what they prepared for one version only."""
    endpoint.version += 1
    endpoint.updated_at = now
    endpoint.save()
    bell.ring([endpoint.id])


def switch(
    endpoint: Endpoint, *, is_active: bool, now: datetime, reason: str = PAUSED, failing: Failing | None = None
) -> None:
    """On or off. One that is off already keeps its reason. Whoever wants to know is told of one that goes off, unless
    it is deleted or only just being made; `failing` is what they are told of its failures."""
    if is_active == endpoint.is_active:
        return
    if not is_active and reason != DELETED and not endpoint._state.adding:  # noqa: SLF001 - documented by Django
        operations.note_disabled(endpoint, reason=reason, failing=failing, now=now)
    endpoint.is_active = is_active
    endpoint.disabled_reason = "" if is_active else reason
    endpoint.disabled_at = None if is_active else now


def close(endpoint: Endpoint, *, reason: str, now: datetime) -> None:
    """Off until the owner of the address says yes, whatever was before."""
    endpoint.verified_at = None
    endpoint.is_active, endpoint.disabled_reason, endpoint.disabled_at = False, reason, now
