"""The page of the queue: lanes by their state, those that wait longest, who works on them, and running replays."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries.admin import figures
from deliveries.admin.bounded import bounded
from deliveries.admin.dashboard import SEE_QUEUE, flow_parts
from deliveries.admin.lanes import lane_state
from deliveries.admin.naming import endpoint_link, endpoint_url
from deliveries.admin.replays import ReplayRow, replay_rows
from deliveries.models import Lane, Replay
from deliveries.selectors import heartbeats, queue
from subscriptions.admin.columns import Colour, dot, moment, page_link

LANES_SHOWN = 25
REPLAYS_SHOWN = 25


@dataclass(frozen=True, slots=True)
class StateRow:
    """How many lanes are in a state, and the list of them."""

    state: SafeString
    means: str
    count: int
    address: str


@dataclass(frozen=True, slots=True)
class LaneRow:
    endpoint: SafeString
    state: SafeString
    due: SafeString | str
    held_back: SafeString | str
    flying: int
    window: int
    page: SafeString


@dataclass(frozen=True, slots=True)
class NodeRow:
    name: str
    kind: str
    state: SafeString
    heard: str
    progress: str


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(SEE_QUEUE):
        raise PermissionDenied
    now = timezone.now()
    flow = bounded(lambda: queue.flow(now=now))
    shown = {"title": "Queue", "parts": bounded(lambda: _parts(flow, now=now)), **flow_parts(flow)}
    return TemplateResponse(request, "deliveries/admin/queue.html", admin.site.each_context(request) | shown)


def _parts(flow: queue.Flow | None, *, now: datetime) -> dict[str, Any]:
    state, nodes = queue.read(now=now), heartbeats.nodes()
    return {
        "strip": figures.strip(state, flow, nodes, now=now),
        "states": _states(state.lanes),
        "lanes": [_lane(row, now) for row in _longest_due()],
        "nodes": [_node(node) for node in nodes],
        "replays": _running(),
    }


def _states(lanes: queue.Lanes) -> list[StateRow]:
    address = reverse("admin:deliveries_lane_changelist")
    told = (
        (dot(Colour.GREEN, "Leased"), "A worker sends what is in it now.", lanes.leased, "leased"),
        (dot(Colour.AMBER, "Due"), "Waits for a worker.", lanes.due, "due"),
        (dot(Colour.AMBER, "Waiting"), "Its next retry comes later.", lanes.waiting, "waiting"),
        (
            dot(Colour.RED, "Breaker open"),
            "Of those: nearly everything fails, so it is held back.",
            lanes.broken,
            "broken",
        ),
        (dot(Colour.GREY, "Paced"), "Of those: its rate limit allows nothing before its time.", lanes.paced, "paced"),
        (dot(Colour.RED, "Lease ran out"), "Its worker died; another takes it next.", lanes.expired, "expired"),
    )
    return [StateRow(state, means, count, f"{address}?state={name}") for state, means, count, name in told]


def _longest_due() -> QuerySet[Any]:
    """By the index of lanes with work."""
    rows = Lane.objects.exclude(due_at=None).annotate(endpoint_url=endpoint_url())
    return rows.order_by("due_at")[:LANES_SHOWN]


def _lane(row: Any, now: datetime) -> LaneRow:
    return LaneRow(
        endpoint=endpoint_link(row.endpoint_id, row.endpoint_url),
        state=lane_state(row, now=now),
        due=moment(row.due_at),
        held_back=moment(row.not_before),
        flying=len(row.in_flight),
        window=row.window,
        page=page_link("deliveries_lane", row.endpoint_id, "View"),
    )


def _node(node: heartbeats.Node) -> NodeRow:
    return NodeRow(
        name=node.node,
        kind=node.kind,
        state=dot(Colour.GREEN, "Alive") if node.is_alive else dot(Colour.RED, "Silent"),
        heard=f"{figures.lasting(node.silent_s)} ago",
        progress=f"{figures.lasting(node.idle_s)} ago",
    )


def _running() -> list[ReplayRow]:
    rows = Replay.objects.filter(status=Replay.Status.RUNNING).annotate(endpoint_url=endpoint_url())
    return replay_rows(rows.order_by("updated_at")[:REPLAYS_SHOWN])
