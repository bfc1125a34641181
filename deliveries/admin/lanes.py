"""Lanes: what waits, who holds it and how wide the window is."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries.admin.naming import endpoint_link, endpoint_url
from deliveries.models import Lane, LaneEntry
from dispatcher.ids import Prefix, show
from subscriptions.admin.base import ReadOnlyAdmin
from subscriptions.admin.columns import (
    DELIVERY_PAGE,
    EMPTY,
    Colour,
    dot,
    id_link,
    lines,
    list_link,
    mark,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.filters import ChoiceFilter, by_id
from subscriptions.admin.logs import LogAdmin, WindowFilter
from subscriptions.models import Endpoint

if TYPE_CHECKING:
    from deliveries.admin.naming import NamedLane, NamedLaneEntry

ENTRIES_PAGE = "deliveries_laneentry"


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    offered = (
        ("due", "Due"),
        ("leased", "Leased"),
        ("waiting", "Waiting"),
        ("empty", "Empty"),
        ("broken", "Breaker open"),
        ("paced", "Paced"),
        ("failing", "Failing"),
        ("expired", "Lease ran out"),
        ("suspect", "Suspect"),
    )

    def narrow(self, rows: QuerySet[Lane], value: str) -> QuerySet[Lane]:
        return rows.filter(_meaning(timezone.now()).get(value, Q(due_at=None, leased_until=None)))


def _meaning(now: datetime) -> dict[str, Q]:
    return {
        "due": Q(due_at__lte=now),
        "leased": Q(leased_until__gt=now),
        "expired": Q(leased_until__lte=now),
        "waiting": Q(due_at__gt=now, leased_until=None),
        "broken": Q(open_until__gt=now),
        "paced": Q(paced_until__gt=now),
        "failing": ~Q(failing_since=None),
        "suspect": Q(is_suspect=True),
    }


@admin.register(Lane)
class LaneAdmin(ReadOnlyAdmin[Lane]):
    """One lane for each endpoint, so that this table may be counted."""

    fields = (
        ("endpoint", "state"),
        ("due", "held_back"),
        ("breaker", "paced"),
        ("failing", "warned"),
        ("leased", "window"),
        ("suspect", "ordered"),
        "flying",
    )
    list_display = ("endpoint", "state", "due", "leased", "in_flight_count", "window", "suspect", "page")
    list_display_links = None
    list_filter = (StateFilter,)
    ordering = (F("due_at").asc(nulls_last=True), "endpoint_id")
    sortable_by = ()
    id_columns = {Prefix.ENDPOINT: "pk"}
    search_help_text = "An id (ep_…) or a part of the endpoint's URL"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(endpoint_url=endpoint_url())

    def search_text(self, rows: QuerySet[Lane], term: str) -> QuerySet[Lane]:
        return rows.filter(pk__in=Endpoint.objects.filter(target__icontains=term).values("id"))

    def page_links(self, obj: Lane) -> Iterable[SafeString | None]:
        shown = show(Prefix.ENDPOINT, obj.endpoint_id)
        yield list_link(ENTRIES_PAGE, "Entries", endpoint=shown)
        yield list_link(DELIVERY_PAGE, "Deliveries", endpoint=shown)

    @admin.display(description="Endpoint")
    def endpoint(self, lane: "NamedLane") -> SafeString:
        return endpoint_link(lane.endpoint_id, lane.endpoint_url)

    @admin.display(description="")
    def page(self, lane: Lane) -> SafeString:
        return page_link("deliveries_lane", lane.endpoint_id, "View")

    @admin.display(description="State")
    def state(self, lane: Lane) -> SafeString:
        return lane_state(lane, now=timezone.now())

    @admin.display(description="Breaker (UTC)")
    def breaker(self, lane: Lane) -> SafeString | str:
        """A lane whose time is over sends one probe, which decides."""
        if lane.open_until is None:
            return "Closed"
        return lines(["Open, probes from", moment(lane.open_until)])

    @admin.display(description="Rate limit: nothing before (UTC)")
    def paced(self, lane: Lane) -> SafeString | str:
        return moment(lane.paced_until)

    @admin.display(description="Nothing delivered since (UTC)")
    def failing(self, lane: Lane) -> SafeString | str:
        return moment(lane.failing_since)

    @admin.display(description="Its people were told (UTC)")
    def warned(self, lane: Lane) -> SafeString | str:
        return moment(lane.warned_at)

    @admin.display(description="In order")
    def ordered(self, lane: Lane) -> SafeString | str:
        if not lane.is_ordered:
            return "No"
        return lines(["Yes; its first waits until", moment(lane.retry_at)]) if lane.retry_at else "Yes"

    @admin.display(description="Suspect")
    def suspect(self, lane: Lane) -> str:
        return mark("Timed out last", when=lane.is_suspect)

    @admin.display(description="Due (UTC)")
    def due(self, lane: Lane) -> SafeString | str:
        return moment(lane.due_at)

    @admin.display(description="Not before (UTC)")
    def held_back(self, lane: Lane) -> SafeString | str:
        return moment(lane.not_before)

    @admin.display(description="Leased until (UTC)")
    def leased(self, lane: Lane) -> SafeString | str:
        return moment(lane.leased_until)

    @admin.display(description="In flight")
    def in_flight_count(self, lane: Lane) -> int:
        return len(lane.in_flight)

    @admin.display(description="In flight")
    def flying(self, lane: Lane) -> SafeString | str:
        ids = [id_link(show(Prefix.DELIVERY, delivery_id)) for delivery_id in lane.in_flight]
        return lines(ids) if ids else EMPTY


def lane_state(lane: Lane, *, now: datetime) -> SafeString:
    if lane.leased_until:
        return dot(Colour.GREEN, "Leased") if lane.leased_until > now else dot(Colour.RED, "Lease ran out")
    if lane.due_at is None:
        return dot(Colour.GREY, "Empty")
    if lane.due_at <= now:
        return dot(Colour.AMBER, "Due")
    return (
        dot(Colour.RED, "Breaker open") if lane.open_until and lane.open_until > now else dot(Colour.AMBER, "Waiting")
    )


@admin.register(LaneEntry)
class LaneEntryAdmin(LogAdmin[LaneEntry]):
    """As many as deliveries wait, so that it is paged as a log. By delivery, not by due time: the key is the index."""

    fields = ("delivery", "endpoint", "due", "trigger")
    list_display = ("delivery", "endpoint", "due", "trigger")
    list_display_links = None
    list_filter = (WindowFilter, by_id(Prefix.ENDPOINT, "endpoint", "endpoint_id"))
    id_columns = {Prefix.DELIVERY: "pk", Prefix.ENDPOINT: "endpoint_id"}
    search_help_text = "An id (del_…, ep_…)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(endpoint_url=endpoint_url())

    @admin.display(description="Delivery")
    def delivery(self, entry: LaneEntry) -> SafeString:
        return page_link(DELIVERY_PAGE, entry.delivery_id, short_id(show(Prefix.DELIVERY, entry.delivery_id)))

    @admin.display(description="Endpoint")
    def endpoint(self, entry: "NamedLaneEntry") -> SafeString:
        return endpoint_link(entry.endpoint_id, entry.endpoint_url)

    @admin.display(description="Due (UTC)")
    def due(self, entry: LaneEntry) -> SafeString | str:
        return moment(entry.due_at)
