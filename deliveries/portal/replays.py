"""Sending again from an endpoint's page: a count first, to agree to, then progress."""

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect

from deliveries.models import Replay
from deliveries.portal import queries
from deliveries.portal.endpoint_tabs import REPLAY_WORDS, endpoint_page, replay_shown
from deliveries.selectors import replays as selectors
from deliveries.services import replays
from dispatcher.ids import Prefix
from subscriptions.errors import FieldError, Invalid, NotFound
from subscriptions.models import Endpoint
from subscriptions.portal.doors import PortalRequest, is_fragment, page, show
from subscriptions.portal.endpoints import find


@page(needs="developer")
def begin(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/again` with `kind`, `since`, `until`: a count to agree to; with `agreed` the deed."""
    row = find(request, endpoint)
    kind = request.POST.get("kind", "")
    if request.method != "POST" or kind not in Replay.Kind.values:
        raise NotFound("There is nothing like that to send again.")
    try:
        since, until = _window(request, kind)
        if "agreed" not in request.POST:
            return _count(request, row, Replay.Kind(kind), since, until)
        replays.begin(
            endpoint=row,
            kind=Replay.Kind(kind),
            since=since,
            until=until,
            actor=request.visitor.actor,
            now=request.now,
        )
    except Invalid as refusal:
        shown = {"kind": kind, "fault": refusal.errors[0].message}
        return _answer(request, row, shown, status=422)
    response = redirect("portal-endpoint", request.visitor.merchant.public_id, row.public_id, permanent=False)
    response["Location"] += "?tab=again"
    response.status_code = 303
    return response


@page()
def progress(request: PortalRequest, replay: str) -> HttpResponse:
    """`/portal/<merchant>/replays/<replay>`: how far it is, asked again while it runs; a POST stops it."""
    replay_id = queries.ident(Prefix.REPLAY, replay)
    owner_id = request.visitor.merchant.id
    if replay_id is None:
        raise NotFound("There is no such replay.")
    if request.method == "POST":
        replays.stop(replay_id=replay_id, owner_id=owner_id, actor=request.visitor.actor, now=request.now)
    found = replay_shown(selectors.get(replay_id, owner_id=owner_id))
    template = "portal/endpoints/progress.html" if is_fragment(request) else "portal/endpoints/replay.html"
    return show(request, template, {"section": "endpoints", "row": found})


def _count(
    request: PortalRequest, row: Endpoint, kind: Replay.Kind, since: datetime | None, until: datetime | None
) -> HttpResponse:
    found = replays.count(endpoint=row, kind=kind, since=since, until=until, now=request.now)
    shown = {
        "kind": kind,
        "title": REPLAY_WORDS[kind],
        "count": found.count,
        "is_exact": found.is_exact,
        "asked_since": request.POST.get("since", ""),
        "asked_until": request.POST.get("until", ""),
    }
    return _answer(request, row, shown)


def _answer(request: PortalRequest, row: Endpoint, shown: dict[str, Any], *, status: int = 200) -> HttpResponse:
    if is_fragment(request):
        return show(request, "portal/endpoints/agree.html", {"endpoint": row, **shown}, status=status)
    return endpoint_page(request, row, tab="again", shown={"agree": True, **shown}, status=status)


def _window(request: PortalRequest, kind: str) -> tuple[datetime | None, datetime | None]:
    """Raises Invalid for a moment that cannot be read, and where none is given that is needed."""
    since, until = queries.read_window(request.POST)
    if kind != Replay.Kind.RELEASE and since is None:
        raise Invalid(FieldError("/since", "required", "Say since when."))
    return since, until
