"""API keys: made here, shown once, revoked; nothing else can be done to one."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ServiceAdmin, actor_of
from subscriptions.admin.columns import MERCHANT_PAGE, Colour, code, dot, moment, page_link
from subscriptions.admin.filters import ChoiceFilter, by_id
from subscriptions.admin.forms import MerchantField, ServiceForm
from subscriptions.models import ApiKey
from subscriptions.services import keys

SHOWN = ("shown_id", "name", "scope", "merchant_link", "shown_prefix", "state", "created", "expires", "revoked", "used")


class ApiKeyForm(ServiceForm[ApiKey]):
    merchant = MerchantField(required=False, help_text="An id or a reference. Nothing: a provider's key.")
    expires_at = forms.SplitDateTimeField(
        required=False, widget=admin.widgets.AdminSplitDateTime, label="Expires (UTC)", help_text="Nothing: never."
    )

    class Meta:
        model = ApiKey
        fields = ("name", "merchant", "expires_at")

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= self.now:
            raise forms.ValidationError("This must be in the future.")
        return expires_at

    def write(self) -> ApiKey:
        made = keys.create(**self.cleaned_data, now=self.now, actor=self.actor)
        # Lives as long as the row's object: until this request is answered.
        made.row.text = made.text  # type: ignore[attr-defined]
        return made.row


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    offered = (("valid", "Valid"), ("expired", "Expired"), ("revoked", "Revoked"))

    def narrow(self, rows: QuerySet[ApiKey], value: str) -> QuerySet[ApiKey]:
        now = timezone.now()
        match value:
            case "valid":
                return rows.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
            case "expired":
                return rows.filter(expires_at__lte=now, revoked_at=None)
        return rows.exclude(revoked_at=None)


@admin.register(ApiKey)
class ApiKeyAdmin(ServiceAdmin[ApiKey]):
    form = ApiKeyForm
    fields = ("name", "merchant", "expires_at")
    list_display = ("name", "shown_prefix", "scope", "merchant_link", "state", "used", "created")
    list_filter = ("scope", StateFilter, by_id(Prefix.MERCHANT, "merchant", "merchant_id"))
    list_select_related = ("merchant",)
    id_columns = {Prefix.API_KEY: "id", Prefix.MERCHANT: "merchant_id"}
    search_help_text = "An id (key_…, mer_…), the shown part of a key, a merchant's reference, or a part of the name"
    ordering = ("-id",)
    sortable_by = ("name",)
    actions = ("revoke",)
    buttons = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:  # noqa: ARG002
        """Revoked keys stay: the audit log names them."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.change_apikey")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).defer("digest")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return SHOWN if obj else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:  # noqa: ARG002
        return SHOWN if obj else ()

    def search_text(self, rows: QuerySet[ApiKey], term: str) -> QuerySet[ApiKey]:
        return rows.filter(Q(prefix=term) | Q(merchant__reference=term) | Q(name__icontains=term))

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:  # noqa: ARG002
        """Shows the key in this very answer: a message would lie in a cookie or in the session until it is read.

        Browsers keep no page of the admin: Django answers all of them with `no-store`.
        """
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": "API key created",
            "key": obj,
            "text": obj.text,  # type: ignore[attr-defined] # set by ApiKeyForm
        }
        return TemplateResponse(request, "subscriptions/admin/key_made.html", context)

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> HttpResponse | None:
        now, actor = timezone.now(), actor_of(request)
        self.do_each(
            request,
            self.ticked(request, rows),
            lambda key: keys.revoke(key_id=key.id, merchant=key.merchant, now=now, actor=actor),
            done="revoked",
        )
        return self.after_action(request)

    def has_button(self, name: str, obj: ApiKey) -> bool:  # noqa: ARG002 - there is one
        return obj.revoked_at is None

    @admin.display(description="Id")
    def shown_id(self, key: ApiKey) -> SafeString:
        return code(key.public_id)

    @admin.display(description="Key")
    def shown_prefix(self, key: ApiKey) -> SafeString:
        return code(f"{key.prefix}_••••••")

    @admin.display(description="Merchant")
    def merchant_link(self, key: ApiKey) -> SafeString | str:
        return page_link(MERCHANT_PAGE, key.merchant.id, key.merchant.name) if key.merchant else "Provider"

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at:
            return dot(Colour.GREY, "Revoked")
        if key.expires_at and key.expires_at <= timezone.now():
            return dot(Colour.GREY, "Expired")
        return dot(Colour.GREEN, "Valid")

    @admin.display(description="Created (UTC)")
    def created(self, key: ApiKey) -> SafeString | str:
        return moment(key.created_at)

    @admin.display(description="Expires (UTC)")
    def expires(self, key: ApiKey) -> SafeString | str:
        return moment(key.expires_at)

    @admin.display(description="Revoked (UTC)")
    def revoked(self, key: ApiKey) -> SafeString | str:
        return moment(key.revoked_at)

    @admin.display(description="Last used (UTC)")
    def used(self, key: ApiKey) -> SafeString | str:
        return moment(key.last_used_at)
