"""Signing secrets: that they are there and how long they sign. What they are is never shown here."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ReadOnlyAdmin
from subscriptions.admin.columns import ENDPOINT_PAGE, MASK, Colour, clipped, code, dot, moment, page_link, short_id
from subscriptions.admin.filters import by_id
from subscriptions.models import SigningSecret


@admin.register(SigningSecret)
class SigningSecretAdmin(ReadOnlyAdmin[SigningSecret]):
    fields = ("shown_id", "masked", "endpoint_link", "state", "created", "expires")
    list_display = ("listed_id", "masked", "endpoint_link", "state", "created", "expires")
    list_filter = (by_id(Prefix.ENDPOINT, "endpoint", "endpoint_id"),)
    id_columns = {Prefix.SECRET: "id", Prefix.ENDPOINT: "endpoint_id"}
    search_help_text = "An id (sec_…, ep_…) or a part of the endpoint's URL"
    ordering = ("-id",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[SigningSecret]:
        rows = super().get_queryset(request).select_related("endpoint")
        return rows.defer("ciphertext", "endpoint__auth_ciphertext")

    def search_text(self, rows: QuerySet[SigningSecret], term: str) -> QuerySet[SigningSecret]:
        return rows.filter(endpoint__target__icontains=term)

    @admin.display(description="Id")
    def shown_id(self, secret: SigningSecret) -> SafeString:
        return code(secret.public_id)

    @admin.display(description="Id")
    def listed_id(self, secret: SigningSecret) -> SafeString:
        return short_id(secret.public_id)

    @admin.display(description="Secret")
    def masked(self, secret: SigningSecret) -> SafeString:  # noqa: ARG002 - the same for all
        return code(MASK)

    @admin.display(description="Endpoint")
    def endpoint_link(self, secret: SigningSecret) -> SafeString:
        return page_link(ENDPOINT_PAGE, secret.endpoint_id, clipped(secret.endpoint.target))

    @admin.display(description="State")
    def state(self, secret: SigningSecret) -> SafeString:
        if secret.expires_at is None:
            return dot(Colour.GREEN, "Current")
        if secret.expires_at > timezone.now():
            return dot(Colour.AMBER, "Overlapping")
        return dot(Colour.GREY, "Expired")

    @admin.display(description="Created (UTC)")
    def created(self, secret: SigningSecret) -> SafeString | str:
        return moment(secret.created_at)

    @admin.display(description="Expires (UTC)")
    def expires(self, secret: SigningSecret) -> SafeString | str:
        return moment(secret.expires_at)
