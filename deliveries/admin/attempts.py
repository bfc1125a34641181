"""Attempts: what was sent, what came back and how long it took."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.safestring import SafeString

from deliveries.admin.bodies import Body, read_body
from deliveries.admin.deliveries import BODIES
from deliveries.admin.naming import endpoint_link, event_link, merchant_link
from deliveries.admin.reasons import GROUPS, colour_of, in_words
from deliveries.admin.rows import milliseconds, phases
from deliveries.admin.terms import events_named
from deliveries.models import Attempt, Delivery, Event
from deliveries.selectors.events import owed_for
from dispatcher.ids import Prefix, show
from dispatcher.words import WORDS
from subscriptions.admin.columns import (
    ATTEMPT_PAGE,
    DELIVERY_PAGE,
    EMPTY,
    code,
    dot,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.filters import ChoiceFilter, by_id
from subscriptions.admin.logs import Found, LogAdmin, WindowFilter
from subscriptions.models import Endpoint


class ReasonFilter(ChoiceFilter):
    title = "reason"
    parameter_name = "reason"
    offered = (
        ("delivered", "Delivered"),
        ("http", "Answered otherwise"),
        ("dns", "Name not resolved"),
        ("connection", "No connection"),
        ("tls", "TLS"),
        ("timeout", "Out of time"),
        ("ours", "Ours"),
    )

    def narrow(self, rows: QuerySet[Attempt], value: str) -> QuerySet[Attempt]:
        return rows.filter(reason__in=GROUPS[value]) if value in GROUPS else rows.none()


@admin.register(Attempt)
class AttemptAdmin(LogAdmin[Attempt]):
    change_form_template = "deliveries/admin/attempt.html"
    fields = (
        ("result", "response_status"),
        ("delivery", "number"),
        ("trigger", "counted"),
        ("started", "total"),
        ("taken", "peer"),
        ("note", "body_error"),
        "shown_url",
    )
    list_display = ("link", "started", "delivery", "number", "trigger", "result", "response_status", "total")
    list_display_links = None
    list_filter = (
        WindowFilter,
        "trigger",
        ReasonFilter,
        by_id(Prefix.DELIVERY, "delivery", "delivery_id"),
    )
    search_help_text = "An id (att_…, del_…, evt_…), the provider's event id, or a reason such as tls_protocol"
    id_columns = {Prefix.ATTEMPT: "id", Prefix.DELIVERY: "delivery_id"}
    scanning = frozenset({"trigger__exact", "reason"})
    unread = BODIES

    def find_id(self, prefix: Prefix, row_id: UUID, term: str) -> Found | None:
        if prefix is Prefix.EVENT:
            return _of_events([row_id, *events_named(term)])
        return super().find_id(prefix, row_id, term)

    def find_text(self, term: str) -> Found | None:
        if term in WORDS:
            return Found(Q(reason=term), is_scan=True)
        ids = events_named(term)
        return _of_events(ids) if ids else None

    def page_parts(self, obj: Attempt) -> dict[str, Any]:
        delivery = Delivery.objects.filter(id=obj.delivery_id).first()
        return {**_pointed_at(delivery), "sent": self._sent(obj, delivery), "answer": read_body(obj.response_body)}

    def _sent(self, attempt: Attempt, delivery: Delivery | None) -> Body | None:
        """None once the event has gone with its partition."""
        if attempt.request_body is not None:
            return read_body(attempt.request_body)
        if delivery is None:
            return None
        payload = Event.objects.filter(id=delivery.event_id).values_list("payload", flat=True).first()
        return None if payload is None else read_body(payload)

    @admin.display(description="Attempt")
    def link(self, attempt: Attempt) -> SafeString:
        return page_link(ATTEMPT_PAGE, attempt.id, short_id(attempt.public_id))

    @admin.display(description="Counted")
    def counted(self, attempt: Attempt) -> str:
        return "As one of the schedule's tries" if attempt.is_counted else "No: it was not the receiver's failure"

    @admin.display(description="Delivery")
    def delivery(self, attempt: Attempt) -> SafeString:
        return page_link(DELIVERY_PAGE, attempt.delivery_id, short_id(show(Prefix.DELIVERY, attempt.delivery_id)))

    @admin.display(description="Result")
    def result(self, attempt: Attempt) -> SafeString:
        return dot(colour_of(attempt), in_words(attempt.reason))

    @admin.display(description="Detail")
    def note(self, attempt: Attempt) -> str:
        return attempt.detail or EMPTY

    @admin.display(description="URL")
    def shown_url(self, attempt: Attempt) -> SafeString:
        return code(attempt.url)

    @admin.display(description="Started (UTC)")
    def started(self, attempt: Attempt) -> SafeString | str:
        return moment(attempt.started_at)

    @admin.display(description="Total")
    def total(self, attempt: Attempt) -> SafeString | str:
        return milliseconds(attempt.total_ms)

    @admin.display(description="Phases (ms)")
    def taken(self, attempt: Attempt) -> str:
        return phases(attempt)


def _of_events(event_ids: list[UUID]) -> Found:
    return Found(Q(delivery_id__in=list(Delivery.objects.filter(owed_for(event_ids)).values_list("id", flat=True))))


def _pointed_at(delivery: Delivery | None) -> dict[str, Any]:
    if delivery is None:
        return {}
    endpoint = (
        Endpoint.objects.select_related("owner").only("target", "owner__name").filter(id=delivery.endpoint_id).first()
    )
    return {
        "links": [
            event_link(delivery.event_id),
            endpoint_link(delivery.endpoint_id, endpoint.target if endpoint else None),
            merchant_link(delivery.owner_id, endpoint.owner.name if endpoint else None),
        ]
    }
