"""The audit log: who did what to which object."""

import json
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.columns import (
    EMPTY,
    MERCHANT_PAGE,
    clipped,
    code,
    id_link,
    json_block,
    moment,
    page_link,
)
from subscriptions.admin.filters import ExactFilter, by_id
from subscriptions.admin.logs import Found, LogAdmin, WindowFilter
from subscriptions.models import AuditEntry, Merchant


class TargetFilter(ExactFilter):
    title = "target"
    parameter_name = "target"
    column = "target"


@admin.register(AuditEntry)
class AuditEntryAdmin(LogAdmin[AuditEntry]):
    fields = ("shown_id", "created", "actor", "action", "target_link", "merchant_link", "shown_detail")
    list_display = ("created", "actor", "action", "target_link", "merchant_link", "short_detail")
    list_filter = (WindowFilter, by_id(Prefix.MERCHANT, "merchant", "merchant_id"), TargetFilter)
    search_help_text = "An id (aud_…, mer_…, or the target's), a merchant's reference, an actor or an action, exactly"
    id_columns = {Prefix.AUDIT: "id", Prefix.MERCHANT: "merchant_id"}
    scanning = frozenset({"target"})

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        return super().get_queryset(request).select_related("merchant")

    def find_id(self, prefix: Prefix, row_id: UUID, term: str) -> Found | None:
        """Only the merchant's log has an index; all else is looked for in the window."""
        if prefix in self.id_columns:
            return super().find_id(prefix, row_id, term)
        return Found(Q(target=term), is_scan=True)

    def find_text(self, term: str) -> Found | None:
        if merchant := Merchant.objects.filter(reference=term).order_by("-id").first():
            return Found(Q(merchant_id=merchant.id))
        return Found(Q(actor=term) | Q(action=term), is_scan=True)

    @admin.display(description="Id")
    def shown_id(self, entry: AuditEntry) -> SafeString:
        return code(entry.public_id)

    @admin.display(description="Time (UTC)")
    def created(self, entry: AuditEntry) -> SafeString | str:
        return moment(entry.created_at)

    @admin.display(description="Target")
    def target_link(self, entry: AuditEntry) -> SafeString:
        return id_link(entry.target)

    @admin.display(description="Merchant")
    def merchant_link(self, entry: AuditEntry) -> SafeString | str:
        return page_link(MERCHANT_PAGE, entry.merchant.id, entry.merchant.name) if entry.merchant else EMPTY

    @admin.display(description="Detail")
    def short_detail(self, entry: AuditEntry) -> SafeString | str:
        return clipped(json.dumps(entry.detail, ensure_ascii=False)) if entry.detail else EMPTY

    @admin.display(description="Detail")
    def shown_detail(self, entry: AuditEntry) -> SafeString | str:
        return json_block(entry.detail)
