"""Events as they were published, and what is owed for them."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries.admin.bodies import read_body
from deliveries.admin.naming import endpoint_url, external_id, merchant_link, merchant_name
from deliveries.admin.rows import delivery_rows
from deliveries.admin.terms import events_named, merchants_named
from deliveries.models import Attempt, Delivery, Event
from deliveries.selectors.events import owed
from deliveries.services import expunges
from dispatcher.ids import Prefix, show
from subscriptions.admin.base import actor_of, ask
from subscriptions.admin.columns import EMPTY, EVENT_PAGE, clipped, code, mark, moment, page_link, short_id
from subscriptions.admin.filters import by_id
from subscriptions.admin.logs import Found, LogAdmin, WindowFilter

if TYPE_CHECKING:
    from deliveries.admin.naming import NamedEvent

DELIVERIES_SHOWN = 100
# Of one event. A merchant has 20 endpoints at most, and few stand above it.


EXPUNGE = (
    "The payload, what was sent and what came back are taken out of the log for good, and so are files that were made "
    "of it. What still waits is cancelled. The log keeps that there was an event. This cannot be undone."
)


class SureForm(forms.Form):
    is_sure = forms.BooleanField(label="I am sure")


@admin.register(Event)
class EventAdmin(LogAdmin[Event]):
    change_form_template = "deliveries/admin/event.html"
    fields = (
        ("shown_id", "chosen_id"),
        ("merchant", "account"),
        ("type", "test"),
        ("occurred", "created"),
        "expunged",
    )
    list_display = ("link", "created", "type", "merchant", "shown_account", "test")
    list_display_links = None
    list_filter = (WindowFilter, by_id(Prefix.MERCHANT, "merchant", "merchant_id"), "is_test")
    search_help_text = "An id (evt_…, del_…, att_…, mer_…), the provider's own id, or a merchant's reference"
    scanning = frozenset({"merchant", "is_test__exact"})
    unread = ("payload",)
    actions = ("expunge",)
    buttons = ("expunge",)

    def has_expunge_permission(self, request: HttpRequest) -> bool:
        """Events cannot be changed by hand, so that this permission is free to mean taking their contents away."""
        return request.user.has_perm("deliveries.change_event")

    def has_button(self, name: str, obj: Event) -> bool:
        return super().has_button(name, obj) and obj.expunged_at is None

    @admin.action(description="Expunge…", permissions=["expunge"])
    def expunge(self, request: HttpRequest, rows: QuerySet[Event]) -> HttpResponse | None:
        """First asks whether somebody is sure."""
        rows = self.ticked(request, rows)
        form = SureForm(request.POST if "is_sure" in request.POST else None)
        if not form.is_valid():
            return ask(self, request, rows, action="expunge", title="Expunge events", form=form, text=EXPUNGE)
        now, actor = timezone.now(), actor_of(request)

        def take(event: Event) -> None:
            expunges.expunge_event(event=show(Prefix.EVENT, event.id), actor=actor, now=now)

        self.do_each(request, rows.filter(expunged_at=None), take, done="expunged, or about to be")
        return self.after_action(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(merchant_name=merchant_name("merchant_id"))

    def find_id(self, prefix: Prefix, row_id: UUID, term: str) -> Found | None:
        match prefix:
            case Prefix.EVENT:
                return Found(Q(id__in=[row_id, *events_named(term)]))
            case Prefix.DELIVERY:
                return _owing([row_id])
            case Prefix.ATTEMPT:
                return _owing(list(Attempt.objects.filter(id=row_id).values_list("delivery_id", flat=True)))
            case Prefix.MERCHANT:
                return Found(Q(merchant_id=row_id), is_scan=True)
        return self.find_text(term)

    def find_text(self, term: str) -> Found | None:
        if ids := events_named(term):
            return Found(Q(id__in=ids))
        ids = merchants_named(term)
        return Found(Q(merchant_id__in=ids), is_scan=True) if ids else None

    def page_parts(self, obj: Event) -> dict[str, Any]:
        rows = (
            owed(obj.id)
            .order_by("id")
            .annotate(endpoint_url=endpoint_url(), merchant_name=merchant_name("owner_id"), external_id=external_id())
        )
        return {"deliveries": delivery_rows(rows[:DELIVERIES_SHOWN]), "payload": read_body(obj.payload)}

    @admin.display(description="Event")
    def link(self, event: Event) -> SafeString:
        return page_link(EVENT_PAGE, event.id, short_id(event.public_id))

    @admin.display(description="Id")
    def shown_id(self, event: Event) -> SafeString:
        return code(show(Prefix.EVENT, event.id))

    @admin.display(description="The provider's id")
    def chosen_id(self, event: Event) -> SafeString | str:
        return code(event.external_id) if event.external_id else EMPTY

    @admin.display(description="Merchant")
    def merchant(self, event: "NamedEvent") -> SafeString:
        return merchant_link(event.merchant_id, event.merchant_name)

    @admin.display(description="Account")
    def shown_account(self, event: Event) -> SafeString | str:
        return clipped(event.account) if event.account else EMPTY

    @admin.display(description="Test")
    def test(self, event: Event) -> str:
        return mark("Test event", when=event.is_test)

    @admin.display(description="Occurred (UTC)")
    def occurred(self, event: Event) -> SafeString | str:
        return moment(event.occurred_at)

    @admin.display(description="Expunged (UTC)")
    def expunged(self, event: Event) -> SafeString | str:
        return moment(event.expunged_at)

    @admin.display(description="Published (UTC)")
    def created(self, event: Event) -> SafeString | str:
        return moment(event.created_at)


def _owing(delivery_ids: list[UUID]) -> Found:
    """The ids are read first: of a subquery the planner does not know in which days it looks."""
    return Found(Q(id__in=list(Delivery.objects.filter(id__in=delivery_ids).values_list("event_id", flat=True))))
