"""A small world for the deliveries tests: merchants, their endpoints and a catalogue."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dispatcher.ids import new_id
from subscriptions.models import Endpoint, EventType, Merchant, SigningSecret
from subscriptions.services import vault

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_merchant(db: None) -> Callable[..., Merchant]:
    def make(reference: str, *, parent: Merchant | None = None, kind: str = "merchant") -> Merchant:
        return Merchant.objects.create(
            name=reference.title(), reference=reference, parent=parent, kind=kind, created_at=NOW, updated_at=NOW
        )

    return make


@pytest.fixture
def make_endpoint(db: None) -> Callable[..., Endpoint]:
    def make(owner: Merchant, *, secret: str | None = None, **fields: Any) -> Endpoint:
        fields.setdefault("target", "https://receiver.example/in")
        endpoint = Endpoint.objects.create(owner=owner, created_at=NOW, updated_at=NOW, **fields)
        if secret is not None:
            add_secret(endpoint, secret)
        return endpoint

    return make


def add_secret(endpoint: Endpoint, text: str, *, expires_at: datetime | None = None) -> SigningSecret:
    row_id = new_id()
    sealed = vault.seal(vault.SIGNING_SECRET, row_id, text.encode())
    return SigningSecret.objects.create(
        id=row_id, endpoint=endpoint, ciphertext=sealed, created_at=NOW, expires_at=expires_at
    )


@pytest.fixture
def make_type(db: None) -> Callable[..., EventType]:
    def make(name: str, **fields: Any) -> EventType:
        return EventType.objects.create(name=name, created_at=NOW, updated_at=NOW, **fields)

    return make
