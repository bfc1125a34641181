"""Endpoints with what is done to them by operators: tried, held, released, recovered; and how they are doing."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from deliveries.admin import figures
from deliveries.admin.dashboard import failing_rows
from deliveries.admin.reasons import in_words
from deliveries.admin.replays import begin_address, may_resend
from deliveries.models import Replay
from deliveries.selectors import statistics
from deliveries.selectors.failing import failing
from deliveries.services import connectivity, holds, trial
from subscriptions.admin.base import actor_of, ask
from subscriptions.admin.columns import DELIVERY_PAGE, REPLAY_PAGE, list_link, page_link
from subscriptions.admin.endpoints import EndpointAdmin
from subscriptions.errors import Refusal
from subscriptions.models import Endpoint, Merchant
from subscriptions.services.holds import HELD, hold_endpoint

DAY = timedelta(days=1)
WHY = "It stands in the audit log. The merchant sees that the provider holds it, not why."


class WhyForm(forms.Form):
    reason = forms.CharField(max_length=255, help_text=WHY)


class OperatedEndpointAdmin(EndpointAdmin):
    """The same pages, with the buttons and figures that need the ledger."""

    change_form_template = "deliveries/admin/operated.html"
    actions = ("enable", "disable", "hold", "release", "resend", "send_test", "connect")
    buttons = ("enable", "release", "disable", "hold", "resend", "send_test", "connect")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return may_resend(request)

    def has_button(self, name: str, obj: Endpoint) -> bool:
        match name:
            case "hold" | "resend":
                return obj.is_active
            case "release":
                return _is_held(obj)
            case "enable":
                return super().has_button(name, obj) and not _is_held(obj)
            case "send_test":
                return obj.deleted_at is None
            case "connect":
                return obj.deleted_at is None and obj.channel == Endpoint.Channel.WEBHOOK
        return super().has_button(name, obj)

    def page_links(self, obj: Endpoint) -> Iterable[SafeString | None]:
        yield from super().page_links(obj)
        yield list_link(REPLAY_PAGE, "Replays", endpoint=obj.public_id)

    def page_parts(self, obj: Endpoint) -> dict[str, Any]:
        """How its last day went. Two statements, and another where it fails."""
        now = timezone.now()
        found = statistics.read(_last_day(obj), bucket=statistics.Bucket.HOUR)
        mine = [one for one in failing(now=now, owner_id=obj.owner_id) if one.endpoint_id == obj.id]
        return {
            "charts": figures.by_hour(found.series, heading="Attempts of the last day"),
            "strip": figures.of_scope(found),
            "failing": failing_rows(mine),
        }

    @admin.action(description="Hold…", permissions=["change"])
    def hold(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        """First asks why."""
        rows = self.ticked(request, rows)
        form = WhyForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            text = "Nothing is sent to them from now on; what comes is held, and sent once they are released."
            return ask(self, request, rows, action="hold", title="Hold endpoints", form=form, text=text)
        now, actor, reason = timezone.now(), actor_of(request), form.cleaned_data["reason"]
        self.do_each(
            request,
            rows,
            lambda row: hold_endpoint(endpoint_id=row.id, reason=reason, now=now, actor=actor),
            done="held",
        )
        return self.after_action(request)

    @admin.action(description="Release", permissions=["change"])
    def release(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        now, actor = timezone.now(), actor_of(request)
        self.do_each(
            request,
            self.ticked(request, rows),
            lambda row: holds.release(merchant=row.owner, endpoint_id=row.id, now=now, actor=actor),
            done="released. What was held for them is on its way: see their replays",
        )
        return self.after_action(request)

    @admin.action(description="Send again…", permissions=["resend"])
    def resend(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        """To the page on which replays are begun, which knows one place at a time."""
        chosen = list(self.ticked(request, rows)[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one endpoint, or begin from its merchant.", messages.WARNING)
            return None
        return HttpResponseRedirect(begin_address(where=chosen[0].public_id, kind=Replay.Kind.RECOVER))

    @admin.action(description="Send a test event", permissions=["change"])
    def send_test(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        """Outside of any transaction, as each waits for an answer: one endpoint at a time."""
        if row := self._one(request, rows):
            self._tell(request, row, self._try_event)
        return self.after_action(request)

    @admin.action(description="Test the connection", permissions=["change"])
    def connect(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> HttpResponse | None:
        """The same without an event."""
        if row := self._one(request, rows):
            self._tell(request, row, self._try_connection)
        return self.after_action(request)

    def _one(self, request: HttpRequest, rows: QuerySet[Endpoint]) -> Endpoint | None:
        chosen = list(self.ticked(request, rows).filter(deleted_at=None)[:2])
        if len(chosen) == 1:
            return chosen[0]
        self.message_user(request, "Choose one endpoint that is not deleted.", messages.WARNING)
        return None

    def _tell(self, request: HttpRequest, row: Endpoint, attempt: Any) -> None:
        try:
            text, is_fine = attempt(row, actor_of(request))
        except Refusal as refusal:
            text, is_fine = refusal.sentence, False
        self.message_user(request, text, messages.SUCCESS if is_fine else messages.ERROR)

    def _try_event(self, row: Endpoint, actor: str) -> tuple[SafeString, bool]:
        made = trial.make(endpoint=row, event_type=None, actor=actor, now=timezone.now())
        shown = page_link(DELIVERY_PAGE, made.delivery.id, "See the delivery")
        text = format_html("Test event: {}{}. {}.", in_words(made.attempt.reason), _status(made.attempt), shown)
        return text, made.delivery.status == made.delivery.Status.DELIVERED

    def _try_connection(self, row: Endpoint, actor: str) -> tuple[str, bool]:
        outcome = connectivity.check(endpoint=row, actor=actor, now=timezone.now())
        if outcome.status is None:
            return f"Nobody was reached: {in_words(outcome.reason)}. {outcome.detail}".strip(), False
        return f"Somebody is there: answered {outcome.status} from {outcome.peer}.", True


def _status(attempt: Any) -> str:
    return f" ({attempt.response_status})" if attempt.response_status else ""


def _is_held(endpoint: Endpoint) -> bool:
    return endpoint.deleted_at is None and not endpoint.is_active and endpoint.disabled_reason == HELD


def _last_day(endpoint: Endpoint) -> statistics.Scope:
    return scope_of(endpoint.owner, endpoint)


def scope_of(owner: Merchant, endpoint: Endpoint | None = None) -> statistics.Scope:
    """The last 24 hours, the present one among them."""
    until = statistics.hour_of(timezone.now()) + statistics.HOUR
    return statistics.Scope(
        owner_id=owner.id,
        endpoint_id=endpoint.id if endpoint else None,
        event_type=None,
        since=until - DAY,
        until=until,
    )


admin.site.unregister(Endpoint)
admin.site.register(Endpoint, OperatedEndpointAdmin)
