"""Replays: how far each is, stopping one, and beginning one: what failed, what is held or what is missing, in bulk."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from deliveries.admin.naming import endpoint_link, endpoint_url, merchant_link, merchant_name
from deliveries.models import Replay
from deliveries.selectors.replays import progress
from deliveries.services import replays
from dispatcher.ids import Prefix, show
from subscriptions import charts
from subscriptions.admin.base import actor_of
from subscriptions.admin.columns import (
    DELIVERY_PAGE,
    REPLAY_PAGE,
    Colour,
    code,
    dot,
    list_link,
    moment,
    page_link,
    read_id,
    short_id,
)
from subscriptions.admin.filters import by_id
from subscriptions.admin.logs import LogAdmin, WindowFilter
from subscriptions.errors import Refusal
from subscriptions.models import Endpoint
from subscriptions.selectors import merchants

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    from deliveries.admin.naming import EndpointUrl, Names

    NamedReplay = WithAnnotations[Replay, Names]
    ReplayTo = WithAnnotations[Replay, EndpointUrl]

COUNTED_MOST = 3
# Endpoints for which what would be sent is counted before somebody says yes: each looks through up to 100,000 rows.
COLOURS = {
    Replay.Status.RUNNING: Colour.AMBER,
    Replay.Status.FINISHED: Colour.GREEN,
    Replay.Status.STOPPED: Colour.GREY,
}
KINDS = {
    Replay.Kind.RECOVER: "What failed for good",
    Replay.Kind.RELEASE: "What is held",
    Replay.Kind.MISSING: "What the endpoint was never owed: events from before it was there",
}


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """A replay in a table of another page."""

    link: SafeString
    kind: str
    endpoint: SafeString
    percent: str
    bar: SafeString
    sent: int


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint that is meant, with what would be sent to it; `count` is None where it was not counted."""

    endpoint: Endpoint
    count: str | None
    refusal: str = ""


class BeginForm(forms.Form):
    """Which deliveries to send again. Times are UTC."""

    where = forms.CharField(
        max_length=255,
        label="Endpoint or merchant",
        help_text="An endpoint's id (ep_…), or a merchant's id (mer_…) or reference: then to all its active endpoints.",
    )
    kind = forms.ChoiceField(label="What", choices=list(KINDS.items()), widget=forms.RadioSelect, initial="recover")
    since = forms.DateTimeField(
        required=False,
        label="Published since (UTC)",
        widget=forms.DateTimeInput(attrs={"placeholder": "2026-01-31 09:00"}),
    )
    until = forms.DateTimeField(
        required=False,
        label="And before (UTC)",
        widget=forms.DateTimeInput(attrs={"placeholder": "2026-01-31 12:00"}),
        help_text="Nothing: as far as there is.",
    )

    def clean_where(self) -> list[Endpoint]:
        """The endpoints that are meant, closed ones left out where a merchant was named."""
        text = self.cleaned_data["where"].strip()
        match read_id(text):
            case (Prefix.ENDPOINT, row_id):
                found = list(Endpoint.objects.filter(id=row_id, deleted_at=None))
            case _:
                merchant = merchants.find(text)
                found = list(Endpoint.objects.filter(owner=merchant, is_active=True)) if merchant else []
        if not found:
            raise forms.ValidationError("There is no such endpoint, and no merchant with active ones.")
        return found

    def window(self) -> dict[str, datetime | None]:
        return {name: _in_utc(self.cleaned_data[name]) for name in ("since", "until")}


