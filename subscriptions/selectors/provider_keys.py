"""Reads the provider's own keys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from subscriptions.models import ProviderKey
from subscriptions.services import vault


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
