"""The overview: how deliveries went, against the period before, and what needs somebody's attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.utils.safestring import SafeString

from deliveries.models import Delivery
from deliveries.portal.addresses import log_address
from deliveries.portal.attention import needing_attention
from deliveries.portal.periods import PERIODS, Period, chosen
from deliveries.selectors import log_pages, statistics
from deliveries.selectors.failing import failing
from deliveries.selectors.statistics import Bucket, Figures, Scope, Statistics
from subscriptions import charts
from subscriptions.charts import Series
from subscriptions.portal.doors import PortalRequest, is_fragment, page, show
from subscriptions.selectors import endpoints
from subscriptions.templatetags.portal import change, points

P95 = 95
SERIES = (Series("Delivered", "delivered"), Series("Failed", "failed"))
TYPES_SHOWN = 12
LEAST_CHANGE = {"count": 0.005, "ms": 0.05, "ratio": 0.0005}
# What is smaller is neither better nor worse; a percentile moves a little by itself.


@dataclass(frozen=True, slots=True)
class Card:
    """One figure with its change against the period before: `change` is None where there is nothing to compare."""

    name: str
    value: float | None
    kind: str
    before: float | None
    spark: SafeString
    href: str
    is_more_better: bool | None

    @property
    def change(self) -> float | None:
        if self.value is None or self.before is None or (self.kind == "count" and not self.before):
            return None
        return self.value - self.before if self.kind == "ratio" else (self.value - self.before) / (self.before or 1)

    @property
    def joint(self) -> str:
        """What joins the change to what it is measured by: "the same as in …", "12 % more than in …"."""
        words = points(self.change or 0) if self.kind == "ratio" else change(self.change or 0)
        return "as in" if words == "the same" or words.endswith("as much") else "than in"

    @property
    def tone(self) -> str:
        if self.change is None or abs(self.change) < LEAST_CHANGE[self.kind] or self.is_more_better is None:
            return ""
        return "better" if (self.change > 0) == self.is_more_better else "worse"


@dataclass(frozen=True, slots=True)
class TypeRow:
    name: str
    figures: Figures
    href: str


@page()
def overview(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/?period=24h|7d|30d`"""
    merchant, period = request.visitor.merchant, chosen(request.GET.get("period"))
    present = _read(merchant.id, period, since=period.since(request.now), until=period.until(request.now))
    past = _read(merchant.id, period, since=period.since(request.now) - period.span, until=period.since(request.now))
    living = list(endpoints.living(merchant).order_by("id"))
    steps = period.gather(present.series, request.now)
    shown = {
        "section": "overview",
        "period": period,
        "periods": PERIODS,
        "cards": _cards(present.totals, past.totals, list(steps.values()), merchant.public_id, period),
        "chart": _chart(steps, period, merchant.public_id),
        "has_figures": bool(present.totals.attempts),
        "types": _types(present.by_type, merchant.public_id, period),
        "pending": present.pending,
        "held": present.held,
        "attention": needing_attention(living, failing(owner_id=merchant.id, now=request.now)),
        "api": settings.PUBLIC_URL,
        "guide": _guide(merchant.id, has_endpoint=bool(living), figures=present.totals, past=past.totals),
    }
    return show(request, "portal/overview/body.html" if is_fragment(request) else "portal/overview/page.html", shown)


def _read(owner_id: UUID, period: Period, *, since: datetime, until: datetime) -> Statistics:
    scope = Scope(owner_id=owner_id, endpoint_id=None, event_type=None, since=since, until=until)
    return statistics.read(scope, bucket=Bucket.DAY if period.step.days else Bucket.HOUR)


def _cards(present: Figures, past: Figures, steps: Sequence[Figures], merchant: str, period: Period) -> list[Card]:
    def spark(values: Sequence[float | None], kind: str) -> SafeString:
        return charts.sparkline(values, kind=kind)

    return [
        Card(
            "Delivered",
            present.delivered,
            "count",
            past.delivered,
            spark([step.delivered for step in steps], "delivered"),
            log_address(merchant, status="delivered", range=period.name),
            None,
        ),
        Card(
            "Failed",
            present.failed,
            "count",
            past.failed,
            spark([step.failed for step in steps], "failed"),
            log_address(merchant, status="failed", range=period.name),
            False,  # noqa: FBT003 - named by its place in the class
        ),
        Card(
            "Success ratio",
            present.success_ratio,
            "ratio",
            past.success_ratio,
            spark([step.success_ratio for step in steps], "accent"),
            log_address(merchant, status="failed", range=period.name),
            True,  # noqa: FBT003
        ),
        Card(
            "Answer time, p95",
            present.latency_ms(P95),
            "ms",
            past.latency_ms(P95),
            spark([step.latency_ms(P95) for step in steps], "accent"),
            log_address(merchant, range=period.name),
            False,  # noqa: FBT003
        ),
    ]


def _chart(steps: Mapping[datetime, Figures], period: Period, merchant: str) -> dict[str, SafeString]:
    buckets = [bucket_of(start, figures, period, merchant) for start, figures in steps.items()]
    label = f"Deliveries that came to an end in the last {period.words}"
    return {
        "bars": charts.stacked_bars(buckets, series=SERIES, label=label, height=200),
        "legend": charts.legend(SERIES),
        "table": charts.table(buckets, series=SERIES, heading="From (UTC)", caption=label),
    }


def bucket_of(start: datetime, figures: Figures, period: Period, merchant: str, **narrowed: str) -> charts.Bucket:
    """One step of a chart of SERIES; a click leads to its deliveries."""
    return charts.Bucket(
        label=_named(start, period),
        values=(figures.delivered, figures.failed),
        tick=_tick(start, period),
        href=log_address(merchant, since=start, until=start + period.step, **narrowed),
    )


def _named(start: datetime, period: Period) -> str:
    if period.step.days:
        return f"{start:%-d %B %Y}"
    return f"{start:%-d %b, %H:%M} to {start + period.step:%H:%M} UTC"


def _tick(start: datetime, period: Period) -> str:
    if period.span.days == 1:
        return f"{start:%H:%M}"
    is_first_of_day = start.date() != (start - period.step).date()
    return f"{start:%-d %b}" if is_first_of_day else ""


def _types(by_type: Mapping[str, Figures], merchant: str, period: Period) -> list[TypeRow]:
    """Those that failed most first, then by how many there were."""
    rows = sorted(by_type.items(), key=lambda item: (-item[1].failed, -item[1].attempts))
    return [
        TypeRow(name, figures, log_address(merchant, type=name, range=period.name))
        for name, figures in rows[:TYPES_SHOWN]
    ]


def _guide(owner_id: UUID, *, has_endpoint: bool, figures: Figures, past: Figures) -> dict[str, bool] | None:
    """The first steps, each ticked as it happens; None once deliveries arrive."""
    if has_endpoint and (figures.delivered or past.delivered):
        return None
    newest = log_pages.newest_states(owner_id)
    is_delivering = any(status == Delivery.Status.DELIVERED for status, _ in newest)
    if has_endpoint and is_delivering:
        return None
    is_tried = bool(figures.attempts or past.attempts) or any(tries for _, tries in newest)
    return {"has_endpoint": has_endpoint, "is_tried": is_tried, "is_delivering": is_delivering}
