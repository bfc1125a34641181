"""Contents that were taken out of the log, and files that merchants had made of theirs."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from deliveries.admin.naming import merchant_link, merchant_name
from deliveries.models import Export, Expunge
from deliveries.selectors import exports as export_selectors
from deliveries.selectors import expunges as expunge_selectors
from deliveries.services import expunges
from dispatcher.ids import Prefix, show
from subscriptions.admin.base import ReadOnlyAdmin, ServiceAdmin
from subscriptions.admin.columns import EMPTY, EVENT_PAGE, Colour, clipped, code, dot, moment, page_link, short_id
from subscriptions.admin.filters import by_id
from subscriptions.admin.forms import MerchantField, ServiceForm
from subscriptions.models.merchants import REFERENCE_LENGTH

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    from deliveries.admin.naming import MerchantName

    NamedExpunge = WithAnnotations[Expunge, MerchantName]
    NamedExport = WithAnnotations[Export, MerchantName]

COLOURS = {
    Expunge.Status.RUNNING.value: Colour.AMBER,
    Expunge.Status.FINISHED.value: Colour.GREEN,
    Export.Status.STOPPED.value: Colour.RED,
    Export.Status.EXPIRED.value: Colour.GREY,
}


class ExpungeForm(ServiceForm[Expunge]):
    merchant = MerchantField(help_text="An id or a reference.")
    account = forms.CharField(
        max_length=REFERENCE_LENGTH,
        help_text="The contents of all its events go for good: payloads, what was sent and what came back. What still "
        "waits is cancelled. The log keeps that there were events.",
    )
    is_sure = forms.BooleanField(label="This cannot be undone, and I am sure", required=True)

    class Meta:
        model = Expunge
        fields = ("account",)

    def write(self) -> Expunge:
        merchant, account = self.cleaned_data["merchant"], self.cleaned_data["account"]
        return expunges.expunge_account(merchant=merchant, account=account, actor=self.actor, now=self.now)


@admin.register(Expunge)
class ExpungeAdmin(ServiceAdmin[Expunge]):
    """Begun here for an account, on an event's page for an event; ticks do it. Nothing of it is changed or deleted."""

    form = ExpungeForm
    list_display = ("listed_id", "created", "state", "progress", "merchant", "what", "expunged", "cancelled", "actor")
    list_filter = ("status", by_id(Prefix.MERCHANT, "merchant", "merchant_id"))
    id_columns = {Prefix.EXPUNGE: "id", Prefix.EVENT: "event_id", Prefix.MERCHANT: "merchant_id"}
    search_help_text = "An id (xpg_…, evt_…, mer_…), or an account's exact reference"
    ordering = ("-id",)
    sortable_by = ()

    def has_change_permission(self, request: HttpRequest, obj: Expunge | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Expunge | None = None) -> bool:  # noqa: ARG002
        return False

    def get_fields(self, request: HttpRequest, obj: Expunge | None = None) -> Any:  # noqa: ARG002
        if obj is None:
            return ("merchant", "account", "is_sure")
        counts = ("expunged", "in_flight", "cancelled")
        return ("shown_id", "state", "progress", "merchant", "what", *counts, "actor", "created", "finished")

    def get_readonly_fields(self, request: HttpRequest, obj: Expunge | None = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(merchant_name=merchant_name("merchant_id"))

    def search_text(self, rows: QuerySet[Expunge], term: str) -> QuerySet[Expunge]:
        return rows.filter(account=term)

    @admin.display(description="Id")
    def shown_id(self, expunge: Expunge) -> SafeString:
        return code(expunge.public_id)

    @admin.display(description="Id")
    def listed_id(self, expunge: Expunge) -> SafeString:
        return short_id(expunge.public_id)

    @admin.display(description="Status")
    def state(self, expunge: Expunge) -> SafeString:
        return dot(COLOURS[expunge.status], str(Expunge.Status(expunge.status).label))

    @admin.display(description="Progress")
    def progress(self, expunge: Expunge) -> str:
        return f"{expunge_selectors.progress(expunge):.0%}"

    @admin.display(description="Merchant")
    def merchant(self, expunge: "NamedExpunge") -> SafeString:
        return merchant_link(expunge.merchant_id, expunge.merchant_name)

    @admin.display(description="Event or account")
    def what(self, expunge: Expunge) -> SafeString:
        if expunge.event_id is not None:
            return page_link(EVENT_PAGE, expunge.event_id, short_id(show(Prefix.EVENT, expunge.event_id)))
        return clipped(expunge.account or "")

    @admin.display(description="On their way to receivers")
    def in_flight(self, expunge: Expunge) -> int:
        return len(expunge.waiting)

    @admin.display(description="Begun (UTC)")
    def created(self, expunge: Expunge) -> SafeString | str:
        return moment(expunge.created_at)

    @admin.display(description="Finished (UTC)")
    def finished(self, expunge: Expunge) -> SafeString | str:
        return moment(expunge.finished_at)


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin[Export]):
    """Who had a file made of which log. The files themselves are for their merchants."""

    fields = (
        *("shown_id", "state", "stop_reason", "progress", "merchant", "format", "held", "since", "until"),
        *("deliveries", "size_bytes", "actor", "created", "finished", "expires"),
    )
    list_display = ("listed_id", "created", "state", "progress", "merchant", "format", "held", "deliveries", "actor")
    list_filter = ("status", by_id(Prefix.MERCHANT, "merchant", "owner_id"))
    id_columns = {Prefix.EXPORT: "id", Prefix.MERCHANT: "owner_id"}
    search_help_text = "An id (exp_…, mer_…)"
    ordering = ("-id",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(merchant_name=merchant_name("owner_id"))

    @admin.display(description="Id")
    def shown_id(self, export: Export) -> SafeString:
        return code(export.public_id)

    @admin.display(description="Id")
    def listed_id(self, export: Export) -> SafeString:
        return short_id(export.public_id)

    @admin.display(description="Status")
    def state(self, export: Export) -> SafeString:
        return dot(COLOURS[export.status], str(Export.Status(export.status).label))

    @admin.display(description="Progress")
    def progress(self, export: Export) -> str:
        return f"{export_selectors.progress(export):.0%}"

    @admin.display(description="Merchant")
    def merchant(self, export: "NamedExport") -> SafeString:
        return merchant_link(export.owner_id, export.merchant_name)

    @admin.display(description="With")
    def held(self, export: Export) -> str:
        return ", ".join(export.include) or EMPTY

    @admin.display(description="Begun (UTC)")
    def created(self, export: Export) -> SafeString | str:
        return moment(export.created_at)

    @admin.display(description="Finished (UTC)")
    def finished(self, export: Export) -> SafeString | str:
        return moment(export.finished_at)

    @admin.display(description="The file goes (UTC)")
    def expires(self, export: Export) -> SafeString | str:
        return moment(export.expires_at)
