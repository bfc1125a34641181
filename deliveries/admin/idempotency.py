"""Idempotency keys: which event a caller's key already made."""

from django.contrib import admin
from django.db.models import Q
from django.utils.safestring import SafeString

from deliveries.admin.naming import event_link
from deliveries.models import IdempotencyKey
from deliveries.services.publish import EVENT_ID_SCOPE, PYTHON_SCOPE
from subscriptions.admin.columns import clipped, moment
from subscriptions.admin.logs import Found, LogAdmin, WindowFilter


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(LogAdmin[IdempotencyKey]):
    fields = ("scope", "key", "event", "expires")
    list_display = ("shown_key", "scope", "event", "expires")
    list_filter = (WindowFilter,)
    search_help_text = "A provider's event id, or `scope key`, exactly"
    unread = ("request_hash",)

    def find_text(self, term: str) -> Found | None:
        """The index is over scope and key, so that a key alone is looked for in the scopes that have a name."""
        scope, _, key = term.partition(" ")
        if key:
            return Found(Q(scope=scope, key=key))
        return Found(Q(scope__in=[EVENT_ID_SCOPE, PYTHON_SCOPE], key=term))

    @admin.display(description="Key")
    def shown_key(self, row: IdempotencyKey) -> SafeString:
        return clipped(row.key)

    @admin.display(description="Event")
    def event(self, row: IdempotencyKey) -> SafeString:
        return event_link(row.event_id)

    @admin.display(description="Expires (UTC)")
    def expires(self, row: IdempotencyKey) -> SafeString | str:
        return moment(row.expires_at)
