"""Rules: what their merchants chose, and the way to each recipient."""

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ReadOnlyAdmin
from subscriptions.admin.columns import (
    ENDPOINT_PAGE,
    MERCHANT_PAGE,
    Colour,
    clipped,
    code,
    dot,
    lines,
    list_link,
    moment,
    page_link,
    short_id,
)
from subscriptions.admin.filters import by_id
from subscriptions.admin.logs import ANY_TIME, WITHIN
from subscriptions.models import Endpoint, Rule
from subscriptions.selectors import rules as selectors

NAMES_IN_LIST = 3


@admin.register(Rule)
class RuleAdmin(ReadOnlyAdmin[Rule]):
    list_display = ("shown_name", "listed_id", "owner_link", "first_types", "recipient_count", "created")
    list_filter = (by_id(Prefix.MERCHANT, "merchant", "owner_id"),)
    fields = (
        "shown_id",
        "name",
        "owner_link",
        "types",
        "shown_accounts",
        "recipients",
        "shown_version",
        "created",
        "updated",
    )
    id_columns = {Prefix.RULE: "id", Prefix.MERCHANT: "owner_id", Prefix.ENDPOINT: "recipients"}
    search_help_text = "An id (rul_…, mer_…, or ep_… of a recipient), a merchant's reference, or a part of the name"
    ordering = ("-id",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        living = Count("recipients", filter=Q(recipients__deleted_at=None))
        return super().get_queryset(request).select_related("owner").annotate(living=living)

    def search_text(self, rows: QuerySet[Rule], term: str) -> QuerySet[Rule]:
        return rows.filter(Q(owner__reference=term) | Q(name__icontains=term))

    def page_links(self, obj: Rule) -> Iterable[SafeString | None]:
        merchant = obj.owner.public_id
        yield list_link(
            "subscriptions_auditentry", "Audit", merchant=merchant, target=obj.public_id, **{WITHIN: ANY_TIME}
        )

    @admin.display(description="Name")
    def shown_name(self, rule: Rule) -> SafeString:
        return clipped(rule.name or "Without a name")

    @admin.display(description="Id")
    def shown_id(self, rule: Rule) -> SafeString:
        return code(rule.public_id)

    @admin.display(description="Id")
    def listed_id(self, rule: Rule) -> SafeString:
        return short_id(rule.public_id)

    @admin.display(description="Merchant")
    def owner_link(self, rule: Rule) -> SafeString:
        return page_link(MERCHANT_PAGE, rule.owner_id, rule.owner.name)

    @admin.display(description="Event types")
    def first_types(self, rule: Rule) -> SafeString | str:
        names = rule.event_types or []
        rest = len(names) - NAMES_IN_LIST
        return lines(names[:NAMES_IN_LIST] + ([f"and {rest} more"] if rest > 0 else [])) if names else "All"

    @admin.display(description="Event types")
    def types(self, rule: Rule) -> SafeString | str:
        return "All" if rule.event_types is None else lines(rule.event_types)

    @admin.display(description="Accounts")
    def shown_accounts(self, rule: Rule) -> SafeString | str:
        return lines(rule.accounts) if rule.accounts else "All"

    @admin.display(description="Recipients")
    def recipient_count(self, rule: Rule) -> int:
        return int(rule.living)  # type: ignore[attr-defined] # see get_queryset

    @admin.display(description="Recipients")
    def recipients(self, rule: Rule) -> SafeString | str:
        return lines(_recipient(row) for row in selectors.details([rule])[0].recipients) or "None is left."

    @admin.display(description="Version")
    def shown_version(self, rule: Rule) -> int:
        """As callers see it."""
        return selectors.details([rule])[0].version

    @admin.display(description="Created (UTC)")
    def created(self, rule: Rule) -> SafeString | str:
        return moment(rule.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, rule: Rule) -> SafeString | str:
        return moment(rule.updated_at)


def _recipient(endpoint: Endpoint) -> SafeString:
    state = (Colour.GREEN, "Active") if endpoint.is_active else (Colour.RED, f"Disabled: {endpoint.disabled_reason}")
    return format_html("{} {}", page_link(ENDPOINT_PAGE, endpoint.id, clipped(endpoint.target)), dot(*state))
