"""Members, and the e-mails that they are owed about endpoints that fail."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ReadOnlyAdmin, ServiceAdmin
from subscriptions.admin.columns import (
    ENDPOINT_PAGE,
    MERCHANT_PAGE,
    Colour,
    clipped,
    dot,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.filters import by_id
from subscriptions.admin.forms import MerchantField, ServiceForm
from subscriptions.models import Membership, Notice
from subscriptions.services import members


class UserField(forms.CharField):
    """An active user by name."""

    def clean(self, value: Any) -> Any:
        name = super().clean(value)
        found = User.objects.filter(username=name, is_active=True).first()
        if found is None:
            raise forms.ValidationError("There is no such user.")
        return found


class MembershipForm(ServiceForm[Membership]):
    user = UserField(help_text="A user's name. Owners and developers are told by e-mail when an endpoint fails.")
    merchant = MerchantField(help_text="An id or a reference.")

    class Meta:
        model = Membership
        fields = ("user", "merchant", "role")

    def write(self) -> Membership:
        given = self.cleaned_data
        data = {"role": given["role"]}
        return members.add(merchant=given["merchant"], user=given["user"], data=data, now=self.now, actor=self.actor)


class RoleForm(ServiceForm[Membership]):
    """Who belongs to whom is for good: another membership is quickly made."""

    class Meta:
        model = Membership
        fields = ("role",)

    def write(self) -> Membership:
        member = self.instance
        data = {"role": self.cleaned_data["role"]}
        return members.change(merchant=member.merchant, member_id=member.id, data=data, now=self.now, actor=self.actor)


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin[Membership]):
    list_display = ("member", "shown_id", "merchant_link", "role", "created")
    list_filter = ("role", by_id(Prefix.MERCHANT, "merchant", "merchant_id"))
    list_select_related = ("user", "merchant")
    id_columns = {Prefix.MEMBERSHIP: "id", Prefix.MERCHANT: "merchant_id"}
    search_help_text = "An id (mbr_…, mer_…), a merchant's reference, or a part of the user's name or address"
    ordering = ("-id",)
    sortable_by = ("role",)

    def search_text(self, rows: QuerySet[Membership], term: str) -> QuerySet[Membership]:
        by_user = Q(user__username__icontains=term) | Q(user__email__icontains=term)
        return rows.filter(Q(merchant__reference=term) | by_user)

    def get_form(self, request: HttpRequest, obj: Membership | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        form = MembershipForm if obj is None else RoleForm
        return super().get_form(request, obj, change, form=form, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Membership | None = None) -> Any:  # noqa: ARG002
        if obj is None:
            return ("user", "merchant", "role")
        return ("member", "merchant_link", "role", "shown_id", "created", "updated")

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> Any:  # noqa: ARG002
        return () if obj is None else ("member", "merchant_link", "shown_id", "created", "updated")

    def remove(self, obj: Membership, *, actor: str, now: datetime) -> None:
        members.remove(merchant=obj.merchant, member_id=obj.id, actor=actor, now=now)

    def consequences(self, obj: Membership) -> list[str]:
        return [f"{obj.user.get_username()} is no longer a member of {obj.merchant.name}. The user stays."]

    @admin.display(description="User")
    def member(self, membership: Membership) -> SafeString:
        user = membership.user
        return clipped(f"{user.get_username()} <{user.email}>" if user.email else user.get_username())

    @admin.display(description="Id")
    def shown_id(self, membership: Membership) -> SafeString:
        return short_id(membership.public_id)

    @admin.display(description="Merchant")
    def merchant_link(self, membership: Membership) -> SafeString:
        return page_link(MERCHANT_PAGE, membership.merchant_id, membership.merchant.name)

    @admin.display(description="Created (UTC)")
    def created(self, membership: Membership) -> SafeString | str:
        return moment(membership.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, membership: Membership) -> SafeString | str:
        return moment(membership.updated_at)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin[Notice]):
    list_display = ("kind", "state", "member", "endpoint_link", "tries", "created")
    list_display_links = None
    list_filter = ("kind", by_id(Prefix.ENDPOINT, "endpoint", "endpoint_id"))
    list_select_related = ("user", "endpoint")
    fields = ("kind", "state", "member", "endpoint_link", "reason", "tries", "trouble", "created")
    id_columns = {Prefix.ENDPOINT: "endpoint_id"}
    search_help_text = "An id (ep_…) or a part of the user's name"
    ordering = ("-id",)
    sortable_by = ()

    def search_text(self, rows: QuerySet[Notice], term: str) -> QuerySet[Notice]:
        return rows.filter(user__username__icontains=term)

    @admin.display(description="State")
    def state(self, notice: Notice) -> SafeString:
        if notice.sent_at is not None:
            return dot(Colour.GREEN, "Sent")
        return dot(Colour.GREY, "Given up") if notice.next_try_at is None else dot(Colour.AMBER, "Waiting")

    @admin.display(description="User")
    def member(self, notice: Notice) -> SafeString:
        return clipped(notice.user.get_username())

    @admin.display(description="Endpoint")
    def endpoint_link(self, notice: Notice) -> SafeString:
        return page_link(ENDPOINT_PAGE, notice.endpoint_id, clipped(notice.endpoint.target))

    @admin.display(description="Created (UTC)")
    def created(self, notice: Notice) -> SafeString | str:
        return moment(notice.created_at)
