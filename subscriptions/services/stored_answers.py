"""Keeps the first answer to a request that carries an idempotency key, so that a repeat gets the same."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from dispatcher.keyring import DecryptionFailed
from subscriptions.errors import Conflict
from subscriptions.models import StoredAnswer
from subscriptions.services import vault

logger = logging.getLogger(__name__)

KEEP = timedelta(hours=24)
WAIT_S = 10
# How long a repeat waits for the first request, which at most resolves a name (2 s) and writes a few rows.

Answer = tuple[int, bytes]


def answer_once(
    *, scope: str, key: str, request_hash: bytes, now: datetime, make: Callable[[], Answer]
) -> tuple[Answer, bool]:
    """What `make` returned the first time, and whether that is a repeat. All in one transaction:

    1. Insert the row of this key. Whoever comes second waits here for the first one's commit.
    2. First: make the answer and store it. If `make` raises, the row goes with everything else.
    3. Second: the first answer again. Raises Conflict for another request, after WAIT_S of waiting, and for an answer
       that does not open any more: what was done must not be done twice.
    """
    with transaction.atomic():
        row, is_first = _claim(scope=scope, key=key, request_hash=request_hash, now=now)
        if is_first:
            status, body = make()
            row.status, row.answer = status, vault.seal(vault.STORED_ANSWER, row.id, body)
            row.save(update_fields=["status", "answer"])
            return (status, body), False
    if bytes(row.request_hash) != request_hash:
        raise Conflict("This Idempotency-Key was used for another request.", code="idempotency_key_reused")
    try:
        return (row.status or 500, vault.open_sealed(vault.STORED_ANSWER, row.id, row.answer or b"")), True
    except DecryptionFailed:
        logger.error("stored answer %s does not decrypt", row.id)
        raise Conflict("This was done; the first answer cannot be read any more.", code="answer_unreadable") from None


def _claim(*, scope: str, key: str, request_hash: bytes, now: datetime) -> tuple[StoredAnswer, bool]:
    StoredAnswer.objects.filter(scope=scope, key=key, expires_at__lte=now).delete()
    values = {"request_hash": request_hash, "created_at": now, "expires_at": now + KEEP}
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{WAIT_S}s'")
        return StoredAnswer.objects.get_or_create(scope=scope, key=key, defaults=values)
    except OperationalError as trouble:
        if isinstance(trouble.__cause__, LockNotAvailable):
            detail = "The first request with this Idempotency-Key is still under way."
            raise Conflict(detail, code="in_progress") from None
        raise


def drop_expired(*, now: datetime) -> int:
    """How many answers were past their time. For the nightly retention; a repeat of such a key drops its own."""
    dropped, _ = StoredAnswer.objects.filter(expires_at__lte=now).delete()
    return dropped
