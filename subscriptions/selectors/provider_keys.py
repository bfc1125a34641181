"""Reads the provider's own keys: the private halves for senders, the public ones for everybody."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, TextChoices, Value, When

from subscriptions.models import ProviderKey
from subscriptions.services import vault

PUBLISHED_AFTER_END = timedelta(days=7)
# A receiver may verify late what it got in time: from a queue that stood over a long weekend. A key that must not be
# trusted any more is withdrawn, and then published no longer at all.


class Status(TextChoices):
    """Where a key stands. `previous` may still sign beside the current one; `ended` signs no more."""

    NEXT = "next"
    CURRENT = "current"
    PREVIOUS = "previous"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SealedProviderKey:
    """A private key as stored. It signs from `signs_from` until `signs_until`."""

    id: UUID
    family: str
    ciphertext: bytes
    signs_from: datetime
    signs_until: datetime | None

    def open(self) -> str:
        """The key as PEM text. Raises DecryptionFailed."""
        return vault.open_sealed(vault.PROVIDER_KEY, self.id, self.ciphertext).decode()


def sealed() -> tuple[SealedProviderKey, ...]:
    """All keys that are stored, newest first. The caller leaves out what does not sign now."""
    rows = ProviderKey.objects.order_by("-signs_from", "-id")
    return tuple(
        SealedProviderKey(row.id, row.family, bytes(row.ciphertext), row.signs_from, row.signs_until) for row in rows
    )


def with_status(rows: QuerySet[ProviderKey], *, now: datetime) -> QuerySet[ProviderKey]:
    """The rows without their private halves, each with its `status` (see Status) at that time."""
    newer = alive(now=now).filter(family=OuterRef("family"), signs_from__gt=OuterRef("signs_from"), signs_from__lte=now)
    status = Case(
        When(signs_until__lte=now, then=Value(Status.ENDED)),
        When(signs_from__gt=now, then=Value(Status.NEXT)),
        When(Exists(newer), then=Value(Status.PREVIOUS)),
        default=Value(Status.CURRENT),
    )
    return rows.defer("ciphertext").annotate(status=status)


def alive(*, now: datetime) -> QuerySet[ProviderKey]:
    """Those that sign, or are going to."""
    return ProviderKey.objects.filter(Q(signs_until=None) | Q(signs_until__gt=now))


def published(*, now: datetime) -> QuerySet[ProviderKey]:
    """Those that receivers may verify with, family by family, newest first, with their status."""
    rows = ProviderKey.objects.filter(Q(signs_until=None) | Q(signs_until__gt=now - PUBLISHED_AFTER_END))
    return with_status(rows, now=now).order_by("family", "-signs_from")


def find_published(key_id: UUID, *, now: datetime) -> ProviderKey | None:
    return published(now=now).filter(id=key_id).first()


def find_current(family: str, *, now: datetime) -> ProviderKey | None:
    """The one whose signature a single-value header carries; before any has begun, the first to begin."""
    rows = with_status(alive(now=now).filter(family=family), now=now)
    return rows.filter(signs_from__lte=now).order_by("-signs_from").first() or rows.order_by("signs_from").first()
