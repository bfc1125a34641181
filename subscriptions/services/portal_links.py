"""One-time links into a merchant's portal: made for the provider's own pages, good once and for a while.

A token is 256 random bits and exists only in the link; its SHA-256 is kept.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from subscriptions.errors import Invalid
from subscriptions.models import Membership, Merchant, PortalLink
from subscriptions.services import audit, shapes
from subscriptions.services.locks import lock_merchant
from subscriptions.services.shapes import Shape

TOKEN_BYTES = 32
SHORTEST_S, LONGEST_S = 60, 86_400
DEFAULT_S = 3_600
# Long enough to be mailed and opened, short enough that a forgotten mail opens nothing.
VISIT = timedelta(hours=8)
# A working day: whoever needs longer asks for another link.
ROLE_OF = {PortalLink.Access.FULL: Membership.Role.DEVELOPER, PortalLink.Access.READ_ONLY: Membership.Role.VIEWER}
# Nobody becomes an owner by a link: who belongs to the team is for those with a name.

NEW: Shape = {
    "expires_in": shapes.whole(least=SHORTEST_S, most=LONGEST_S),
    "access": shapes.choice(PortalLink.Access.values),
}
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link just made; the token cannot be shown again."""

    row: PortalLink
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in by a link, as what, and until when."""

    link: PortalLink
    merchant: Merchant
    role: str
    actor: str
    until: datetime


@transaction.atomic
def create(*, merchant: Merchant, data: Mapping[str, Any], now: datetime, actor: str) -> NewLink:
    """A link that is good for `expires_in` seconds. Raises Invalid, or NotFound for a merchant that was deleted."""
    values, faults = shapes.read(data, NEW)
    if faults:
        raise Invalid(*faults)
    lock_merchant(merchant.id)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = PortalLink.objects.create(
        merchant=merchant,
        access=values.get("access", PortalLink.Access.FULL.value),
        digest=_digest(token),
        created_at=now,
        expires_at=now + timedelta(seconds=values.get("expires_in", DEFAULT_S)),
    )
    _note(row, "portal_link.created", now=now, actor=actor)
    return NewLink(row, token)


@transaction.atomic
def redeem(token: str, *, now: datetime) -> Entered | None:
    """What the link opens, to the first who asks. None for one that is used, expired, forged, or of a merchant that
    was deleted: nobody is told which.

    Of many at once the row's own condition lets one through: it is judged again on the row as the first has left it.
    """
    if not _TOKEN.fullmatch(token):
        return None
    digest = _digest(token)
    is_first = PortalLink.objects.filter(digest=digest, used_at=None, expires_at__gt=now).update(used_at=now)
    link = PortalLink.objects.select_related("merchant").filter(digest=digest).first() if is_first else None
    if link is None or link.merchant.deleted_at is not None:
        return None
    actor = f"link:{link.public_id}"
    _note(link, "portal_link.used", now=now, actor=actor)
    return Entered(link, link.merchant, ROLE_OF[PortalLink.Access(link.access)], actor, now + VISIT)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _note(row: PortalLink, action: str, *, now: datetime, actor: str) -> None:
    audit.note(
        actor=actor,
        action=action,
        target=row.public_id,
        merchant_id=row.merchant_id,
        detail={"access": row.access, "expires_at": row.expires_at.isoformat()},
        now=now,
    )
