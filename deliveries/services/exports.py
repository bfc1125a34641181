"""Exports: a merchant's log written into a file, a bounded step at a time; its pieces are kept in Postgres for a day.

Web hosts and workers share no disk, so the file is in the database: in chunks of about a megabyte, compressed, which
are sent one after the other. A download that breaks off goes on from any byte.
"""

import time
import zlib
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from deliveries.models import Delivery, Export, ExportChunk
from deliveries.selectors import log_files
from deliveries.selectors.log_files import Wanted
from subscriptions.errors import Conflict, FieldError, Invalid
from subscriptions.killpoints import reached
from subscriptions.models import Merchant
from subscriptions.services import audit

LIFE = timedelta(hours=24)
CHUNK_BYTES = 1024 * 1024
# Of the file; what is stored of it is a fraction. A download holds one in memory.
STEP_BYTES = 4 * CHUNK_BYTES
STEP_S = 0.5
# One transaction: it ends with the page that goes over either.
SLICE_S = 1.0
TICK_S = 5.0
RUNNING_MOST = 50
# Exports that one tick advances, those that waited longest first.
MOST_OPEN = 3
# Running or kept, of one merchant.
STORED_MOST_BYTES = 1024 * 1024 * 1024
# Of one export, compressed. Whoever has more asks for less at a time, or for `manage.py export_log`.
DROPPED_A_TICK = 500
# Chunks whose export has expired.
CLOCK_SLACK = timedelta(minutes=15)
TOO_LARGE, WITHDRAWN = "too_large", "expunged"


@transaction.atomic
def begin(
    *,
    merchant: Merchant,
    format: str,  # noqa: A002 - the word of the API
    since: datetime | None,
    until: datetime | None,
    include: Collection[str],
    actor: str,
    now: datetime,
) -> Export:
    """Write down what is asked for; ticks write the file. Raises Invalid for a window that is none, Conflict while
    there are too many."""
    since, until = window(since or _oldest(merchant.id), until, now=now)
    # One after the other, so that the count is exact.
    Merchant.objects.select_for_update(no_key=True).get(id=merchant.id)
    is_open = Export.objects.filter(owner_id=merchant.id, status__in=[Export.Status.RUNNING, Export.Status.FINISHED])
    if is_open.count() >= MOST_OPEN:
        detail = f"A merchant has at most {MOST_OPEN} exports at a time. Delete one, or wait until it has expired."
        raise Conflict(detail, code="too_many_exports")
    export = Export.objects.create(
        owner_id=merchant.id,
        format=format,
        include=sorted(set(include)),
        since=since,
        until=until,
        actor=actor,
        created_at=now,
        updated_at=now,
    )
    _note(export, "export.begun", actor=actor, now=now)
    return export


def _oldest(owner_id: UUID) -> datetime | None:
    """Where the merchant's log begins."""
    return Delivery.objects.filter(owner_id=owner_id).order_by("id").values_list("created_at", flat=True).first()


def window(since: datetime | None, until: datetime | None, *, now: datetime) -> tuple[datetime, datetime]:
    """What is asked for; None: as far as there is. Raises Invalid."""
    since = since or now - timedelta(days=settings.RETENTION_DAYS)
    until = now + CLOCK_SLACK if until is None else until
    if since >= until:
        raise Invalid(FieldError("/since", "invalid_window", "The window is empty: `since` must be before `until`."))
    return since, until


@transaction.atomic
def delete(*, export: Export, actor: str, now: datetime) -> None:
    """The file goes at once."""
    _note(export, "export.deleted", actor=actor, now=now)
    export.delete()


@transaction.atomic
def withdraw(*, owner_ids: Collection[UUID], now: datetime) -> None:
    """For services that take contents away: the files that may hold some of them go, and are not written further."""
    rows = Export.objects.filter(
        owner_id__in=owner_ids, status__in=[Export.Status.RUNNING, Export.Status.FINISHED]
    ).exclude(include=[])
    ids = list(rows.order_by("id").select_for_update(no_key=True).values_list("id", flat=True))
    if not ids:
        return
    expired = {"status": Export.Status.EXPIRED, "stop_reason": WITHDRAWN, "finished_at": now, "updated_at": now}
    Export.objects.filter(id__in=ids).update(**expired, expires_at=None)
    ExportChunk.objects.filter(export_id__in=ids).delete()


