"""Seals everything anew with the first key of the ring, so that older keys can be taken out of it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Manager, Model

from dispatcher.keyring import DecryptionFailed
from subscriptions.killpoints import reached
from subscriptions.models import Endpoint, ProviderKey, SigningSecret, StoredAnswer
from subscriptions.services import vault

log = logging.getLogger(__name__)

BATCH = 200
# Rows locked together: some milliseconds of work, so that nobody who changes one of them notices.


@dataclass(frozen=True, slots=True)
class Sealed:
    """One column of ciphertexts, and what they are bound to beside the row's id."""

    model: type[Model]
    column: str
    kind: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one column is. `unreadable` counts rows that no key of the ring opens; they are left as they are."""

    kind: str
    seen: int = 0
    renewed: int = 0
    unreadable: int = 0


EVERY = (
    Sealed(SigningSecret, "ciphertext", vault.SIGNING_SECRET),
    Sealed(ProviderKey, "ciphertext", vault.PROVIDER_KEY),
    Sealed(Endpoint, "auth_ciphertext", vault.ENDPOINT_AUTH),
    Sealed(StoredAnswer, "answer", vault.STORED_ANSWER),
)


def reencrypt() -> Iterator[Progress]:
    """Renew batch by batch, reporting after each.

    May be stopped and started again at any time: what has the first key already is left as it is. New rows need no
    visit, they are sealed with the first key wherever the ring is in use.
    """
    for sealed in EVERY:
        progress = Progress(sealed.kind)
        last = UUID(int=0)
        while rows := _renew_batch(sealed, after=last):
            last = max(rows)
            results = list(rows.values())
            progress = Progress(
                sealed.kind,
                progress.seen + len(results),
                progress.renewed + results.count("renewed"),
                progress.unreadable + results.count("unreadable"),
            )
            yield progress


@transaction.atomic
def _renew_batch(sealed: Sealed, *, after: UUID) -> dict[UUID, str]:
    """The ids of the next rows in the order of ids, and what became of each."""
    manager: Manager[Any] = sealed.model._default_manager  # noqa: SLF001 - how Django names any model's manager
    rows = manager.exclude(**{sealed.column: None}).filter(pk__gt=after).order_by("pk")
    renewed = {row.pk: _renew(sealed, row) for row in rows.select_for_update(no_key=True)[:BATCH]}
    reached("reencryption.renewed")
    return renewed


def _renew(sealed: Sealed, row: Any) -> str:
    ciphertext = getattr(row, sealed.column)
    try:
        if not vault.keyring().needs_rotation(ciphertext):
            return "current"
        plain = vault.open_sealed(sealed.kind, row.pk, ciphertext)
    except DecryptionFailed as trouble:
        log.error("%s %s: %s", sealed.kind, row.pk, trouble)
        return "unreadable"
    setattr(row, sealed.column, vault.seal(sealed.kind, row.pk, plain))
    row.save(update_fields=[sealed.column])
    return "renewed"
