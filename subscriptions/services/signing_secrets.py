"""Everything that happens to signing secrets. The endpoint's row is locked first, so that changes of them queue up."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from dispatcher.ids import new_id
from dispatcher.profiles.model import Profile
from dispatcher.profiles.secrets import InvalidSecret, check_secret, generate
from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.models import Endpoint, Merchant, SigningSecret
from subscriptions.selectors import profiles
from subscriptions.services import audit, endpoint_rows, vault
from subscriptions.services.locks import lock_endpoint

MOST_LIVE = 10
# Every live one signs every delivery; more would overflow receivers' header limits.


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
    """The current secret, audited. Raises NotFound for an endpoint without one, and DecryptionFailed."""
    endpoint = lock_endpoint(endpoint_id, merchant=merchant)
    row = SigningSecret.objects.filter(endpoint=endpoint, expires_at=None).first()
    if row is None:
        raise NotFound("This endpoint has no secret: its deliveries are not signed.", code="no_secret")
    _note(endpoint, "secret.revealed", row, now=now, actor=actor)
    return Revealed(row, open_text(row))


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
    2. Drop what has run out, then count: more than MOST_LIVE is a Conflict and changes nothing.
    3. Give the current one its end, then add the new one.
    """
    endpoint = lock_endpoint(endpoint_id, merchant=merchant, expected=expected)
    text = _fitting(endpoint.profile, text)
    secrets = SigningSecret.objects.filter(endpoint=endpoint)
    secrets.filter(expires_at__lte=now).delete()
    staying = secrets.count() if overlap else secrets.exclude(expires_at=None).count()
    if staying >= MOST_LIVE:
        raise Conflict(f"At most {MOST_LIVE} secrets may be live; wait until one has expired.", code="too_many_secrets")
    previous_expires_at = _end_current(endpoint, at=now + overlap)
    row = add(endpoint, text, now=now)
    endpoint_rows.save(endpoint, now=now)
    _note(endpoint, "secret.rotated", row, now=now, actor=actor)
    return Rotated(row, text, previous_expires_at)


def _fitting(profile: str, given: str | None) -> str:
    text = given or generate_for(profile)
    if text is None:
        raise Conflict("Deliveries in this endpoint's profile are signed with the provider's key.", code="no_secret")
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


def _end_current(endpoint: Endpoint, *, at: datetime) -> datetime | None:
    """When it ends; None where there is none. Not before it began: another host's clock may be ahead of ours."""
    current = SigningSecret.objects.filter(endpoint=endpoint, expires_at=None).first()
    if current is None:
        return None
    current.expires_at = max(at, current.created_at)
    current.save(update_fields=["expires_at"])
    return current.expires_at


def replace_all(endpoint: Endpoint, text: str | None, *, now: datetime) -> None:
    """For services that hold the endpoint's lock: `text` alone signs from now on, None removes every secret.

    The secret that is current already stays as it is, so that a repeated PUT does not end an overlap.
    """
    current = SigningSecret.objects.filter(endpoint=endpoint, expires_at=None).first()
    if text is not None and current is not None and open_text(current) == text:
        return
    SigningSecret.objects.filter(endpoint=endpoint).delete()
    if text is not None:
        add(endpoint, text, now=now)


def texts(endpoint: Endpoint) -> list[str]:
    """Of all secrets that are stored, those that have run out included."""
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
    return vault.open_sealed(vault.SIGNING_SECRET, row.id, row.ciphertext).decode()


def _note(endpoint: Endpoint, action: str, row: SigningSecret, *, now: datetime, actor: str) -> None:
    audit.note(
        actor=actor,
        action=action,
        target=endpoint.public_id,
        merchant_id=endpoint.owner_id,
        detail={"secret": row.public_id},
        now=now,
    )
