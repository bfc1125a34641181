"""What a merchant's members are told about an endpoint that fails: written down with what happened, sent by others.

1. The transaction that warns of an endpoint or disables it adds a row for each member. It sends nothing.
2. After its commit the bell rings, and the sweep rings for what is still owed.
3. Whoever sends a notice takes it first, which moves its next try: two who are rung for one do not both send it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F

from subscriptions.models import Endpoint, Membership, Notice
from subscriptions.services import audit, bell

TOLD = (Membership.Role.OWNER, Membership.Role.DEVELOPER)
# Viewers look; those who can mend it are told.
WAITS_S = (60, 300, 1800, 7200)
# Between five tries, over two and a half hours: a mail server that is restarted or moved.
ROUND_MOST = 32
# Notices that are sent at once, and so all within the time of one.


@dataclass(frozen=True, slots=True)
class Failing:
    """Since when everything has failed, and what came of the last attempt."""

    since: datetime
    reason: str
    status: int | None = None


def write(endpoint: Endpoint, kind: Notice.Kind, failing: Failing, *, now: datetime) -> None:
    """Within the caller's transaction: a notice for each member who is told such things. None twice for one failing."""
    if not settings.HAS_EMAIL:
        return
    members = Membership.objects.filter(merchant_id=endpoint.owner_id, role__in=TOLD, user__is_active=True)
    rows = [
        Notice(
            endpoint=endpoint,
            user_id=user_id,
            kind=kind,
            since=failing.since,
            reason=failing.reason,
            status=failing.status,
            next_try_at=now,
            created_at=now,
        )
        for user_id in members.exclude(user__email="").order_by("id").values_list("user_id", flat=True)
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    bell.ring_for_notices(row.id for row in rows)


def due(*, now: datetime) -> list[UUID]:
    """Those whose next try has come, the longest waiting first."""
    rows = Notice.objects.filter(next_try_at__lte=now).order_by("next_try_at")
    return list(rows.values_list("id", flat=True)[:ROUND_MOST])


def take(notice_ids: Collection[UUID], *, now: datetime) -> list[Notice]:
    """Those of the notices that are due and that nobody else has taken. Each has one try less."""
    rows = Notice.objects.filter(id__in=notice_ids, next_try_at__lte=now).select_related("endpoint__owner", "user")
    return [notice for notice in rows.order_by("id") if _take(notice, now=now)]


def _take(notice: Notice, *, now: datetime) -> bool:
    is_last = notice.tries >= len(WAITS_S)
    # A sender that dies takes the try with it, and after the last one the notice.
    next_try_at = None if is_last else now + timedelta(seconds=WAITS_S[notice.tries])
    seen = Notice.objects.filter(id=notice.id, tries=notice.tries, next_try_at=notice.next_try_at)
    notice.tries, notice.next_try_at = notice.tries + 1, next_try_at
    return bool(seen.update(tries=F("tries") + 1, next_try_at=next_try_at))


def note_sent(notice: Notice, *, now: datetime) -> None:
    Notice.objects.filter(id=notice.id).update(sent_at=now, next_try_at=None, trouble="")


def drop(notices: Iterable[Notice], why: str) -> None:
    """What they would say is no longer so."""
    ids = [notice.id for notice in notices]
    Notice.objects.filter(id__in=ids, sent_at=None).update(next_try_at=None, trouble=why)


def note_failure(notice: Notice, trouble: str, *, is_final: bool, now: datetime) -> None:
    """A try that failed; after the last one it stands in the audit log."""
    changed = {"trouble": trouble[:255]} | ({"next_try_at": None} if is_final else {})
    Notice.objects.filter(id=notice.id, sent_at=None).update(**changed)
    if is_final or notice.next_try_at is None:
        audit.note(
            actor="system",
            action="endpoint.notice_unsent",
            target=notice.endpoint.public_id,
            merchant_id=notice.endpoint.owner_id,
            detail={"user": notice.user_id, "kind": notice.kind, "trouble": trouble[:255]},
            now=now,
        )
