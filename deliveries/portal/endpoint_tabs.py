"""What the tabs of an endpoint's page show: how it does, its signing, tests, sending again, its settings."""

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from deliveries.models import Lane, Replay
from deliveries.portal import attention, periods
from deliveries.portal.addresses import log_address
from deliveries.portal.log import rows_of
from deliveries.portal.overview import SERIES, bucket_of
from deliveries.selectors import log_pages, statistics
from deliveries.selectors import replays as replay_rows
from deliveries.selectors.failing import failing
from deliveries.selectors.log import LogFilter
from deliveries.selectors.statistics import Bucket, Scope
from dispatcher.profiles.engine import provider_families
from dispatcher.profiles.model import Profile
from dispatcher.receivers.recipe import Unverifiable
from dispatcher.receivers.snippets import LANGUAGES, snippet
from subscriptions import charts
from subscriptions.models import Endpoint, SigningSecret
from subscriptions.portal.doors import PortalRequest, show
from subscriptions.selectors import event_types, profiles, samples
from subscriptions.services.endpoint_channels import is_letter

TABS = (
    ("health", "Health"),
    ("signing", "Signing"),
    ("test", "Test"),
    ("again", "Send again"),
    ("settings", "Settings"),
)
NEWEST = 10
TYPES_MOST = 500
# Offered in the list; the address takes any.
REPLAYS_SHOWN = 5
P95 = 95
WEEK = periods.chosen("7d")
REPLAY_WORDS = {
    Replay.Kind.RECOVER: "Failed deliveries",
    Replay.Kind.MISSING: "Missing deliveries",
    Replay.Kind.RELEASE: "Held deliveries",
}
STOPPED = {"asked": "stopped by hand", "endpoint_closed": "stopped, because the endpoint was paused or deleted"}


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One replay, as it is shown."""

    replay: Replay
    title: str
    percent: int
    why: str

    @property
    def is_running(self) -> bool:
        return self.replay.status == Replay.Status.RUNNING


def replay_shown(row: Replay) -> ReplayRow:
    percent = round(replay_rows.progress(row) * 100)
    return ReplayRow(row, REPLAY_WORDS[Replay.Kind(row.kind)], percent, STOPPED.get(row.stop_reason, row.stop_reason))


def endpoint_page(
    request: PortalRequest, row: Endpoint, *, tab: str, shown: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """The page with one tab open; `shown` is what the tab shows besides what it always does."""
    tabs = [one for one in TABS if not (is_letter(row) and one[0] == "signing")]
    tab = tab if tab in dict(tabs) else "health"
    found = {one.endpoint_id: one for one in failing(owner_id=row.owner_id, now=request.now)}
    makers = {"health": _health, "signing": _signing, "test": trial_shown, "again": _again, "settings": _settings}
    frame = {
        "section": "endpoints",
        "endpoint": row,
        "tabs": tabs,
        "tab": tab,
        "state": attention.state_of(row, found),
        "attention": attention.of(row, found),
        "is_letter": is_letter(row),
    }
    return show(
        request, "portal/endpoints/endpoint.html", frame | makers[tab](request, row) | (shown or {}), status=status
    )


def _health(request: PortalRequest, row: Endpoint) -> dict[str, Any]:
    found = statistics.read(week_of(row, request), bucket=Bucket.HOUR)
    newest = log_pages.read(owner_id=row.owner_id, where=LogFilter(endpoint_id=row.id), before=None).rows[:NEWEST]
    merchant = request.visitor.merchant.public_id
    buckets = [
        bucket_of(start, figures, WEEK, merchant, endpoint=row.public_id)
        for start, figures in WEEK.gather(found.series, request.now).items()
    ]
    label = f"Deliveries of this endpoint in the last {WEEK.words}"
    return {
        "figures": found.totals,
        "p95": found.totals.latency_ms(P95),
        "pending": found.pending,
        "held": found.held,
        "lane": Lane.objects.filter(endpoint_id=row.id).first(),
        "now": request.now,
        "bars": charts.stacked_bars(buckets, series=SERIES, label=label, height=120),
        "table": charts.table(buckets, series=SERIES, heading="From (UTC)", caption=label),
        "rows": rows_of(newest, {row.id: row.target}),
        "log": log_address(merchant, endpoint=row.public_id),
    }


def _signing(request: PortalRequest, row: Endpoint) -> dict[str, Any]:
    secrets = SigningSecret.objects.filter(endpoint=row).only("id", "created_at", "expires_at").order_by("-created_at")
    profile = profiles.find(row.profile)
    language = request.GET.get("language", "python")
    chosen = language if language in LANGUAGES else "python"
    return {
        "secrets": [one for one in secrets if one.expires_at is None or one.expires_at > request.now],
        "is_provider_signed": profile is not None and bool(provider_families(profile)),
        "languages": [(name, one.title) for name, one in LANGUAGES.items()],
        "language": chosen,
        "snippet": snippet_of(profile, chosen),
        "keys_address": f"{settings.PUBLIC_URL}/.well-known/webhook-keys",
    }


def snippet_of(profile: Profile | None, language: str) -> dict[str, Any]:
    """The code, or the sentence that says why there is none."""
    if profile is None:
        return {"trouble": "This endpoint's format cannot be read at present."}
    try:
        made = snippet(profile, language)
    except Unverifiable as trouble:
        return {"trouble": str(trouble)}
    return {"code": made.code, "filename": made.filename, "notes": made.notes}


def _again(request: PortalRequest, row: Endpoint) -> dict[str, Any]:
    running = replay_rows.of_owner(row.owner_id).filter(endpoint_id=row.id).order_by("-id")[:REPLAYS_SHOWN]
    waiting = statistics.read(week_of(row, request), bucket=Bucket.HOUR)
    return {
        "replays": [replay_shown(one) for one in running],
        "kinds": Replay.Kind,
        "held": waiting.held,
        "failed": waiting.totals.failed,
        "since": (request.now - periods.DAY).strftime("%Y-%m-%dT%H:%M"),
    }


def _settings(_: PortalRequest, row: Endpoint) -> dict[str, Any]:
    return {"headers": row.headers.items(), "metadata": row.metadata.items(), "schedule": row.retry_schedule}


def week_of(row: Endpoint, request: PortalRequest) -> Scope:
    """The endpoint's last seven days."""
    since, until = WEEK.since(request.now), WEEK.until(request.now)
    return Scope(owner_id=row.owner_id, endpoint_id=row.id, event_type=None, since=since, until=until)


def trial_shown(request: PortalRequest, row: Endpoint) -> dict[str, Any]:
    """What the tab "Test" shows: the types, and the sample of the chosen one to edit."""
    names = list(event_types.on_offer().order_by("name").values_list("name", flat=True)[:TYPES_MOST])
    asked = request.GET.get("event_type") or next(iter(row.event_types or ()), "")
    chosen = asked if asked in names else (names[0] if names else "")
    return {"types": names, "event_type": chosen, "payload": sample_text(chosen)}


def sample_text(name: str) -> str:
    row = event_types.on_offer().filter(name=name).first() if name else None
    value = samples.sample_of(row).value if row else {"id": "test-1", "test": "true", "text": "This is a test event."}
    return json.dumps(value, ensure_ascii=False, indent=2)
