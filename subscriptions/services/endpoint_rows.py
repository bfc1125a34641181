"""Gives a locked endpoint back with its changes: the next version, and the bell for what is queued for it."""

from datetime import datetime

from subscriptions.models import Endpoint
from subscriptions.services import bell

PAUSED = "paused"
# The `disabled_reason` of an endpoint that its owner switched off.


def save(endpoint: Endpoint, *, now: datetime) -> None:
    """Every change counts as a new version: senders keep what they prepared for one version only."""
    endpoint.version += 1
    endpoint.updated_at = now
    endpoint.save()
    bell.ring([endpoint.id])


def switch(endpoint: Endpoint, *, is_active: bool, now: datetime, reason: str = PAUSED) -> None:
    """On or off. One that is off already keeps its reason."""
    if is_active == endpoint.is_active:
        return
    endpoint.is_active = is_active
    endpoint.disabled_reason = "" if is_active else reason
    endpoint.disabled_at = None if is_active else now


def close(endpoint: Endpoint, *, reason: str, now: datetime) -> None:
    """Off until the owner of the address says yes, whatever was before."""
    endpoint.verified_at = None
    endpoint.is_active, endpoint.disabled_reason, endpoint.disabled_at = False, reason, now
