"""Merchants with what is done to them by operators: held, released, sent again, and looked at from inside."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from deliveries.admin import figures
from deliveries.admin.dashboard import failing_rows
from deliveries.admin.endpoints import WhyForm, scope_of
from deliveries.admin.replays import begin_address, may_resend
from deliveries.models import Replay
from deliveries.selectors import statistics
from deliveries.selectors.failing import failing
from deliveries.services import holds
from subscriptions.admin.base import actor_of, ask
from subscriptions.admin.columns import REPLAY_PAGE, list_link
from subscriptions.admin.merchants import MerchantAdmin
from subscriptions.models import Merchant
from subscriptions.portal.doors import ENTER, OPERATOR, open_visit
from subscriptions.services import audit
from subscriptions.services.holds import hold_merchant

VISIT_S = 3600
# An operator's look into a merchant's portal. Whoever needs longer comes in again, which is written down again.
HOLD_TEXT = (
    "Nothing is sent to any of their endpoints from now on; what comes is held, and sent once they are released. "
    "Endpoints that are disabled already stay as they are. Endpoints made later are not held, and a merchant may "
    "enable its own again."
)


class OperatedMerchantAdmin(MerchantAdmin):
    """The same pages, with the buttons and figures that need the ledger, and the way into the portal."""

    change_form_template = "deliveries/admin/operated.html"
    actions = ("hold", "release", "resend")
    buttons = ("hold", "release", "resend")

    def has_hold_permission(self, request: HttpRequest) -> bool:
        """What it changes are endpoints."""
        return request.user.has_perm("subscriptions.change_endpoint")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return may_resend(request)

    def has_button(self, name: str, obj: Merchant) -> bool:  # noqa: ARG002 - the same for all
        return obj.deleted_at is None

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.enter_portal)
        return [path("<uuid:object_id>/portal/", view, name="subscriptions_merchant_portal"), *super().get_urls()]

    def page_links(self, obj: Merchant) -> Iterable[SafeString | None]:
        yield from super().page_links(obj)
        yield list_link(REPLAY_PAGE, "Replays", merchant=obj.public_id)

    def other_buttons(self, request: HttpRequest, obj: Merchant) -> list[dict[str, str]]:
        if obj.deleted_at is not None or not request.user.has_perm(ENTER):
            return []
        return [
            {"address": reverse("admin:subscriptions_merchant_portal", args=[obj.id]), "label": "Look into its portal"}
        ]

    def page_parts(self, obj: Merchant) -> dict[str, Any]:
        """How its endpoints' last day went. Three statements, however many it has."""
        found = statistics.read(scope_of(obj), bucket=statistics.Bucket.HOUR)
        return {
            "charts": figures.by_hour(found.series, heading="Attempts of the last day"),
            "strip": figures.of_scope(found),
            "failing": failing_rows(failing(now=timezone.now(), owner_id=obj.id)),
        }

    @method_decorator(require_POST)
    def enter_portal(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """Read only, for a while, and written down where the merchant reads it."""
        if not request.user.has_perm(ENTER):
            raise PermissionDenied
        merchant = Merchant.objects.filter(id=object_id, deleted_at=None).first()
        if merchant is None:
            raise Http404
        now = timezone.now()
        until = int(now.timestamp()) + VISIT_S
        audit.note(
            actor=actor_of(request),
            action="merchant.portal_entered",
            target=merchant.public_id,
            merchant_id=merchant.id,
            detail={"role": "viewer", "until": until},
            now=now,
        )
        name = request.user.get_username()
        visit = {"role": "viewer", "actor": actor_of(request), "name": name, "way": OPERATOR, "until": until}
        open_visit(request, merchant=merchant, visit=visit)
        return HttpResponseRedirect(f"/portal/{merchant.public_id}/")

    @admin.action(description="Hold…", permissions=["hold"])
    def hold(self, request: HttpRequest, rows: QuerySet[Merchant]) -> HttpResponse | None:
        """First asks why."""
        rows = self.ticked(request, rows)
        form = WhyForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            return ask(self, request, rows, action="hold", title="Hold merchants", form=form, text=HOLD_TEXT)
        now, actor, reason = timezone.now(), actor_of(request), form.cleaned_data["reason"]
        self.do_each(
            request, rows, lambda row: hold_merchant(merchant=row, reason=reason, now=now, actor=actor), done="held"
        )
        return self.after_action(request)

    @admin.action(description="Release", permissions=["hold"])
    def release(self, request: HttpRequest, rows: QuerySet[Merchant]) -> HttpResponse | None:
        now, actor = timezone.now(), actor_of(request)
        self.do_each(
            request,
            self.ticked(request, rows),
            lambda row: holds.release(merchant=row, now=now, actor=actor),
            done="released. What was held is on its way: see their replays",
        )
        return self.after_action(request)

    @admin.action(description="Send again…", permissions=["resend"])
    def resend(self, request: HttpRequest, rows: QuerySet[Merchant]) -> HttpResponse | None:
        """To the page on which replays are begun, which knows one place at a time."""
        chosen = list(self.ticked(request, rows)[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one merchant.", messages.WARNING)
            return None
        return HttpResponseRedirect(begin_address(where=chosen[0].public_id, kind=Replay.Kind.RECOVER))


admin.site.unregister(Merchant)
admin.site.register(Merchant, OperatedMerchantAdmin)