def advance(*, clock: Callable[[], datetime]) -> int:
    """One tick: running exports go on for a slice of time each, and what has expired goes. Returns how many deliveries
    were written.

    One that dies loses nothing: the cursor moves with the chunks that it stands for.
    """
    drop_expired(now=clock())
    running = Export.objects.filter(status=Export.Status.RUNNING).order_by("updated_at")
    deadline, written = time.monotonic() + TICK_S, 0
    for export_id in running.values_list("id", flat=True)[:RUNNING_MOST]:
        written += _run_slice(export_id, clock)
        if time.monotonic() >= deadline:
            break
    return written


def _run_slice(export_id: UUID, clock: Callable[[], datetime]) -> int:
    deadline, written = time.monotonic() + SLICE_S, 0
    while time.monotonic() < deadline:
        step = _step(export_id, now=clock())
        if step is None:
            break
        written += step
    return written


@transaction.atomic
def _step(export_id: UUID, *, now: datetime) -> int | None:
    """One step; None when it is over, or held by another."""
    rows = Export.objects.select_for_update(no_key=True, skip_locked=True)
    export = rows.filter(id=export_id, status=Export.Status.RUNNING).first()
    if export is None:
        return None
    wanted = wanted_by(export)
    text, before, is_end = bytearray(), export.deliveries, False
    if export.cursor is None:
        text += log_files.head(wanted)
    deadline = time.monotonic() + STEP_S
    while not is_end and len(text) < STEP_BYTES and time.monotonic() < deadline:
        page = log_files.read(wanted, after=export.cursor)
        text += page.text
        export.deliveries += page.deliveries
        export.cursor = page.last or export.cursor
        is_end = page.is_end
    _store(export, bytes(text))
    export.updated_at = now
    if export.stored_bytes > STORED_MOST_BYTES:
        _stop(export, TOO_LARGE, now=now)
    elif is_end:
        export.status, export.finished_at, export.expires_at = Export.Status.FINISHED, now, now + LIFE
    export.save()
    reached("export.stepped")
    return export.deliveries - before


def wanted_by(export: Export) -> Wanted:
    """What the file shall hold."""
    return Wanted(
        owner_id=export.owner_id,
        since=export.since,
        until=export.until,
        format=export.format,
        include=frozenset(export.include),
    )


def _store(export: Export, text: bytes) -> None:
    chunks = []
    for begin_at in range(0, len(text), CHUNK_BYTES):
        piece = text[begin_at : begin_at + CHUNK_BYTES]
        packed = zlib.compress(piece, 6)
        place = export.size_bytes + begin_at
        chunks.append(ExportChunk(export=export, begins_at=place, size_bytes=len(piece), data=packed))
        export.stored_bytes += len(packed)
    ExportChunk.objects.bulk_create(chunks)
    export.size_bytes += len(text)


def _stop(export: Export, reason: str, *, now: datetime) -> None:
    export.status, export.stop_reason, export.finished_at = Export.Status.STOPPED, reason, now
    ExportChunk.objects.filter(export=export).delete()


def drop_expired(*, now: datetime) -> None:
    """Files whose time is over, a bounded part of them; the exports stay, to tell that they were there."""
    gone = Export.objects.filter(status=Export.Status.FINISHED, expires_at__lte=now)
    chunks = ExportChunk.objects.filter(export__in=gone).values_list("id", flat=True)[:DROPPED_A_TICK]
    ExportChunk.objects.filter(id__in=list(chunks)).delete()
    gone.exclude(id__in=ExportChunk.objects.values("export_id")).update(status=Export.Status.EXPIRED, updated_at=now)


def pieces(export: Export, *, first: int, last: int) -> Iterator[bytes]:
    """The bytes of the file from `first` to `last`, both included; one chunk is in memory at a time.

    Raises LookupError in the middle when the file expires meanwhile.
    """
    at = first
    while at <= last:
        # The last chunk that begins at or before the place.
        chunk = ExportChunk.objects.filter(export=export, begins_at__lte=at).order_by("-begins_at").first()
        if chunk is None or at >= chunk.begins_at + chunk.size_bytes:
            raise LookupError(f"{export.public_id} has no byte {at} any more")
        text = zlib.decompress(chunk.data)[at - chunk.begins_at : last + 1 - chunk.begins_at]
        yield text
        at += len(text)


def _note(export: Export, action: str, *, actor: str, now: datetime) -> None:
    detail = {"format": export.format, "include": export.include}
    audit.note(actor=actor, action=action, target=export.public_id, merchant_id=export.owner_id, detail=detail, now=now)
