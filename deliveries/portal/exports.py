"""The log as a file: what to write into it, how far it is, and the download."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from deliveries.api.export_views import RangeNotSatisfiable, file_answer
from deliveries.models import Export
from deliveries.portal import queries
from deliveries.portal.queries import read_window
from deliveries.selectors import exports as selectors
from deliveries.selectors.log_files import ATTEMPTS, CSV, PAYLOADS
from deliveries.services import exports
from dispatcher.ids import Prefix
from subscriptions.errors import Conflict, Invalid, NotFound
from subscriptions.portal.doors import PortalRequest, is_fragment, page, show

SHOWN = 20
# The newest. Older files have expired long ago.
FORMATS = ((Export.Format.CSV, "CSV", "for a spreadsheet"), (Export.Format.NDJSON, "NDJSON", "for programs"))
PARTS = (
    (ATTEMPTS, "Attempts", "when each was made and what came of it"),
    (PAYLOADS, "Payloads", "the events' contents; a larger file"),
)
STOPPED: Mapping[str, str] = {
    exports.TOO_LARGE: "larger than a file may be: ask for a shorter time",
    exports.WITHDRAWN: "taken away, because contents in it were erased",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One export, as it is shown."""

    export: Export
    title: str
    percent: int
    why: str

    @property
    def is_running(self) -> bool:
        return self.export.status == Export.Status.RUNNING

    @property
    def has_file(self) -> bool:
        return self.export.status == Export.Status.FINISHED


@page()
def export_list(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/exports/?since=&until=`: the form and the newest exports; a POST begins one."""
    if request.method != "POST":
        return _list(request, request.GET)
    try:
        since, until = read_window(request.POST)
        exports.begin(
            merchant=request.visitor.merchant,
            format=_chosen_format(request.POST),
            since=since,
            until=until,
            include=[part for part, _, _ in PARTS if part in request.POST.getlist("include")],
            actor=request.visitor.actor,
            now=request.now,
        )
    except Invalid as refusal:
        return _list(request, request.POST, fault=refusal.errors[0].message, status=422)
    except Conflict as refusal:
        return _list(request, request.POST, fault=refusal.detail, status=409)
    return _to_list(request)


@page()
def progress(request: PortalRequest, export: str) -> HttpResponse:
    """`/portal/<merchant>/exports/<export>/`: how far it is, asked again while it runs."""
    row = _shown(_find(request, export))
    if not is_fragment(request):
        return _to_list(request)
    return show(request, "portal/exports/row.html", {"row": row})


@page()
def download(request: PortalRequest, export: str) -> HttpResponseBase:
    """`/portal/<merchant>/exports/<export>/file`, or a part of it, as browsers ask for one that broke off."""
    try:
        return file_answer(_find(request, export), method=request.method or "", headers=request.headers)
    except RangeNotSatisfiable:
        return HttpResponse(status=RangeNotSatisfiable.status_code)


@page(needs="developer")
def delete(request: PortalRequest, export: str) -> HttpResponse:
    """`/portal/<merchant>/exports/<export>/delete`: the question, then the deed."""
    row = _find(request, export)
    if request.method != "POST":
        return show(request, "portal/exports/delete.html", {"section": "log", "row": _shown(row)})
    exports.delete(export=row, actor=request.visitor.actor, now=request.now)
    return _to_list(request)


def _list(request: PortalRequest, asked: Mapping[str, str], *, fault: str = "", status: int = 200) -> HttpResponse:
    rows = selectors.of_owner(request.visitor.merchant.id).order_by("-id")[:SHOWN]
    shown = {
        "section": "log",
        "rows": [_shown(row) for row in rows],
        "formats": FORMATS,
        "parts": PARTS,
        "format": _chosen_format(asked),
        "include": request.POST.getlist("include"),
        "since": _for_input(asked, "since"),
        "until": _for_input(asked, "until"),
        "fault": fault,
    }
    return show(request, "portal/exports/list.html", shown, status=status)


def _shown(row: Export) -> Row:
    percent = int(selectors.progress(row) * 100)
    return Row(row, row.format.upper(), percent, STOPPED.get(row.stop_reason, row.stop_reason))


def _chosen_format(asked: Mapping[str, str]) -> str:
    named = asked.get("format", "")
    return named if named in Export.Format.values else CSV


def _for_input(asked: Mapping[str, str], name: str) -> str:
    """A moment as an input of the type datetime-local takes it; what is none, as it was typed."""
    moment = queries.moment(asked.get(name))
    return f"{moment:%Y-%m-%dT%H:%M}" if moment else asked.get(name, "")


def _find(request: PortalRequest, named: str) -> Export:
    export_id: UUID | None = queries.ident(Prefix.EXPORT, named)
    if export_id is None:
        raise NotFound("There is no such export.")
    return selectors.get(export_id, owner_id=request.visitor.merchant.id)


def _to_list(request: PortalRequest) -> HttpResponse:
    response = HttpResponseRedirect(reverse("portal-exports", args=[request.visitor.merchant.public_id]))
    response.status_code = 303
    return response
