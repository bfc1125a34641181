"""Makes, revokes and recognises API keys.

A key reads `sgn_mer_<12 characters>_<43 characters>` (`sgn_pro_…` for a provider's): the first part is shown and found
by, the second is 256 random bits. Only the SHA-256 of the whole text is kept.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from subscriptions import kept_plans
from subscriptions.errors import NotFound
from subscriptions.models import ApiKey, Merchant
from subscriptions.services import audit

PUBLIC_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
PUBLIC_LENGTH = 12
# 60 bits: two keys never share it by chance, and it tells nothing about the rest.
SECRET_BYTES = 32
LAST_USED_STEP = timedelta(minutes=1)
# How stale `last_used_at` may be, so that a busy key does not write a row for each request.

MOST_KNOWN = 1024
# Keys that a process remembers, at a few hundred bytes each; whoever publishes has one or a few.

_FORM = re.compile(r"(sgn_(?:mer|pro)_[a-z0-9]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_HEADS = {ApiKey.Scope.MERCHANT: "sgn_mer_", ApiKey.Scope.PROVIDER: "sgn_pro_"}


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `text` exists nowhere else and cannot be shown again."""

    row: ApiKey
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What never changes of a key that was seen living. Whether it lives still is asked with each request."""

    id: UUID
    digest: bytes = field(repr=False)
    actor: str


_known: dict[bytes, KnownKey] = {}
# Provider keys by their digest: none in here opens anything by being here.

_KEY_NAMES = [field.attname for field in ApiKey._meta.concrete_fields]
_MERCHANT_NAMES = [field.attname for field in Merchant._meta.concrete_fields]
_COLUMNS = ", ".join(
    [f"k.{field.column}" for field in ApiKey._meta.concrete_fields]
    + [f"m.{field.column}" for field in Merchant._meta.concrete_fields]
)
_FIND = f"""
SELECT {_COLUMNS} FROM subscriptions_apikey k LEFT JOIN subscriptions_merchant m ON m.id = k.merchant_id
WHERE k.prefix = %s
"""  # noqa: S608 - built from the models' own columns


@transaction.atomic
def create(
    *, name: str, merchant: Merchant | None, now: datetime, actor: str, expires_at: datetime | None = None
) -> NewKey:
    """A merchant's key, or a provider's when there is no merchant."""
    scope = ApiKey.Scope.MERCHANT if merchant else ApiKey.Scope.PROVIDER
    prefix = _HEADS[scope] + "".join(secrets.choice(PUBLIC_ALPHABET) for _ in range(PUBLIC_LENGTH))
    text = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    row = ApiKey.objects.create(
        scope=scope,
        merchant=merchant,
        name=name,
        prefix=prefix,
        digest=_digest(text),
        created_at=now,
        expires_at=expires_at,
    )
    _note(row, action="key.created", now=now, actor=actor)
    return NewKey(row, text)


@transaction.atomic
def revoke(*, key_id: UUID, merchant: Merchant | None, now: datetime, actor: str) -> None:
    """The key of this merchant, or of the provider, stops working with the next request.

    Raises NotFound for another merchant's key or one that was revoked before.
    """
    key = ApiKey.objects.select_for_update().filter(id=key_id, merchant=merchant, revoked_at=None).first()
    if key is None:
        raise NotFound("There is no such key.")
    key.revoked_at = now
    key.save(update_fields=["revoked_at"])
    _note(key, action="key.revoked", now=now, actor=actor)


def authenticate(text: str, *, now: datetime) -> ApiKey | None:
    """The living key behind `text`, its merchant loaded with it; one statement, and a second once a minute."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    key = _find(form[1])
    if key is None or not hmac.compare_digest(bytes(key.digest), _digest(text)) or not _is_live(key, now):
        return None
    if is_stale(key.last_used_at, now):
        touch(key.id, now=now)
        key.last_used_at = now
    if key.scope == ApiKey.Scope.PROVIDER:
        _remember(key)
    return key


def known(text: str) -> KnownKey | None:
    """The provider's key behind `text`, if this process has seen it living; whoever acts on it asks the database
    whether it lives still."""
    return _known.get(_digest(text))


def _remember(key: ApiKey) -> None:
    digest = bytes(key.digest)
    if digest not in _known:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[digest] = KnownKey(key.id, digest, f"key:{key.public_id}")


def is_stale(last_used_at: datetime | None, now: datetime) -> bool:
    """Whether it is time to write down again that a key is used."""
    return last_used_at is None or last_used_at <= now - LAST_USED_STEP


def _find(prefix: str) -> ApiKey | None:
    """What `select_related("merchant")` would give. Every request comes by here, and compiling that query each time
    cost 0.36 of the 1.25 ms of CPU that publishing one event took."""
    row = kept_plans.fetch_one(_FIND, [prefix])
    if row is None:
        return None
    key = ApiKey.from_db(connection.alias, _KEY_NAMES, row[: len(_KEY_NAMES)])
    if key.merchant_id is not None:
        key.merchant = Merchant.from_db(connection.alias, _MERCHANT_NAMES, row[len(_KEY_NAMES) :])
    return key


def _is_live(key: ApiKey, now: datetime) -> bool:
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return False
    return key.merchant is None or key.merchant.deleted_at is None


def touch(key_id: UUID, *, now: datetime) -> None:
    """Guarded: of many requests in the same moment one writes, and none of them waits for another's long lock."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_STEP)
    ApiKey.objects.filter(stale, id=key_id).update(last_used_at=now)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _note(key: ApiKey, *, action: str, now: datetime, actor: str) -> None:
    detail = {"prefix": key.prefix, "name": key.name}
    audit.note(actor=actor, action=action, target=key.public_id, merchant_id=key.merchant_id, detail=detail, now=now)
