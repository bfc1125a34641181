"""Everything that happens to a merchant's members."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from subscriptions.errors import FieldError, Invalid, NotFound
from subscriptions.models import Membership, Merchant
from subscriptions.services import audit, shapes
from subscriptions.services.conflicts import refuse_duplicate
from subscriptions.services.locks import lock_merchant
from subscriptions.services.shapes import Shape

CHANGES: Shape = {"role": shapes.choice(Membership.Role.values)}


@transaction.atomic
def add(*, merchant: Merchant, user: User, data: Mapping[str, Any], now: datetime, actor: str) -> Membership:
    """The user becomes a member with the `role` in `data`. Raises Invalid, NotFound for a merchant that was deleted,
    or Conflict for one who is a member already."""
    values = _check(data)
    if not user.is_active:
        raise Invalid(FieldError("/user", "inactive_user", "This user is switched off."))
    lock_merchant(merchant.id)
    member = Membership(user=user, merchant=merchant, created_at=now, updated_at=now, **values)
    with refuse_duplicate("membership_unique", "This user is a member already.", code="is_member"):
        member.save(force_insert=True)
    _note(member, "member.added", now=now, actor=actor)
    return member


@transaction.atomic
def change(*, merchant: Merchant, member_id: UUID, data: Mapping[str, Any], now: datetime, actor: str) -> Membership:
    """Another role. Raises Invalid, or NotFound, also for another merchant's."""
    values = _check(data)
    member = _lock(merchant, member_id)
    member.role, member.updated_at = values["role"], now
    member.save()
    _note(member, "member.changed", now=now, actor=actor)
    return member


@transaction.atomic
def remove(*, merchant: Merchant, member_id: UUID, now: datetime, actor: str) -> None:
    """Raises NotFound, also for another merchant's."""
    member = _lock(merchant, member_id)
    _note(member, "member.removed", now=now, actor=actor)
    member.delete()


def _lock(merchant: Merchant, member_id: UUID) -> Membership:
    rows = Membership.objects.select_for_update(no_key=True)
    member = rows.filter(id=member_id, merchant=merchant).first()
    if member is None:
        raise NotFound("There is no such member.")
    return member


def _check(data: Mapping[str, Any]) -> dict[str, Any]:
    values, faults = shapes.read(data, CHANGES, required=("role",))
    if faults:
        raise Invalid(*faults)
    return values


def _note(member: Membership, action: str, *, now: datetime, actor: str) -> None:
    audit.note(
        actor=actor,
        action=action,
        target=member.public_id,
        merchant_id=member.merchant_id,
        detail={"user": member.user_id, "role": member.role},
        now=now,
    )
