"""Deliveries: where each stands, its attempts in order, and sending one again."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries.admin.naming import endpoint_link, endpoint_url, event_link, external_id, merchant_link, merchant_name
from deliveries.admin.replays import begin_address, may_resend
from deliveries.admin.rows import attempt_rows, delivery_status, last_result
from deliveries.admin.terms import events_named, merchants_named
from deliveries.models import Attempt, Delivery
from deliveries.selectors.events import owed_for
from deliveries.services import replay
from dispatcher.ids import Prefix, show
from subscriptions.admin.base import actor_of
from subscriptions.admin.columns import (
    ATTEMPT_PAGE,
    DELIVERY_PAGE,
    EMPTY,
    clipped,
    list_link,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.filters import by_id
from subscriptions.admin.logs import Found, LogAdmin, WindowFilter

if TYPE_CHECKING:
    from deliveries.admin.naming import NamedDelivery

ATTEMPTS_SHOWN = 100
# The newest of one delivery. A schedule has 21 at most, but replays know no bound.
BODIES = ("request_headers", "request_body", "response_headers", "response_body")


@admin.register(Delivery)
class DeliveryAdmin(LogAdmin[Delivery]):
    change_form_template = "deliveries/admin/delivery.html"
    change_list_template = "deliveries/admin/delivery_list.html"
    fields = (
        ("state", "last"),
        ("event", "event_type"),
        "endpoint",
        ("merchant", "account"),
        ("tries", "next_at"),
        ("created", "last_at"),
        "finished",
    )
    list_display = ("link", "created", "state", "last", "attempts_made", "endpoint", "merchant", "event_type")
    list_display_links = None
    list_filter = (
        WindowFilter,
        "status",
        by_id(Prefix.ENDPOINT, "endpoint", "endpoint_id"),
        by_id(Prefix.MERCHANT, "merchant", "owner_id"),
        by_id(Prefix.EVENT, "event", "event_id"),
    )
    search_help_text = "An id (del_…, evt_…, att_…, ep_…, mer_…), the provider's event id, or a merchant's reference"
    id_columns = {Prefix.DELIVERY: "id", Prefix.ENDPOINT: "endpoint_id", Prefix.MERCHANT: "owner_id"}
    scanning = frozenset({"status__exact"})
    actions = ("resend",)
    buttons = ("resend",)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return may_resend(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What is ticked is sent again at once; for more than a page there are replays, begun where the list is."""
        where = request.GET.get("endpoint") or request.GET.get("merchant") or ""
        bulk = {"bulk_address": begin_address(where=where)} if may_resend(request) else {}
        return super().changelist_view(request, bulk | (extra_context or {}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        names = {"merchant_name": merchant_name("owner_id"), "external_id": external_id()}
        return super().get_queryset(request).annotate(endpoint_url=endpoint_url(), **names)

    def find_id(self, prefix: Prefix, row_id: UUID, term: str) -> Found | None:
        match prefix:
            case Prefix.EVENT:
                return Found(owed_for([row_id, *events_named(term)]))
            case Prefix.ATTEMPT:
                return Found(Q(id__in=list(Attempt.objects.filter(id=row_id).values_list("delivery_id", flat=True))))
        return super().find_id(prefix, row_id, term)

    def find_text(self, term: str) -> Found | None:
        if ids := events_named(term):
            return Found(owed_for(ids))
        ids = merchants_named(term)
        return Found(Q(owner_id__in=ids)) if ids else None

    def page_links(self, obj: Delivery) -> Iterable[SafeString | None]:
        return (
            list_link(ATTEMPT_PAGE, "Attempts", delivery=obj.public_id),
            list_link(DELIVERY_PAGE, "Of this event", event=show(Prefix.EVENT, obj.event_id)),
            list_link(DELIVERY_PAGE, "To this endpoint", endpoint=show(Prefix.ENDPOINT, obj.endpoint_id)),
        )

    def page_parts(self, obj: Delivery) -> dict[str, Any]:
        newest = Attempt.objects.filter(delivery_id=obj.id).defer(*BODIES).order_by("-number")[:ATTEMPTS_SHOWN]
        return {"attempts": attempt_rows(reversed(newest)), "most_attempts": ATTEMPTS_SHOWN}

    @admin.action(description="Resend", permissions=["resend"])
    def resend(self, request: HttpRequest, rows: QuerySet[Delivery]) -> HttpResponse | None:
        now, actor = timezone.now(), actor_of(request)

        def send(delivery: Delivery) -> None:
            event = show(Prefix.EVENT, delivery.event_id)
            replay.resend(event=event, owner_id=None, endpoint_id=delivery.endpoint_id, actor=actor, now=now)

        self.do_each(request, self.ticked(request, rows), send, done="due now")
        return self.after_action(request)

    @admin.display(description="Delivery")
    def link(self, delivery: Delivery) -> SafeString:
        return page_link(DELIVERY_PAGE, delivery.id, short_id(delivery.public_id))

    @admin.display(description="Status")
    def state(self, delivery: Delivery) -> SafeString:
        return delivery_status(delivery)

    @admin.display(description="Event")
    def event(self, delivery: "NamedDelivery") -> SafeString:
        return event_link(delivery.event_id, delivery.external_id)

    @admin.display(description="Endpoint")
    def endpoint(self, delivery: "NamedDelivery") -> SafeString:
        return endpoint_link(delivery.endpoint_id, delivery.endpoint_url)

    @admin.display(description="Merchant")
    def merchant(self, delivery: "NamedDelivery") -> SafeString:
        return merchant_link(delivery.owner_id, delivery.merchant_name)

    @admin.display(description="Attempts")
    def tries(self, delivery: Delivery) -> str:
        return f"{delivery.attempts_made} made, {delivery.attempts_counted} counted in this schedule"

    @admin.display(description="Last result")
    def last(self, delivery: Delivery) -> SafeString | str:
        return clipped(last_result(delivery)) if delivery.last_reason else EMPTY

    @admin.display(description="Last attempt (UTC)")
    def last_at(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.last_attempt_at)

    @admin.display(description="Next attempt (UTC)")
    def next_at(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.next_attempt_at)

    @admin.display(description="Finished (UTC)")
    def finished(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.finished_at)

    @admin.display(description="Created (UTC)")
    def created(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.created_at)
