"""Writes down who did what, in the transaction that did it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from subscriptions.models import AuditEntry


def note(
    *,
    actor: str,
    action: str,
    target: str,
    now: datetime,
    merchant_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """One entry. `actor` is `key:<id>`, `user:<name>` or `system`; `detail` never holds a secret."""
    AuditEntry.objects.create(
        merchant_id=merchant_id, actor=actor, action=action, target=target, detail=detail or {}, created_at=now
    )
