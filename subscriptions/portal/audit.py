"""The audit log of a merchant: who did what, when, and to what."""

from collections.abc import Sequence

from django.http import HttpResponse

from dispatcher.ids import Prefix
from subscriptions.models import AuditEntry
from subscriptions.portal import pages
from subscriptions.portal.audit_words import ACTIONS, lines
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.portal.typed import read_text

GROUPS = {
    "endpoint": "Endpoints",
    "secret": "Secrets",
    "key": "API keys",
    "member": "Team",
    "portal_link": "Portal links",
    "merchant": "Merchant",
    "account": "Accounts",
    "event": "Events",
    "deliveries": "Events",
    "rule": "Rules",
    "replay": "Replays",
    "export": "Exports",
}


@page()
def log(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/audit/`, narrowed by `actor`, `action` and `target`, each by an index."""
    merchant = request.visitor.merchant
    asked = {name: read_text(request.GET, name) for name in ("actor", "action", "target")}
    rows = AuditEntry.objects.filter(merchant=merchant)
    if asked["actor"]:
        rows = rows.filter(actor__in=_actors(asked["actor"]))
    if asked["action"]:
        rows = rows.filter(action=asked["action"])
    if asked["target"]:
        rows = rows.filter(target=asked["target"])
    found = pages.read(rows, request, prefix=Prefix.AUDIT)
    shown = {
        "section": "audit",
        "page": found,
        "lines": lines(found.rows, merchant_id=merchant.id),
        "asked": asked,
        "is_narrowed": any(asked.values()),
        "choices": _choices(),
    }
    return show(request, "portal/audit/list.html", shown)


def _actors(text: str) -> Sequence[str]:
    """A user's name or a key's id is enough; the platform is `system`."""
    return (text, *(f"{kind}:{text}" for kind in ("user", "key", "link")))


def _choices() -> dict[str, list[tuple[str, str]]]:
    by_group: dict[str, list[tuple[str, str]]] = {}
    for action, words in ACTIONS.items():
        by_group.setdefault(GROUPS[action.partition(".")[0]], []).append((action, words))
    return by_group
