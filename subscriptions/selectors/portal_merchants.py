"""The merchants whose portal somebody may enter."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q

from subscriptions.models import Membership, Merchant

MOST = 50
# On the page; whoever has more searches.


@dataclass(frozen=True, slots=True)
class Entrance:
    """One merchant: the role there (empty without a membership), its endpoints, and those of them that are off."""

    merchant: Merchant
    role: str
    endpoints: int
    off: int


@dataclass(frozen=True, slots=True)
class Entrances:
    """`has_more`: not all that fit are among the rows."""

    rows: Sequence[Entrance]
    has_more: bool


def find(*, user_id: int | None, also: Collection[UUID], text: str) -> Entrances:
    """The user's merchants and those in `also`, by name; with a text those whose name or reference has it."""
    mine = Membership.objects.filter(user_id=user_id, merchant=OuterRef("pk")) if user_id else Membership.objects.none()
    rows = Merchant.objects.filter(Q(Exists(mine)) | Q(id__in=also), deleted_at=None)
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(reference__icontains=text))
    living = Q(endpoints__deleted_at=None)
    counted = rows.annotate(
        living=Count("endpoints", filter=living), off=Count("endpoints", filter=living & Q(endpoints__is_active=False))
    )
    found = list(counted.order_by("name", "id")[: MOST + 1])
    shown = found[:MOST]
    roles = dict(
        Membership.objects.filter(user_id=user_id, merchant__in=shown).values_list("merchant_id", "role")
        if user_id
        else ()
    )
    return Entrances([Entrance(one, roles.get(one.id, ""), one.living, one.off) for one in shown], len(found) > MOST)
