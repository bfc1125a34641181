"""What goes into publishing and what comes out of it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What a provider says happened.

    `payload` is JSON text, delivered byte for byte. `merchant` is an id or the provider's reference; without it the
    merchant is found from `account`. `id` and `idempotency_key` are the caller's own, both optional.
    """

    type: str
    payload: bytes
    merchant: str | None = None
    account: str | None = None
    id: str | None = None
    occurred_at: datetime | None = None
    idempotency_key: str | None = None

    def digest(self) -> bytes:
        """What makes two requests the same request."""
        said = [self.type, self.merchant, self.account, self.id, self.occurred_at and self.occurred_at.isoformat()]
        return hashlib.sha256(json.dumps(said).encode() + b"\n" + self.payload).digest()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to one event: its id, whether it had been published before, and how many deliveries it has."""

    id: str
    is_duplicate: bool
    deliveries: int
