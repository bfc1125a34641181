"""The console's first page: how the platform is, what needs somebody, and how the last day went."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries.admin import figures
from deliveries.admin.bounded import bounded
from deliveries.admin.naming import merchant_link
from deliveries.admin.reasons import in_words
from deliveries.selectors import heartbeats, overall, queue
from deliveries.selectors.failing import Failing, failing
from subscriptions.admin.columns import EMPTY, ENDPOINT_PAGE, clipped, moment, page_link
from subscriptions.models import Endpoint
from subscriptions.services.endpoints import FAILING
from subscriptions.services.holds import HELD

FAILING_SHOWN = 10

SEE_QUEUE = "deliveries.view_lane"
SEE_ENDPOINTS = "subscriptions.view_endpoint"
SEE_LOG = "deliveries.view_delivery"
# What each part of the page shows is what these let somebody look up elsewhere.


@dataclass(frozen=True, slots=True)
class FailingRow:
    """An endpoint that takes nothing, in the words of the table."""

    endpoint: SafeString
    merchant: SafeString
    since: SafeString | str
    reason: str
    failed: str
    waiting: str
    next_try: SafeString | str
    disables: SafeString | str


@dataclass(frozen=True, slots=True)
class Concern:
    """So many endpoints in a state that somebody should know of."""

    count: int
    words: str
    address: str


def shown_to(request: HttpRequest) -> dict[str, Any]:
    """The parts that this member of the staff may see; None for a part that took too long to read."""
    now, user = timezone.now(), request.user
    shown: dict[str, Any] = {}
    flow = bounded(lambda: queue.flow(now=now)) if _sees(user, SEE_QUEUE, SEE_LOG) else None
    if _sees(user, SEE_QUEUE):
        shown |= {"has_queue": True, "strip": bounded(lambda: _strip(flow, now=now))}
    if _sees(user, SEE_ENDPOINTS):
        found = bounded(lambda: (failing_rows(failing(now=now, limit=FAILING_SHOWN)), _concerns()))
        rows, concerns = found or (None, [])
        shown |= {"has_endpoints": True, "failing": rows, "concerns": concerns, "failing_most": FAILING_SHOWN}
    if _sees(user, SEE_LOG):
        hours = bounded(lambda: overall.by_hour(now=now))
        charts = figures.by_hour(hours, heading="Attempts of the last day") if hours else None
        shown |= {"has_log": True, "charts": charts, **flow_parts(flow)}
    return shown


def flow_parts(flow: queue.Flow | None) -> dict[str, Any]:
    """The present: rates and reasons."""
    if flow is None:
        return {"rates": None, "reasons": []}
    return {
        "rates": figures.rates(flow),
        "reasons": figures.reasons(flow),
        "reasons_span": figures.lasting(flow.span.length),
    }


def failing_rows(found: list[Failing]) -> list[FailingRow]:
    return [
        FailingRow(
            endpoint=page_link(ENDPOINT_PAGE, one.endpoint_id, clipped(one.target)),
            merchant=merchant_link(one.owner_id, one.owner_name),
            since=moment(one.since),
            reason=_reason(one),
            failed=f"{one.failed:,} of {one.attempts:,}",
            waiting=figures.at_least(one.waiting, is_exact=one.is_waiting_exact),
            next_try=moment(one.next_try_at),
            disables="At its next failure" if _is_over(one) else moment(one.disables_at),
        )
        for one in found
    ]


def _sees(user: AbstractBaseUser | AnonymousUser, *permissions: str) -> bool:
    """Any of them is enough."""
    return any(user.has_perm(name) for name in permissions)  # type: ignore[union-attr] # ours has PermissionsMixin


def _strip(flow: queue.Flow | None, *, now: datetime) -> list[figures.Figure]:
    return figures.strip(queue.read(now=now), flow, heartbeats.nodes(), now=now)


def _is_over(one: Failing) -> bool:
    return one.disables_at is not None and one.disables_at <= timezone.now()


def _reason(one: Failing) -> str:
    if one.reason is None:
        return EMPTY
    return f"{in_words(one.reason)} ({one.status})" if one.status else in_words(one.reason)


def _concerns() -> list[Concern]:
    """Endpoints are few: one look counts them all."""
    living = Q(deleted_at=None)
    counts = Endpoint.objects.aggregate(
        unreadable=Count("id", filter=living & ~Q(unreadable_since=None)),
        given_up=Count("id", filter=living & Q(is_active=False, disabled_reason=FAILING)),
        held=Count("id", filter=living & Q(is_active=False, disabled_reason=HELD)),
    )
    address = reverse(f"admin:{ENDPOINT_PAGE}_changelist")
    told = {
        "unreadable": ("whose stored secret cannot be decrypted", f"{address}?state=unreadable"),
        "given_up": ("switched off because they failed for days", f"{address}?state=given_up"),
        "held": ("held by an operator", f"{address}?state=held"),
    }
    return [Concern(counts[name], words, link) for name, (words, link) in told.items() if counts[name]]
