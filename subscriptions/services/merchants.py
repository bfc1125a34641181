"""Everything that happens to merchants and their accounts."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from dispatcher.ids import Prefix
from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.models import Account, ApiKey, Endpoint, Membership, Merchant, Rule
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.selectors import merchants as selectors
from subscriptions.services import audit, endpoints, shapes
from subscriptions.services.conflicts import refuse_duplicate
from subscriptions.services.locks import lock_endpoint, lock_merchant, lock_tree
from subscriptions.services.shapes import Shape, wrong

NAME_LENGTH = 255
LONGEST_RETENTION_DAYS = 3650
# As of the setting, which is the limit.


def check_reference(value: Any) -> str:
    """The provider's own name for a merchant. None that could be taken for an id: routes take either."""
    reference: str = shapes.line(most=REFERENCE_LENGTH)(value)
    if reference.startswith(f"{Prefix.MERCHANT}_"):
        raise wrong("reserved_reference", f"A reference must not start with {Prefix.MERCHANT}_, as our ids do.")
    return reference


CHANGES: Shape = {
    "name": shapes.line(most=NAME_LENGTH),
    "reference": shapes.nullable(check_reference),
    "kind": shapes.choice(Merchant.Kind.values),
    "mode": shapes.choice(Merchant.Mode.values),
    "parent": shapes.nullable(shapes.line(most=REFERENCE_LENGTH)),
    "retention_days": shapes.nullable(shapes.whole(least=1, most=LONGEST_RETENTION_DAYS)),
    "hears_all_operations": shapes.boolean,
}


@transaction.atomic
def create(*, data: Mapping[str, Any], now: datetime, actor: str) -> Merchant:
    """A new merchant; `parent` is an id or a reference. Raises Invalid, or Conflict for a reference that is taken."""
    values = _check(data, required=("name",))
    if "parent" in values:
        lock_tree()
    merchant = Merchant(created_at=now, updated_at=now)
    _apply(merchant, values)
    with _unique_reference():
        merchant.save(force_insert=True)
    _note(merchant, "merchant.created", values, now=now, actor=actor)
    return merchant


@transaction.atomic
def update(*, merchant: Merchant, data: Mapping[str, Any], now: datetime, actor: str) -> Merchant:
    """Change the fields in `data`. Raises NotFound, Invalid (a circle of parents included) or Conflict."""
    values = _check(data)
    if "parent" in values:
        lock_tree()  # before the merchant's lock, as everywhere
    row = lock_merchant(merchant.id)
    _apply(row, values)
    row.updated_at = now
    with _unique_reference():
        row.save()
    _note(row, "merchant.updated", values, now=now, actor=actor)
    return row


@transaction.atomic
def delete(*, merchant: Merchant, now: datetime, actor: str) -> None:
    """The row stays, so that the log can name it; endpoints are deleted, keys revoked, members let go, accounts and
    reference freed.

    Raises Conflict while merchants stand below it: theirs to move or delete first.
    """
    lock_tree()
    row = lock_merchant(merchant.id)
    if row.children.filter(deleted_at=None).exists():
        raise Conflict("Merchants stand below this one. Move or delete them first.", code="has_children")
    for endpoint_id in Endpoint.objects.filter(owner=row, deleted_at=None).order_by("id").values_list("id", flat=True):
        endpoints.bury(lock_endpoint(endpoint_id), now=now, actor=actor)
    Rule.objects.filter(owner=row).delete()
    ApiKey.objects.filter(merchant=row, revoked_at=None).update(revoked_at=now)
    Account.objects.filter(merchant=row).delete()
    Membership.objects.filter(merchant=row).delete()
    row.deleted_at = now
    row.updated_at = now
    row.save()
    _note(row, "merchant.deleted", (), now=now, actor=actor)


@transaction.atomic
def put_account(*, merchant: Merchant, reference: str, now: datetime, actor: str) -> tuple[Account, bool]:
    """The account, and whether it is new. Raises Invalid, or Conflict when another merchant has it."""
    try:
        shapes.line(most=REFERENCE_LENGTH)(reference)
    except shapes.Wrong as found:
        raise Invalid(FieldError("/reference", found.faults[0].code, found.faults[0].message)) from None
    lock_merchant(merchant.id)
    account, is_new = Account.objects.get_or_create(
        reference=reference, defaults={"merchant": merchant, "created_at": now}
    )
    if account.merchant_id != merchant.id:
        raise Conflict("This account belongs to another merchant.", code="account_of_another_merchant")
    if is_new:
        _note(merchant, "account.registered", [reference], now=now, actor=actor)
    return account, is_new


@transaction.atomic
def delete_account(*, merchant: Merchant, reference: str, now: datetime, actor: str) -> None:
    """Raises NotFound, also for another merchant's."""
    removed, _ = Account.objects.filter(merchant=merchant, reference=reference).delete()
    if not removed:
        raise NotFound("There is no such account.")
    _note(merchant, "account.removed", [reference], now=now, actor=actor)


def _check(data: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    values, faults = shapes.read(data, CHANGES, required=required)
    days = values.get("retention_days")
    if days is not None and days > settings.RETENTION_DAYS:
        message = f"Nothing is kept for longer than {settings.RETENTION_DAYS} days here."
        faults.append(FieldError("/retention_days", "too_long", message))
    if faults:
        raise Invalid(*faults)
    return values


def _apply(merchant: Merchant, values: Mapping[str, Any]) -> None:
    for name in ("name", "reference", "kind", "mode", "retention_days", "hears_all_operations"):
        if name in values:
            setattr(merchant, name, values[name])
    if "parent" in values:
        merchant.parent = _parent(merchant, values["parent"])


def _parent(merchant: Merchant, named: str | None) -> Merchant | None:
    """The living merchant that is named, unless it stands below (or is) the one that is to stand below it."""
    if named is None:
        return None
    parent = selectors.find(named)
    if parent is None:
        raise Invalid(FieldError("/parent", "unknown_merchant", "There is no such merchant."))
    if merchant.id in selectors.chain_ids(parent):
        raise Invalid(FieldError("/parent", "circle", "A merchant cannot stand below itself."))
    return parent


def _unique_reference() -> AbstractContextManager[None]:
    detail = "Another merchant has this reference."
    return refuse_duplicate("merchant_reference_unique", detail, code="reference_taken")


def _note(merchant: Merchant, action: str, fields: Collection[str], *, now: datetime, actor: str) -> None:
    detail = {"fields": sorted(fields)} if fields else {}
    audit.note(actor=actor, action=action, target=merchant.public_id, merchant_id=merchant.id, detail=detail, now=now)
