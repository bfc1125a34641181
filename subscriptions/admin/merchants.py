"""Merchants and their accounts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ServiceAdmin
from subscriptions.admin.columns import (
    DELIVERY_PAGE,
    EMPTY,
    ENDPOINT_PAGE,
    MERCHANT_PAGE,
    Colour,
    code,
    dot,
    list_link,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.filters import ChoiceFilter, by_id
from subscriptions.admin.forms import MerchantField, ServiceForm
from subscriptions.models import Account, Merchant
from subscriptions.services import merchants


class LivingFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    offered = (("living", "Living"), ("deleted", "Deleted"))

    def narrow(self, rows: QuerySet[Merchant], value: str) -> QuerySet[Merchant]:
        return rows.filter(deleted_at__isnull=value == "living")


class MerchantForm(ServiceForm[Merchant]):
    reference = forms.CharField(
        required=False, empty_value=None, help_text="The provider's own name for this merchant."
    )
    parent = MerchantField(required=False, help_text="The portfolio or reseller above: an id or a reference.")

    class Meta:
        model = Merchant
        fields = ("name", "reference", "kind", "mode", "parent", "retention_days", "hears_all_operations")

    def write(self) -> Merchant:
        given = self.changed(*self.Meta.fields)
        if "parent" in given:
            given["parent"] = given["parent"] and given["parent"].public_id
        if self.is_new():
            return merchants.create(data=given, now=self.now, actor=self.actor)
        return merchants.update(merchant=self.instance, data=given, now=self.now, actor=self.actor)


@admin.register(Merchant)
class MerchantAdmin(ServiceAdmin[Merchant]):
    form = MerchantForm
    list_display = ("name", "listed_id", "reference", "kind", "mode", "parent_link", "state", "created")
    list_filter = ("kind", "mode", LivingFilter, by_id(Prefix.MERCHANT, "parent", "parent_id"))
    list_select_related = ("parent",)
    id_columns = {Prefix.MERCHANT: "id"}
    search_help_text = "An id (mer_…), the exact reference, or a part of the name"
    ordering = ("-id",)
    sortable_by = ("name", "reference")
    readonly_fields = ("shown_id", "state", "created", "updated")
    fieldsets = (
        (None, {"fields": MerchantForm.Meta.fields}),
        ("State", {"fields": ("shown_id", "state", "created", "updated")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Merchant | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj else self.fieldsets[:1]

    def has_change_permission(self, request: HttpRequest, obj: Merchant | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Merchant | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def search_text(self, rows: QuerySet[Merchant], term: str) -> QuerySet[Merchant]:
        return rows.filter(Q(reference=term) | Q(name__icontains=term))

    def remove(self, obj: Merchant, *, actor: str, now: datetime) -> None:
        merchants.delete(merchant=obj, actor=actor, now=now)

    def consequences(self, obj: Merchant) -> list[str]:
        endpoints = obj.endpoints.filter(deleted_at=None).count()
        keys = obj.api_keys.filter(revoked_at=None).count()
        return [
            f"Endpoints deleted: {endpoints}. Their waiting deliveries are cancelled.",
            f"API keys revoked: {keys}.",
            f"Accounts removed: {obj.accounts.count()}.",
            "Its events and deliveries stay in the log.",
        ]

    def page_links(self, obj: Merchant) -> Iterable[SafeString | None]:
        shown = obj.public_id
        return (
            list_link(ENDPOINT_PAGE, "Endpoints", merchant=shown),
            list_link(DELIVERY_PAGE, "Deliveries", merchant=shown),
            list_link("subscriptions_account", "Accounts", merchant=shown),
            list_link("subscriptions_apikey", "API keys", merchant=shown),
            list_link(MERCHANT_PAGE, "Merchants below", parent=shown),
            list_link("subscriptions_auditentry", "Audit", merchant=shown),
        )

    @admin.display(description="Id")
    def shown_id(self, merchant: Merchant) -> SafeString:
        return code(merchant.public_id)

    @admin.display(description="Id")
    def listed_id(self, merchant: Merchant) -> SafeString:
        return short_id(merchant.public_id)

    @admin.display(description="Parent")
    def parent_link(self, merchant: Merchant) -> SafeString | str:
        parent = merchant.parent
        return page_link(MERCHANT_PAGE, parent.id, parent.name) if parent else EMPTY

    @admin.display(description="State")
    def state(self, merchant: Merchant) -> SafeString:
        return dot(Colour.GREY, "Deleted") if merchant.deleted_at else dot(Colour.GREEN, "Living")

    @admin.display(description="Created (UTC)")
    def created(self, merchant: Merchant) -> SafeString | str:
        return moment(merchant.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, merchant: Merchant) -> SafeString | str:
        return moment(merchant.updated_at)


class AccountForm(ServiceForm[Account]):
    merchant = MerchantField(help_text="An id or a reference.")

    class Meta:
        model = Account
        fields = ("merchant", "reference")

    def write(self) -> Account:
        merchant, reference = self.cleaned_data["merchant"], self.cleaned_data["reference"]
        account, _ = merchants.put_account(merchant=merchant, reference=reference, now=self.now, actor=self.actor)
        return account


@admin.register(Account)
class AccountAdmin(ServiceAdmin[Account]):
    """Accounts are registered and removed; there is nothing in one to change."""

    form = AccountForm
    fields = ("merchant", "reference")
    list_display = ("reference", "merchant_link", "created")
    list_filter = (by_id(Prefix.MERCHANT, "merchant", "merchant_id"),)
    list_select_related = ("merchant",)
    id_columns = {Prefix.ACCOUNT: "id", Prefix.MERCHANT: "merchant_id"}
    search_help_text = "The exact reference, or a merchant's id (mer_…) or reference"
    ordering = ("-id",)
    sortable_by = ("reference",)

    def has_change_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:  # noqa: ARG002
        return False

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return ("reference", "merchant_link", "created") if obj else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:  # noqa: ARG002
        return ("reference", "merchant_link", "created") if obj else ()

    def search_text(self, rows: QuerySet[Account], term: str) -> QuerySet[Account]:
        return rows.filter(Q(reference=term) | Q(merchant__reference=term))

    def remove(self, obj: Account, *, actor: str, now: datetime) -> None:
        merchants.delete_account(merchant=obj.merchant, reference=obj.reference, actor=actor, now=now)

    def consequences(self, obj: Account) -> list[str]:
        return [f"Events that name only this account no longer find {obj.merchant.name}."]

    @admin.display(description="Merchant")
    def merchant_link(self, account: Account) -> SafeString:
        return page_link(MERCHANT_PAGE, account.merchant_id, account.merchant.name)

    @admin.display(description="Registered (UTC)")
    def created(self, account: Account) -> SafeString | str:
        return moment(account.created_at)
