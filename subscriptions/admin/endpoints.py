"""Endpoints: changed through the services, switched on and off, and the way to what was sent to them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ServiceAdmin, actor_of, ask
from subscriptions.admin.columns import (
    DELIVERY_PAGE,
    EMPTY,
    MASK,
    MERCHANT_PAGE,
    RULE_PAGE,
    Colour,
    clipped,
    code,
    dot,
    find_page_link,
    lines,
    list_link,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.endpoint_form import EndpointForm
from subscriptions.admin.filters import ChoiceFilter, by_id
from subscriptions.admin.logs import ANY_TIME, WITHIN
from subscriptions.models import Endpoint
from subscriptions.services import endpoints
from subscriptions.services.holds import HELD

SUMMARY = ("shown_id", "state", "disabled", "created", "updated", "deleted")
TYPES_IN_LIST = 3
UNREADABLE = (
    "Since {:%Y-%m-%d %H:%M:%S} UTC a stored secret cannot be decrypted: nothing is sent, and what is tried too often "
    "is held. Bring the missing key back into ENCRYPTION_KEYS, or have the secret rotated, then release what is held."
)


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    offered = (
        ("active", "Active"),
        ("disabled", "Disabled"),
        ("held", "Held by an operator"),
        ("given_up", "Failed for days"),
        ("unreadable", "Secret cannot be decrypted"),
        ("deleted", "Deleted"),
    )

    def narrow(self, rows: QuerySet[Endpoint], value: str) -> QuerySet[Endpoint]:
        living = rows.filter(deleted_at=None)
        match value:
            case "active":
                return living.filter(is_active=True)
            case "disabled":
                return living.filter(is_active=False)
            case "held":
                return living.filter(is_active=False, disabled_reason=HELD)
            case "given_up":
                return living.filter(is_active=False, disabled_reason=endpoints.FAILING)
            case "unreadable":
                return living.exclude(unreadable_since=None)
        return rows.exclude(deleted_at=None)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=64, initial="by_operator", help_text="The merchant sees it, and it stands in the audit log."
    )


@admin.register(Endpoint)
class EndpointAdmin(ServiceAdmin[Endpoint]):
    form = EndpointForm
    list_display = ("url", "listed_id", "owner_link", "state", "profile", "types", "created")
    list_filter = (StateFilter, by_id(Prefix.MERCHANT, "merchant", "owner_id"))
    list_select_related = ("owner",)
    id_columns = {Prefix.ENDPOINT: "id", Prefix.MERCHANT: "owner_id"}
    search_help_text = "An id (ep_…, mer_…), a merchant's reference, or a part of the URL"
    ordering = ("-id",)
    sortable_by = ()
    actions: Sequence[str] = ("enable", "disable")
    buttons: ClassVar[Sequence[str]] = ("enable", "disable")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).select_related("owner").defer("auth_ciphertext")

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        is_form = self.has_change_permission(request, obj)
        wanted = ("event_types", "accounts") if is_form else ("types", "shown_accounts")
        more = ("headers", "ack", "retry_schedule", "rate_limit", "max_in_flight", "ordered", "metadata")
        parts: list[Any] = [
            (None, {"fields": ("owner" if obj is None else "owner_link", "url", "description", "profile")}),
            ("What it gets", {"fields": wanted}),
            ("Credentials", {"fields": ("auth_type", "auth_name", "auth_secret" if is_form else "credential")}),
            ("Signing", {"fields": ("secret",) if obj is None else ("secrets",)}),
            ("How it is sent", {"fields": more}),
        ]
        if obj is not None:
            state = (*SUMMARY, "version") if is_form else SUMMARY
            parts.insert(0, ("State", {"fields": state}))
        return parts

    def get_readonly_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:  # noqa: ARG002
        return () if obj is None else ("owner_link", "secrets", *SUMMARY)

    def has_change_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def search_text(self, rows: QuerySet[Endpoint], term: str) -> QuerySet[Endpoint]:
        return rows.filter(Q(owner__reference=term) | Q(target__icontains=term))

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        if form.is_auth_reset:
            text = "The URL moved to another host, so the stored credential was erased."
            self.message_user(request, text, messages.WARNING)

    def remove(self, obj: Endpoint, *, actor: str, now: datetime) -> None:
        endpoints.delete(merchant=obj.owner, endpoint_id=obj.id, actor=actor, now=now)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if obj is not None and obj.unreadable_since is not None and request.method == "GET":
            self.message_user(request, UNREADABLE.format(obj.unreadable_since), messages.WARNING)
        return super().render_change_form(request, context, *args, **kwargs)

    def consequences(self, obj: Endpoint) -> list[str]:  # noqa: ARG002
        return [
            "Its waiting and held deliveries are cancelled.",
            "Its secrets and credentials are erased.",
            "What was sent stays in the log.",
        ]

    def page_links(self, obj: Endpoint) -> Iterable[SafeString | None]:
        yield list_link(DELIVERY_PAGE, "Deliveries", endpoint=obj.public_id)
        yield find_page_link("deliveries_lane", obj.id, "Lane")
        yield page_link(RULE_PAGE, obj.rule_id, "Rule") if obj.rule_id else None
        merchant = obj.owner.public_id
        yield list_link(
            "subscriptions_auditentry", "Audit", merchant=merchant, target=obj.public_id, **{WITHIN: ANY_TIME}
        )

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        now, actor = timezone.now(), actor_of(request)
        self.do_each(
            request,
            self.ticked(request, rows).filter(is_active=False),
            lambda row: endpoints.enable(merchant=row.owner, endpoint_id=row.id, now=now, actor=actor),
            done="enabled. What is held stays held until it is released",
        )
        return self.after_action(request)

    @admin.action(description="Disable…", permissions=["change"])
    def disable(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        """First asks for the reason, then does it."""
        rows = self.ticked(request, rows)
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            text = "Their events are held from now on and can be sent once they are enabled again."
            return ask(self, request, rows, action="disable", title="Disable endpoints", form=form, text=text)
        now, actor, reason = timezone.now(), actor_of(request), form.cleaned_data["reason"]
        disable = partial(endpoints.disable, reason=reason, now=now, actor=actor)
        self.do_each(request, rows.filter(is_active=True), lambda row: disable(endpoint_id=row.id), done="disabled")
        return self.after_action(request)

    def has_button(self, name: str, obj: Endpoint) -> bool:
        return obj.deleted_at is None and obj.is_active == (name == "disable")

    @admin.display(description="URL")
    def url(self, endpoint: Endpoint) -> SafeString:
        return clipped(endpoint.target)

    @admin.display(description="Id")
    def shown_id(self, endpoint: Endpoint) -> SafeString:
        return code(endpoint.public_id)

    @admin.display(description="Id")
    def listed_id(self, endpoint: Endpoint) -> SafeString:
        return short_id(endpoint.public_id)

    @admin.display(description="Merchant")
    def owner_link(self, endpoint: Endpoint) -> SafeString:
        return page_link(MERCHANT_PAGE, endpoint.owner_id, endpoint.owner.name)

    @admin.display(description="State")
    def state(self, endpoint: Endpoint) -> SafeString:
        if endpoint.deleted_at:
            return dot(Colour.GREY, "Deleted")
        if not endpoint.is_active:
            return dot(Colour.RED, f"Disabled: {endpoint.disabled_reason}")
        if endpoint.unreadable_since:
            return dot(Colour.RED, "A stored secret cannot be decrypted")
        return dot(Colour.GREEN, "Active")

    @admin.display(description="Event types")
    def types(self, endpoint: Endpoint) -> SafeString | str:
        names = endpoint.event_types
        if names is None:
            return "All"
        rest = len(names) - TYPES_IN_LIST
        return lines(names[:TYPES_IN_LIST] + ([f"and {rest} more"] if rest > 0 else []))

    @admin.display(description="Accounts")
    def shown_accounts(self, endpoint: Endpoint) -> SafeString | str:
        return lines(endpoint.accounts) if endpoint.accounts else "All"

    @admin.display(description="Credential")
    def credential(self, endpoint: Endpoint) -> str:
        return EMPTY if endpoint.auth_type == Endpoint.Auth.NONE else "••••••"

    @admin.display(description="Secrets")
    def secrets(self, endpoint: Endpoint) -> SafeString | str:
        rows = endpoint.secrets.defer("ciphertext").order_by("-id")
        shown = [page_link("subscriptions_signingsecret", row.id, _secret(row.expires_at)) for row in rows]
        return lines(shown) if shown else "None: its deliveries are not signed with a secret."

    @admin.display(description="Disabled (UTC)")
    def disabled(self, endpoint: Endpoint) -> SafeString | str:
        return moment(endpoint.disabled_at)

    @admin.display(description="Created (UTC)")
    def created(self, endpoint: Endpoint) -> SafeString | str:
        return moment(endpoint.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, endpoint: Endpoint) -> SafeString | str:
        return moment(endpoint.updated_at)

    @admin.display(description="Deleted (UTC)")
    def deleted(self, endpoint: Endpoint) -> SafeString | str:
        return moment(endpoint.deleted_at)


def _secret(expires_at: datetime | None) -> str:
    if expires_at is None:
        return f"{MASK} current"
    word = "until" if expires_at > timezone.now() else "expired"
    return f"{MASK} {word} {expires_at:%Y-%m-%d %H:%M}"
