"""The provider's signing keys: where each stands, its public half, rotation and withdrawal."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from dispatcher.profiles.key_pairs import fingerprint
from subscriptions.admin.base import ReadOnlyAdmin, actor_of, ask
from subscriptions.admin.columns import EMPTY, Colour, code, dot, fixed, list_link, moment, short_id
from subscriptions.admin.filters import ChoiceFilter
from subscriptions.admin.logs import ANY_TIME, WITHIN
from subscriptions.models import ProviderKey
from subscriptions.selectors.provider_keys import PUBLISHED_AFTER_END, Status, with_status
from subscriptions.services import provider_keys

HOUR = timedelta(hours=1)
COLOURS = {
    Status.NEXT: Colour.GREY,
    Status.CURRENT: Colour.GREEN,
    Status.PREVIOUS: Colour.AMBER,
    Status.ENDED: Colour.GREY,
}
NAMES = {ProviderKey.Family.RSA: "RSA", ProviderKey.Family.ED25519: "Ed25519", ProviderKey.Family.EC: "EC (P-256)"}
STATE = ("shown_id", "kind", "state", "begins", "ends", "created")
PUBLIC_HALF = ("sha256", "files", "public_key", "certificate")

ROTATE = (
    "A new key is published at once and signs after the lead. The key before it goes on signing beside it for the "
    "overlap; where a format has room for one signature, the two take turns from attempt to attempt."
)
WITHDRAW = (
    "For a key that others may know. It signs no more, is published no more, and its private half is erased. The other "
    "living key of its family signs from now on. Receivers that know only the withdrawn one refuse what they are sent."
)


def _hours(default: timedelta, **options: Any) -> forms.FloatField:
    most = provider_keys.LONGEST / HOUR
    return forms.FloatField(min_value=0, max_value=most, initial=default // HOUR, **options)


class RotateForm(forms.Form):
    lead_hours = _hours(provider_keys.LEAD, label="Lead, hours", help_text="Time for receivers to learn the new key.")
    overlap_hours = _hours(provider_keys.OVERLAP, label="Overlap, hours", help_text="In which both keys sign.")


class WithdrawForm(forms.Form):
    is_sure = forms.BooleanField(label="Withdraw at once", help_text="This cannot be undone.")


class FamilyFilter(ChoiceFilter):
    title = "family"
    parameter_name = "family"
    offered = tuple(NAMES.items())

    def narrow(self, rows: QuerySet[ProviderKey], value: str) -> QuerySet[ProviderKey]:
        return rows.filter(family=value)


@admin.register(ProviderKey)
class ProviderKeyAdmin(ReadOnlyAdmin[ProviderKey]):
    """The first key of a family comes with the first endpoint that needs it, or by the command."""

    fieldsets = ((None, {"fields": STATE}), ("Public half", {"fields": PUBLIC_HALF}))
    list_display = ("listed_id", "kind", "state", "begins", "ends", "created")
    list_filter = (FamilyFilter,)
    id_columns = {Prefix.PROVIDER_KEY: "id"}
    search_help_text = "An id (pk_…)"
    ordering = ("family", "-signs_from")
    sortable_by = ()
    actions = ("rotate", "withdraw")
    buttons = ("rotate", "withdraw")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderKey]:
        return with_status(super().get_queryset(request), now=timezone.now())

    def has_rotate_permission(self, request: HttpRequest) -> bool:
        """Keys cannot be changed by hand, so that this permission is free to mean rotating and withdrawing them."""
        return request.user.has_perm("subscriptions.change_providerkey")

    def page_links(self, obj: ProviderKey) -> Iterable[SafeString | None]:
        yield list_link("subscriptions_auditentry", "Audit", target=obj.public_id, **{WITHIN: ANY_TIME})

    def has_button(self, name: str, obj: ProviderKey) -> bool:
        return name == "withdraw" or _status(obj) == Status.CURRENT

    @admin.action(description="Rotate…", permissions=["rotate"])
    def rotate(self, request: HttpRequest, rows: QuerySet[ProviderKey]) -> HttpResponse | None:
        """First asks for the times, then does it once for each family that was ticked."""
        rows = self.ticked(request, rows)
        form = RotateForm(request.POST if "lead_hours" in request.POST else None)
        if not form.is_valid():
            return ask(self, request, rows, action="rotate", title="Rotate signing keys", form=form, text=ROTATE)
        now, actor = timezone.now(), actor_of(request)
        lead, overlap = (timedelta(hours=form.cleaned_data[name]) for name in ("lead_hours", "overlap_hours"))
        self.do_each(
            request,
            {row.family: row for row in rows}.values(),
            lambda row: provider_keys.rotate(family=row.family, lead=lead, overlap=overlap, now=now, actor=actor),
            done="new and published",
        )
        return self.after_action(request)

    @admin.action(description="Withdraw…", permissions=["rotate"])
    def withdraw(self, request: HttpRequest, rows: QuerySet[ProviderKey]) -> HttpResponse | None:
        """First asks whether somebody is sure; afterwards there is no page to go back to."""
        rows = self.ticked(request, rows)
        form = WithdrawForm(request.POST if "is_sure" in request.POST else None)
        if not form.is_valid():
            return ask(self, request, rows, action="withdraw", title="Withdraw signing keys", form=form, text=WITHDRAW)
        now, actor = timezone.now(), actor_of(request)
        self.do_each(
            request, rows, lambda row: provider_keys.withdraw(key_id=row.id, now=now, actor=actor), done="withdrawn"
        )
        return None

    @admin.display(description="Id")
    def shown_id(self, key: ProviderKey) -> SafeString:
        return code(key.public_id)

    @admin.display(description="Id")
    def listed_id(self, key: ProviderKey) -> SafeString:
        return short_id(key.public_id)

    @admin.display(description="Family")
    def kind(self, key: ProviderKey) -> str:
        return NAMES[ProviderKey.Family(key.family)]

    @admin.display(description="State")
    def state(self, key: ProviderKey) -> SafeString:
        status = _status(key)
        return dot(COLOURS[status], status.label)

    @admin.display(description="Signs from (UTC)")
    def begins(self, key: ProviderKey) -> SafeString | str:
        return moment(key.signs_from)

    @admin.display(description="Signs until (UTC)")
    def ends(self, key: ProviderKey) -> SafeString | str:
        return moment(key.signs_until)

    @admin.display(description="Created (UTC)")
    def created(self, key: ProviderKey) -> SafeString | str:
        return moment(key.created_at)

    @admin.display(description="SHA-256 of the key")
    def sha256(self, key: ProviderKey) -> SafeString:
        return fixed(fingerprint(key.public_pem))

    @admin.display(description="Published as")
    def files(self, key: ProviderKey) -> SafeString | str:
        if key.signs_until is not None and key.signs_until + PUBLISHED_AFTER_END <= timezone.now():
            return f"{EMPTY} (no longer published)"
        pem, crt = (reverse("provider-key-file", args=[key.public_id, part]) for part in ("pem", "crt"))
        return format_html('<a href="{}">Public key (PEM)</a> · <a href="{}">Certificate (X.509)</a>', pem, crt)

    @admin.display(description="Public key")
    def public_key(self, key: ProviderKey) -> SafeString:
        return fixed(key.public_pem)

    @admin.display(description="Certificate")
    def certificate(self, key: ProviderKey) -> SafeString:
        return fixed(key.certificate_pem)


def _status(key: ProviderKey) -> Status:
    return Status(key.status)  # type: ignore[attr-defined] # annotated by `with_status`
