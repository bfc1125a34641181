"""Everything that happens to signing secrets. The endpoint's row is locked first, so that changes of them queue up."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from dispatcher.ids import new_id
from dispatcher.keyring import DecryptionFailed
from dispatcher.profiles.model import Profile
from dispatcher.profiles.secrets import InvalidSecret, check_secret, generate
from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.killpoints import reached
from subscriptions.models import Endpoint, Merchant, SigningSecret
from subscriptions.selectors import profiles
from subscriptions.services import audit, endpoint_rows, operations, vault
from subscriptions.services.locks import lock_endpoint

MOST_LIVE = 10
# Every live one signs every delivery; more would overflow receivers' header limits.
DOES_NOT_OPEN = "A stored secret of this endpoint cannot be decrypted. Rotate it, or set a new one."


@dataclass(frozen=True, slots=True)
class Revealed:
    row: SigningSecret
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rotated:
    """`previous_expires_at` is None where nothing signed before."""

    row: SigningSecret
    text: str = field(repr=False)
    previous_expires_at: datetime | None


@transaction.atomic
def reveal(*, merchant: Merchant, endpoint_id: UUID, now: datetime, actor: str) -> Revealed:
    """The current secret, audited. Raises NotFound for an endpoint without one, Conflict for one that does not open."""
    endpoint = lock_endpoint(endpoint_id, merchant=merchant)
    row = SigningSecret.objects.filter(endpoint=endpoint, expires_at=None).first()
    if row is None:
        raise NotFound("This endpoint has no secret: its deliveries are not signed.", code="no_secret")
    text = open_text(row)
    _note(endpoint, "secret.revealed", row, now=now, actor=actor)
    return Revealed(row, text)


@transaction.atomic
def rotate(
    *,
    merchant: Merchant,
    endpoint_id: UUID,
    text: str | None,
    overlap: timedelta,
    now: datetime,
    actor: str,
    expected: Collection[int] | None = None,
) -> Rotated:
    """A new current secret, generated without `text`; the one before goes on signing beside it for `overlap`.

    1. Lock the endpoint: of two rotations the second sees what the first left, and ends that one.
    2. Drop what has run out, and what no key opens: it would keep the new one from signing, too. Then count: more than
       MOST_LIVE is a Conflict and changes nothing. Without overlap the current one makes room for the new one, so that
       this is possible however many are live.
    3. Give the current one its end, then add the new one.
    """
    endpoint = lock_endpoint(endpoint_id, merchant=merchant, expected=expected)
    if endpoint.channel != Endpoint.Channel.WEBHOOK:
        raise Conflict("Only webhooks are signed.", code="not_for_channel")
    text = _fitting(endpoint.profile, text)
    secrets = SigningSecret.objects.filter(endpoint=endpoint)
    current = secrets.filter(expires_at=None).first()
    if current is not None:
        # Who asked first may get the lock last, and hosts' clocks differ: this comes after what it finds all the same.
        now = max(now, current.created_at + timedelta.resolution)
    secrets.filter(expires_at__lte=now).delete()
    if unreadable := [row.id for row in secrets if not _opens(row)]:
        secrets.filter(id__in=unreadable).delete()
        current = secrets.filter(expires_at=None).first()
    staying = secrets.count() if overlap else secrets.exclude(expires_at=None).count()
    if staying >= MOST_LIVE:
        raise Conflict(f"At most {MOST_LIVE} secrets may be live; wait until one has expired.", code="too_many_secrets")
    if current is not None:
        current.expires_at = now + overlap
        current.save(update_fields=["expires_at"])
    row = add(endpoint, text, now=now)
    # Who sends next looks whether everything opens now.
    endpoint.unreadable_since = None
    endpoint_rows.save(endpoint, now=now)
    _note(endpoint, "secret.rotated", row, now=now, actor=actor)
    previous_expires_at = current.expires_at if current else None
    operations.note_rotated(endpoint, row, previous_expires_at=previous_expires_at, now=now)
    reached("secret.rotated")
    return Rotated(row, text, previous_expires_at)


def _fitting(profile: str, given: str | None) -> str:
    text = given or generate_for(profile)
    if text is None:
        raise Conflict("What is sent in this endpoint's profile is not signed with its secret.", code="no_secret")
    try:
        check_secret(_format(profile), text)
    except InvalidSecret as trouble:
        raise Invalid(FieldError("/secret", "invalid_secret", str(trouble))) from None
    return text


def add(endpoint: Endpoint, text: str, *, now: datetime) -> SigningSecret:
    """For services that hold the endpoint's lock and have ended the current secret."""
    secret_id = new_id()
    return SigningSecret.objects.create(
        id=secret_id,
        endpoint=endpoint,
        ciphertext=vault.seal(vault.SIGNING_SECRET, secret_id, text.encode()),
        created_at=now,
    )


def replace_all(endpoint: Endpoint, text: str | None, *, now: datetime) -> None:
    """For services that hold the endpoint's lock: `text` alone signs from now on, None removes every secret.

    The secret that is current already stays as it is, so that a repeated PUT does not end an overlap.
    """
    current = SigningSecret.objects.filter(endpoint=endpoint, expires_at=None).first()
    if text is not None and current is not None and _opens(current) and open_text(current) == text:
        return
    replaced, _ = SigningSecret.objects.filter(endpoint=endpoint).delete()
    if text is not None:
        row = add(endpoint, text, now=now)
        if replaced:
            operations.note_rotated(endpoint, row, previous_expires_at=now, now=now)
    if endpoint.unreadable_since is not None:
        endpoint.unreadable_since = None
        endpoint.save(update_fields=["unreadable_since"])


def texts(endpoint: Endpoint) -> list[str]:
    """Of all secrets that are stored, those that have run out included. Raises Conflict for one that does not open."""
    return [open_text(row) for row in SigningSecret.objects.filter(endpoint=endpoint)]


def generate_for(profile: str) -> str | None:
    """A fresh secret in the profile's form; None where only the provider's own key signs."""
    chosen = _format(profile)
    return None if chosen.key_form == "none" else generate(chosen)


def _format(name: str) -> Profile:
    """Raises Conflict for a provider's own format that is there no more."""
    if found := profiles.find(name):
        return found
    raise Conflict(f"There is no profile {name}.", code="unknown_profile")


def open_text(row: SigningSecret) -> str:
    """Raises Conflict for a secret that no key of the ring opens."""
    try:
        return vault.open_sealed(vault.SIGNING_SECRET, row.id, row.ciphertext).decode()
    except DecryptionFailed:
        raise Conflict(DOES_NOT_OPEN, code="secret_unreadable") from None


def _opens(row: SigningSecret) -> bool:
    try:
        open_text(row)
    except Conflict:
        return False
    return True


def _note(endpoint: Endpoint, action: str, row: SigningSecret, *, now: datetime, actor: str) -> None:
    audit.note(
        actor=actor,
        action=action,
        target=endpoint.public_id,
        merchant_id=endpoint.owner_id,
        detail={"secret": row.public_id},
        now=now,
    )