@admin.register(Replay)
class ReplayAdmin(LogAdmin[Replay]):
    fields = (
        ("state", "kind"),
        ("endpoint", "merchant"),
        ("share", "sent"),
        ("from_when", "to_when"),
        ("actor", "created"),
        ("updated", "finished"),
        "shown_id",
    )
    list_display = ("link", "created", "kind", "endpoint", "merchant", "state", "share", "sent", "actor")
    list_display_links = None
    list_filter = (
        WindowFilter,
        "status",
        "kind",
        by_id(Prefix.ENDPOINT, "endpoint", "endpoint_id"),
        by_id(Prefix.MERCHANT, "merchant", "owner_id"),
    )
    search_help_text = "An id (rpl_…, ep_…, mer_…)"
    id_columns = {Prefix.REPLAY: "id", Prefix.ENDPOINT: "endpoint_id", Prefix.MERCHANT: "owner_id"}
    actions = ("stop",)
    buttons = ("stop",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Replays are begun on a page of their own."""
        return may_resend(request)

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return may_resend(request)

    def has_button(self, name: str, obj: Replay) -> bool:  # noqa: ARG002 - it has the one
        return obj.status == Replay.Status.RUNNING

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        named = {"endpoint_url": endpoint_url(), "merchant_name": merchant_name("owner_id")}
        return super().get_queryset(request).annotate(**named)

    def page_links(self, obj: Replay) -> Iterable[SafeString | None]:
        yield list_link(DELIVERY_PAGE, "Deliveries", endpoint=show(Prefix.ENDPOINT, obj.endpoint_id))
        yield list_link(REPLAY_PAGE, "Of this endpoint", endpoint=show(Prefix.ENDPOINT, obj.endpoint_id))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        """First what is meant, then what that would send, then it begins."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        posted = request.method == "POST"
        form = BeginForm(request.POST) if posted else BeginForm(initial=request.GET.dict())
        targets: list[Target] = []
        if posted and form.is_valid():
            if "confirm" in request.POST:
                return self._begin(request, form)
            targets = _counted(form)
        shown = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": "Send again in bulk",
            "form": form,
            "targets": targets,
            "what": KINDS[Replay.Kind(form.cleaned_data["kind"])] if targets else "",
        }
        return TemplateResponse(request, "deliveries/admin/begin_replay.html", shown)

    def _begin(self, request: HttpRequest, form: BeginForm) -> HttpResponse:
        now, actor, kind = timezone.now(), actor_of(request), Replay.Kind(form.cleaned_data["kind"])
        found: list[Endpoint] = form.cleaned_data["where"]

        def begin(endpoint: Endpoint) -> None:
            replays.begin(endpoint=endpoint, kind=kind, actor=actor, now=now, **form.window())

        begun = 0
        for endpoint in found:
            try:
                begin(endpoint)
                begun += 1
            except Refusal as refusal:
                self.message_user(request, f"{endpoint}: {refusal.sentence}", messages.ERROR)
        if begun:
            self.message_user(request, f"{begun} begun. This list shows how far they are.", messages.SUCCESS)
        only = (
            {"endpoint": found[0].public_id}
            if len(found) == 1
            else {"merchant": show(Prefix.MERCHANT, found[0].owner_id)}
        )
        return HttpResponseRedirect(f"{reverse(f'admin:{REPLAY_PAGE}_changelist')}?{urlencode(only)}")

    @admin.action(description="Stop", permissions=["stop"])
    def stop(self, request: HttpRequest, rows: QuerySet[Replay]) -> HttpResponse | None:
        now, actor = timezone.now(), actor_of(request)
        self.do_each(
            request,
            self.ticked(request, rows).filter(status=Replay.Status.RUNNING),
            lambda row: replays.stop(replay_id=row.id, owner_id=row.owner_id, actor=actor, now=now),
            done="stopped. What was made due already is sent",
        )
        return self.after_action(request)

    @admin.display(description="Replay")
    def link(self, replay: Replay) -> SafeString:
        return page_link(REPLAY_PAGE, replay.id, short_id(replay.public_id))

    @admin.display(description="Id")
    def shown_id(self, replay: Replay) -> SafeString:
        return code(replay.public_id)

    @admin.display(description="Endpoint")
    def endpoint(self, replay: "NamedReplay") -> SafeString:
        return endpoint_link(replay.endpoint_id, replay.endpoint_url)

    @admin.display(description="Merchant")
    def merchant(self, replay: "NamedReplay") -> SafeString:
        return merchant_link(replay.owner_id, replay.merchant_name)

    @admin.display(description="State")
    def state(self, replay: Replay) -> SafeString:
        why = f": {replay.stop_reason}" if replay.stop_reason else ""
        return dot(COLOURS[Replay.Status(replay.status)], f"{replay.get_status_display()}{why}")

    @admin.display(description="Looked through")
    def share(self, replay: Replay) -> str:
        return f"{progress(replay):.0%}"

    @admin.display(description="Published since (UTC)")
    def from_when(self, replay: Replay) -> SafeString | str:
        return moment(replay.since)

    @admin.display(description="And before (UTC)")
    def to_when(self, replay: Replay) -> SafeString | str:
        return moment(replay.until)

    @admin.display(description="Begun (UTC)")
    def created(self, replay: Replay) -> SafeString | str:
        return moment(replay.created_at)

    @admin.display(description="Last step (UTC)")
    def updated(self, replay: Replay) -> SafeString | str:
        return moment(replay.updated_at)

    @admin.display(description="Ended (UTC)")
    def finished(self, replay: Replay) -> SafeString | str:
        return moment(replay.finished_at)


def may_resend(request: HttpRequest) -> bool:
    """Deliveries cannot be changed by hand, so that this permission is free to mean sending them again."""
    return request.user.has_perm("deliveries.change_delivery")


def begin_address(**given: str) -> str:
    """The page on which a replay is begun, with its fields filled in."""
    return f"{reverse(f'admin:{REPLAY_PAGE}_add')}?{urlencode(given)}"


def replay_rows(rows: "Iterable[ReplayTo]") -> list[ReplayRow]:
    return [
        ReplayRow(
            link=page_link(REPLAY_PAGE, row.id, short_id(row.public_id)),
            kind=row.get_kind_display(),
            endpoint=endpoint_link(row.endpoint_id, row.endpoint_url),
            percent=f"{progress(row):.0%}",
            bar=charts.share(progress(row)),
            sent=row.sent,
        )
        for row in rows
    ]


def _counted(form: BeginForm) -> list[Target]:
    found: list[Endpoint] = form.cleaned_data["where"]
    if len(found) > COUNTED_MOST:
        return [Target(endpoint, None) for endpoint in found]
    return [_count(endpoint, form) for endpoint in found]


def _count(endpoint: Endpoint, form: BeginForm) -> Target:
    kind = Replay.Kind(form.cleaned_data["kind"])
    try:
        count = replays.count(endpoint=endpoint, kind=kind, now=timezone.now(), **form.window())
    except Refusal as refusal:
        return Target(endpoint, None, refusal.sentence)
    return Target(endpoint, f"{count.count:,}{'' if count.is_exact else '+'}")


def _in_utc(given: datetime | None) -> datetime | None:
    """What the form reads carries the project's time zone, which is UTC."""
    return None if given is None else given.astimezone(UTC)
