"""Everything that happens to a merchant's members."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.models import Membership, Merchant
from subscriptions.services import audit, bell, shapes
from subscriptions.services.conflicts import refuse_duplicate
from subscriptions.services.endpoint_addresses import check_email, recipient
from subscriptions.services.endpoint_channels import missing
from subscriptions.services.locks import lock_merchant
from subscriptions.services.shapes import Shape

MOST_MEMBERS = 200
# Of one merchant: a team with its agencies. Whoever may add members may also have mails sent.
USER_NAME_LENGTH = 150
LAST_OWNER = "This is the last owner. Make somebody else an owner first."


def check_address(value: Any) -> str:
    """A bare e-mail address, its domain in lower case. Raises Wrong."""
    try:
        return recipient(check_email(value).url)
    except shapes.Wrong:
        raise shapes.wrong("invalid_address", "This must be one e-mail address, such as ann@shop.example.") from None


CHANGES: Shape = {"role": shapes.choice(Membership.Role.values)}
ADDED: Shape = {
    "email": shapes.described(check_address, {"type": "string", "format": "email", "maxLength": 254}),
    **CHANGES,
}


@dataclass(frozen=True, slots=True)
class Added:
    """A new member, and whether a mail asks them to choose a password."""

    member: Membership
    is_invited: bool


@transaction.atomic
def add(*, merchant: Merchant, user: User, data: Mapping[str, Any], now: datetime, actor: str) -> Membership:
    """The user becomes a member with the `role` in `data`. Raises Invalid, NotFound for a merchant that was deleted,
    or Conflict for one who is a member already."""
    values = _check(data, CHANGES)
    lock_merchant(merchant.id)
    return _join(merchant, user, values["role"], now=now, actor=actor)


@transaction.atomic
def add_by_email(*, merchant: Merchant, data: Mapping[str, Any], now: datetime, actor: str) -> Added:
    """Whoever has the `email` becomes a member with the `role`. For an address that nobody has a user is made, who
    chooses a password by the link that is mailed after the commit.

    Raises Invalid, NotFound for a merchant that was deleted, or Conflict: a member already, too many of them, or
    somebody new while no mail can be sent.
    """
    values = _check(data, ADDED)
    lock_merchant(merchant.id)
    if Membership.objects.filter(merchant=merchant).count() >= MOST_MEMBERS:
        raise Conflict(f"A merchant has at most {MOST_MEMBERS} members.", code="too_many_members")
    user = _find_user(values["email"])
    if user is None and missing("email"):
        raise Conflict("Nobody here has this address, and no mail can be sent to it.", code="channel_unavailable")
    member = _join(merchant, user or _make_user(values["email"]), values["role"], now=now, actor=actor)
    is_invited = not member.user.has_usable_password() and not missing("email")
    if is_invited:
        bell.ring_for_invitation(member.id)
    return Added(member, is_invited)


@transaction.atomic
def invite_again(*, merchant: Merchant, member_id: UUID, now: datetime, actor: str) -> Membership:
    """Another mail to somebody who has not chosen a password yet. Raises NotFound, or Conflict for one who has."""
    member = _lock(merchant, member_id)
    if member.user.has_usable_password():
        raise Conflict("This person has a password already.", code="has_password")
    if missing("email"):
        raise Conflict(missing("email"), code="channel_unavailable")
    bell.ring_for_invitation(member.id)
    _note(member, "member.invited", now=now, actor=actor)
    return member


@transaction.atomic
def change(*, merchant: Merchant, member_id: UUID, data: Mapping[str, Any], now: datetime, actor: str) -> Membership:
    """Another role. Raises Invalid, NotFound, also for another merchant's, or Conflict for the last owner."""
    values = _check(data, CHANGES)
    member = _lock(merchant, member_id)
    if values["role"] != Membership.Role.OWNER:
        _keep_an_owner(member)
    member.role, member.updated_at = values["role"], now
    member.save()
    _note(member, "member.changed", now=now, actor=actor)
    return member


@transaction.atomic
def remove(*, merchant: Merchant, member_id: UUID, now: datetime, actor: str) -> None:
    """Raises NotFound, also for another merchant's, or Conflict for the last owner."""
    member = _lock(merchant, member_id)
    _keep_an_owner(member)
    _note(member, "member.removed", now=now, actor=actor)
    member.delete()


def _lock(merchant: Merchant, member_id: UUID) -> Membership:
    """The merchant's lock with it: of two owners who demote each other, the second sees what the first did."""
    lock_merchant(merchant.id)
    rows = Membership.objects.select_for_update(no_key=True, of=("self",)).select_related("user")
    member = rows.filter(id=member_id, merchant=merchant).first()
    if member is None:
        raise NotFound("There is no such member.")
    return member


def _keep_an_owner(leaving: Membership) -> None:
    """Somebody must be able to let others in. One who is switched off cannot, so may go."""
    if leaving.role != Membership.Role.OWNER or not leaving.user.is_active:
        return
    owners = Membership.objects.filter(merchant_id=leaving.merchant_id, role=Membership.Role.OWNER)
    if not owners.filter(user__is_active=True).exclude(id=leaving.id).exists():
        raise Conflict(LAST_OWNER, code="last_owner")


def _join(merchant: Merchant, user: User, role: str, *, now: datetime, actor: str) -> Membership:
    if not user.is_active:
        raise Invalid(FieldError("/user", "inactive_user", "This user is switched off."))
    member = Membership(user=user, merchant=merchant, role=role, created_at=now, updated_at=now)
    with refuse_duplicate("membership_unique", "This user is a member already.", code="is_member"):
        member.save(force_insert=True)
    _note(member, "member.added", now=now, actor=actor)
    return member


def _find_user(email: str) -> User | None:
    """Raises Invalid when the address does not tell who is meant."""
    found = list(User.objects.filter(email__iexact=email).order_by("-is_active", "id")[:2])
    if len(found) > 1 and found[1].is_active:
        message = "Several users have this address. Ask the provider to add the right one."
        raise Invalid(FieldError("/email", "ambiguous", message))
    return found[0] if found else None


def _make_user(email: str) -> User:
    """Nobody can log in as this user until a password is chosen. The name is the address, if it is free."""
    name = email.lower()[:USER_NAME_LENGTH]
    try:
        with transaction.atomic():
            return User.objects.create_user(name, email)
    except IntegrityError:
        # Taken by somebody with another address, or a moment ago by the same invitation of another merchant.
        taken = _find_user(email)
        suffix = secrets.token_hex(4)
        return taken or User.objects.create_user(f"{name[: USER_NAME_LENGTH - 9]}-{suffix}", email)


def _check(data: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    values, faults = shapes.read(data, shape, required=tuple(shape))
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
