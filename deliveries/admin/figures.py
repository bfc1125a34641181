"""The figures and charts of the console: numbers from selectors, made ready for templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.safestring import SafeString

from deliveries.admin.reasons import in_words
from deliveries.selectors.heartbeats import Node, last_tick_s, workers_alive
from deliveries.selectors.queue import Flow, Queue
from deliveries.selectors.statistics import HOUR, Figures, Statistics
from dispatcher.outcomes import Reason
from subscriptions import charts
from subscriptions.admin.columns import EMPTY, Colour

LATE_S = 30
# What has been due for so long waits for workers, not for its turn.
TICK_LATE_S = 15
# Beat ticks every second.
REASONS_SHOWN = 8
TICK_EVERY = 15
# Steps of the present. Names with seconds are long: a phone has room for four of them.

OUTCOMES = (
    charts.Series("Delivered", "delivered"),
    charts.Series("To be tried again", "retrying"),
    charts.Series("Failed for good", "failed"),
)
PERCENTILES = (charts.Series("p50", "accent"), charts.Series("p95", "retrying"))
RATES = (charts.Series("Published", "accent"), charts.Series("Attempts", "delivered"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a strip; `colour` where it says that something is wrong or well."""

    name: str
    value: str
    note: str = ""
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """How often attempts ended for a reason lately."""

    words: str
    address: str
    count: int
    percent: str
    bar: SafeString


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its key and its table."""

    heading: str
    note: str
    drawing: SafeString
    legend: SafeString
    table: SafeString


def strip(queue: Queue, flow: Flow | None, nodes: list[Node], *, now: datetime) -> list[Figure]:
    """How the platform is, in six numbers."""
    return [
        _due(queue, now),
        Figure("In flight", charts.amount(queue.in_flight), f"in {queue.lanes.leased} lanes"),
        _rate("Attempts", flow, is_events=False),
        _rate("Published", flow, is_events=True),
        _workers(nodes),
        _tick(nodes),
    ]


def of_scope(found: Statistics) -> list[Figure]:
    """How the last day of an endpoint or a merchant went, in five numbers."""
    totals = found.totals
    ratio, p95 = totals.success_ratio, totals.latency_ms(95)
    return [
        Figure("Delivered", charts.amount(totals.delivered), "in the last day"),
        Figure("Failed for good", charts.amount(totals.failed), f"of {charts.amount(totals.attempts)} attempts"),
        Figure("Success", EMPTY if ratio is None else f"{ratio:.1%}", "of what came to an end"),
        Figure("p95", EMPTY if p95 is None else charts.amount(p95, "ms"), "of what was delivered"),
        Figure("Waiting", at_least(found.pending.count, is_exact=found.pending.is_exact), _held(found)),
    ]


def by_hour(hours: Mapping[datetime, Figures], *, heading: str) -> list[Chart]:
    """What attempts came to, and how long those took that delivered."""
    outcomes = [charts.Bucket(_hour(hour), _outcomes(found), tick=f"{hour:%H:%M}") for hour, found in hours.items()]
    latencies = [
        charts.Bucket(_hour(hour), (found.latency_ms(50), found.latency_ms(95)), tick=f"{hour:%H:%M}")
        for hour, found in hours.items()
    ]
    return [
        _chart(charts.stacked_bars, outcomes, OUTCOMES, heading, "by the hour, UTC", "Hour"),
        _chart(
            charts.lines, latencies, PERCENTILES, "Latency", "of what was delivered, by the hour, UTC", "Hour", "ms"
        ),
    ]


def rates(flow: Flow) -> Chart:
    """Events published and attempts made, a second, over the flow's span."""
    step_s = flow.span.step.total_seconds()
    shape = "%H:%M" if flow.span.step >= timedelta(minutes=1) else "%H:%M:%S"
    buckets = [
        charts.Bucket(
            f"{step.begins_at:%H:%M:%S} UTC",
            (step.events / step_s, sum(step.attempts.values()) / step_s),
            tick="" if number % TICK_EVERY else step.begins_at.strftime(shape),
        )
        for number, step in enumerate(flow.steps)
    ]
    return _chart(charts.lines, buckets, RATES, "Rates", f"a second, over {lasting(flow.span.length)}", "From", "/s")


def reasons(flow: Flow) -> list[ReasonRow]:
    """What the attempts of the flow's span ended with, the most frequent first."""
    found = flow.attempts
    total = sum(found.values())
    address = reverse("admin:deliveries_attempt_changelist")
    return [
        ReasonRow(
            words=in_words(reason),
            address=f"{address}?q={reason}&within=1h",
            count=count,
            percent=f"{count / total:.1%}",
            bar=charts.share(count / total, kind="delivered" if reason == Reason.DELIVERED else "failed"),
        )
        for reason, count in list(found.items())[:REASONS_SHOWN]
    ]


def lasting(length: timedelta | float) -> str:
    """A stretch of time in its largest unit that fills it twice, e.g. `90 s`, `4 min`."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    for unit, size_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(seconds, 0):.1f} s"


def at_least(count: int, *, is_exact: bool) -> str:
    return charts.amount(count) if is_exact else f"{charts.amount(count)}+"


def _held(found: Statistics) -> str:
    return f"{at_least(found.held.count, is_exact=found.held.is_exact)} held"


def _due(queue: Queue, now: datetime) -> Figure:
    value = at_least(queue.due, is_exact=queue.is_exact)
    if queue.oldest_due_at is None:
        return Figure("Due now", value, "nothing waits", Colour.GREEN)
    waited = now - queue.oldest_due_at
    colour = Colour.RED if waited > timedelta(seconds=LATE_S) else Colour.GREEN
    return Figure("Due now", value, f"the oldest for {lasting(waited)}", colour)


def _rate(name: str, flow: Flow | None, *, is_events: bool) -> Figure:
    if flow is None:
        return Figure(name, EMPTY, "took too long to read")
    lately = flow.lately
    rate = lately.events_per_s() if is_events else lately.attempts_per_s()
    more = "" if lately.is_exact else "+"
    return Figure(name, f"{charts.amount(rate)}{more} /s", f"over {lasting(lately.span.length)}")


def _workers(nodes: list[Node]) -> Figure:
    alive = workers_alive(nodes)
    if not alive:
        return Figure("Workers", "0", "nothing is sent", Colour.RED)
    silent = sum(not node.is_alive for node in nodes)
    return Figure("Workers", str(alive), f"{silent} fell silent" if silent else "all heard of", Colour.GREEN)


def _tick(nodes: list[Node]) -> Figure:
    ago_s = last_tick_s(nodes)
    if ago_s is None:
        return Figure("Last tick of beat", EMPTY, "none is known", Colour.RED)
    colour = Colour.RED if ago_s > TICK_LATE_S else Colour.GREEN
    return Figure("Last tick of beat", lasting(ago_s), "ago", colour)


def _outcomes(found: Figures) -> tuple[int, int, int]:
    return found.delivered, found.attempts - found.delivered - found.failed, found.failed


def _hour(hour: datetime) -> str:
    return f"{hour:%d %b %H:%M} to {hour + HOUR:%H:%M} UTC"


def _chart(
    draw: "charts.Draw",
    buckets: list[charts.Bucket],
    series: tuple[charts.Series, ...],
    heading: str,
    note: str,
    first: str,
    unit: str = "",
) -> Chart:
    label = f"{heading}, {note}"
    drawing = draw(buckets, series=series, label=label, unit=unit)
    table = charts.table(buckets, series=series, heading=first, caption=label, unit=unit)
    return Chart(heading, note, drawing, charts.legend(series), table)
