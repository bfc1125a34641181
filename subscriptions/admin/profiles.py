"""The provider's own wire formats: written as JSON, with a sample of what is sent rendered beside it."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from subscriptions.admin.base import ServiceAdmin
from subscriptions.admin.columns import EMPTY, Colour, dot, fixed, moment
from subscriptions.admin.profile_form import WireProfileForm, editable, laid_out, reference
from subscriptions.admin.profile_preview import MOST_TYPES, SampleForm, make_preview
from subscriptions.models import Endpoint, WireProfile
from subscriptions.selectors import event_types
from subscriptions.selectors import profiles as selectors
from subscriptions.services import profiles

START = "standard"
# What the form of a new profile begins with: the format of a published standard.

FRAGMENT = "subscriptions/admin/profile_preview.html"


@admin.register(WireProfile)
class WireProfileAdmin(ServiceAdmin[WireProfile]):
    form = WireProfileForm
    change_form_template = "subscriptions/admin/profile.html"
    list_display = ("name", "description", "signatures", "version", "updated")
    search_help_text = "A part of the name or the description"
    ordering = ("name",)
    sortable_by = ("name",)

    class Media:
        css = {"all": ["subscriptions/profiles.css"]}
        js = ["subscriptions/profiles.js"]

    def get_urls(self) -> list[URLPattern]:
        preview = path("preview/", self.admin_site.admin_view(self.preview), name="subscriptions_wireprofile_preview")
        return [preview, *super().get_urls()]

    def search_text(self, rows: QuerySet[WireProfile], term: str) -> QuerySet[WireProfile]:
        return rows.filter(Q(name__icontains=term) | Q(description__icontains=term))

    def get_fields(self, request: HttpRequest, obj: WireProfile | None = None) -> Any:
        if obj is None:
            return ("name", "description", "definition")
        if not self.has_change_permission(request, obj):
            return ("name", "description", "shown_definition", "used_by", "created", "updated")
        return ("name", "description", "definition", "version", "used_by", "created", "updated")

    def get_readonly_fields(self, request: HttpRequest, obj: WireProfile | None = None) -> Any:  # noqa: ARG002
        """A profile keeps its name: endpoints say it."""
        return ("name", "used_by", "created", "updated") if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        found = selectors.find(request.GET.get("from", START)) or selectors.find(START)
        return {"definition": editable(found)} if found else {}

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        change: bool = False,  # noqa: FBT001, FBT002
        form_url: str = "",
        obj: WireProfile | None = None,
    ) -> HttpResponse:
        form = context["adminform"].form
        is_form = self.has_add_permission(request) if add else self.has_change_permission(request, obj)
        definition = form["definition"].value() if is_form else _text(obj)
        context = context | {
            "is_form": is_form,
            "preview": make_preview(definition or "", request.POST),
            "preview_url": reverse("admin:subscriptions_wireprofile_preview"),
            "sample_form": SampleForm(request.POST or None),
            "types": event_types.on_offer().order_by("name").values_list("name", flat=True)[:MOST_TYPES],
            "reference": reference(),
            "starts": selectors.names() if add else (),
            "start": request.GET.get("from", START),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The rendered sample of what is in the form now, as a piece of the page. Nothing is stored."""
        if not (self.has_add_permission(request) or self.has_view_or_change_permission(request)):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        made = make_preview(request.POST.get("definition", ""), request.POST)
        return TemplateResponse(request, FRAGMENT, {"preview": made})

    def remove(self, obj: WireProfile, *, actor: str, now: datetime) -> None:
        profiles.delete(name=obj.name, actor=actor, now=now)

    def consequences(self, obj: WireProfile) -> list[str]:
        if count := _count_users(obj):
            return [f"Endpoints that use it: {count}. It cannot be deleted before they have another."]
        return ["No endpoint uses it.", "Its name is free again."]

    @admin.display(description="Signatures")
    def signatures(self, row: WireProfile) -> SafeString | str:
        parsed = selectors.read(row)
        if parsed is None:
            return dot(Colour.RED, "Cannot be read")
        return ", ".join(signature.name for signature in parsed.signatures) or EMPTY

    @admin.display(description="Used by")
    def used_by(self, row: WireProfile) -> str:
        count = _count_users(row)
        return "1 endpoint" if count == 1 else f"{count or 'no'} endpoints"

    @admin.display(description="Definition")
    def shown_definition(self, row: WireProfile) -> SafeString:
        return fixed(_text(row))

    @admin.display(description="Created (UTC)")
    def created(self, row: WireProfile) -> SafeString | str:
        return moment(row.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, row: WireProfile) -> SafeString | str:
        return moment(row.updated_at)


def _text(row: WireProfile | None) -> str:
    if row is None:
        return ""
    parsed = selectors.read(row)
    return laid_out(editable(parsed) if parsed else row.definition)


def _count_users(row: WireProfile) -> int:
    return Endpoint.objects.filter(profile=row.name, deleted_at=None).count()
