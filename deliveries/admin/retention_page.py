"""The page on which retention is run: what goes, who ran it last, and the button with its question."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries.services import retention_runs
from deliveries.services.retention import Deleted
from subscriptions import charts
from subscriptions.admin.base import actor_of
from subscriptions.admin.columns import moment
from subscriptions.errors import Refusal
from subscriptions.models import AuditEntry

RUN = "deliveries.delete_event"
# Events cannot be deleted by hand, so that this permission is free to mean deleting the old ones.
ENTRIES_READ = 500
# Of the platform's own audit entries, the newest: what is older is in the audit log.


class SureForm(forms.Form):
    is_sure = forms.BooleanField(label="Delete them for good", help_text="This cannot be undone.")


@dataclass(frozen=True, slots=True)
class RunRow:
    at: SafeString | str
    actor: str
    what: str


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(RUN):
        raise PermissionDenied
    form = SureForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return _run(request)
    shown = {
        "title": "Retention",
        "form": form,
        "days": settings.RETENTION_DAYS,
        "before": moment(retention_runs.first_day_kept(now=timezone.now())),
        "runs": [_row(entry) for entry in _entries()],
    }
    return TemplateResponse(request, "deliveries/admin/retention.html", admin.site.each_context(request) | shown)


def _run(request: HttpRequest) -> HttpResponse:
    try:
        retention_runs.ask(actor=actor_of(request), now=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, "A worker deletes them now. Its end is written below.")
    return HttpResponseRedirect(reverse("admin:retention"))


def _entries() -> Iterable[AuditEntry]:
    """Those that are of no merchant have an index of their own; what is not of retention is left out here."""
    newest = AuditEntry.objects.filter(merchant=None).order_by("-id")[:ENTRIES_READ]
    return [entry for entry in newest if entry.action in (retention_runs.ASKED, retention_runs.FINISHED)]


def _row(entry: AuditEntry) -> RunRow:
    if entry.action == retention_runs.ASKED:
        return RunRow(moment(entry.created_at), entry.actor, f"Asked for, before {entry.detail.get('before', '')[:19]}")
    names = (field.name for field in fields(Deleted))
    counts = (f"{charts.amount(entry.detail[name])} {name}" for name in names if name in entry.detail)
    return RunRow(moment(entry.created_at), entry.actor, f"Done: {', '.join(counts)}")
