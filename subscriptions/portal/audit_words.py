"""What stands in the audit log, in words that a merchant's people read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.models import ApiKey, AuditEntry, Endpoint

ACTIONS: Mapping[str, str] = {
    "endpoint.created": "Created an endpoint",
    "endpoint.updated": "Changed an endpoint",
    "endpoint.deleted": "Deleted an endpoint",
    "endpoint.enabled": "Enabled an endpoint",
    "endpoint.disabled": "Switched an endpoint off",
    "endpoint.failing": "Switched a failing endpoint off",
    "endpoint.held": "Held an endpoint",
    "endpoint.released": "Released an endpoint",
    "endpoint.tested": "Sent a test event",
    "endpoint.connectivity_tested": "Tested the connection",
    "endpoint.unreadable": "Could not read an endpoint's secret",
    "endpoint.readable": "Could read an endpoint's secret again",
    "endpoint.verification_sent": "Sent a code to an address",
    "endpoint.verification_unsent": "Could not send a code",
    "endpoint.verified": "Confirmed an address",
    "endpoint.unsubscribed": "Unsubscribed",
    "endpoint.notice_unsent": "Could not tell a member",
    "secret.revealed": "Looked at a signing secret",
    "secret.rotated": "Rotated a signing secret",
    "key.created": "Created an API key",
    "key.revoked": "Revoked an API key",
    "member.added": "Added a person",
    "member.invited": "Invited a person again",
    "member.changed": "Changed a person's role",
    "member.removed": "Removed a person",
    "portal_link.created": "Made a portal link",
    "portal_link.used": "Came in by a portal link",
    "merchant.portal_entered": "Looked into the portal",
    "merchant.created": "Created the merchant",
    "merchant.updated": "Changed the merchant",
    "merchant.deleted": "Deleted the merchant",
    "merchant.held": "Held all endpoints",
    "merchant.released": "Released all endpoints",
    "account.registered": "Registered an account",
    "account.removed": "Removed an account",
    "account.expunged": "Took an account's data away",
    "event.expunged": "Took an event's contents away",
    "event.resent": "Resent an event",
    "deliveries.resent": "Resent deliveries",
    "rule.created": "Created a rule",
    "rule.updated": "Changed a rule",
    "rule.deleted": "Deleted a rule",
    "replay.begun": "Began a replay",
    "replay.stopped": "Stopped a replay",
    "replay.finished": "Finished a replay",
    "export.begun": "Began an export",
    "export.deleted": "Deleted an export",
}
FIELDS = {"url": "URL", "auth": "authentication", "ack": "acknowledgement", "is_active": "on or off"}
PLATFORM, PROVIDER, RECIPIENT = "The platform", "The provider", "The recipient"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as it is shown. `endpoint` is the public id of the endpoint that it is about, if it is about one."""

    entry: AuditEntry
    who: str
    what: str
    detail: str
    about: str
    endpoint: str


def lines(entries: Sequence[AuditEntry], *, merchant_id: UUID) -> list[Line]:
    """Three statements, however many entries: the names of keys, endpoints and people."""
    names = _Names(entries, merchant_id)
    return [
        Line(
            entry,
            names.of_actor(entry.actor),
            ACTIONS.get(entry.action, entry.action),
            names.of_detail(entry),
            names.of_target(entry.target),
            entry.target if entry.target in names.endpoints else "",
        )
        for entry in entries
    ]


class _Names:
    def __init__(self, entries: Sequence[AuditEntry], merchant_id: UUID) -> None:
        actors = {entry.actor for entry in entries}
        key_ids = _ids(Prefix.API_KEY, (actor.removeprefix("key:") for actor in actors))
        endpoint_ids = _ids(Prefix.ENDPOINT, (entry.target for entry in entries))
        # Another merchant's names are never read, whatever an entry says.
        keys = ApiKey.objects.filter(id__in=key_ids, merchant_id=merchant_id)
        living = Endpoint.objects.filter(id__in=endpoint_ids, owner_id=merchant_id)
        self._keys = {key.public_id: key.name for key in keys}
        self.endpoints = {endpoint.public_id: endpoint.target for endpoint in living.only("id", "target")}
        user_ids = {entry.detail.get("user") for entry in entries if isinstance(entry.detail.get("user"), int)}
        users = User.objects.filter(id__in=user_ids) if user_ids else ()
        self._users = {user.pk: user.get_username() for user in users}

    def of_actor(self, actor: str) -> str:
        kind, _, name = actor.partition(":")
        match kind:
            case "user":
                return name
            case "key":
                return f"API key “{self._keys[name]}”" if name in self._keys else PROVIDER
            case "link":
                return "Guest by link"
            case "recipient":
                return RECIPIENT
        return PLATFORM

    def of_target(self, target: str) -> str:
        return self.endpoints.get(target, target)

    def of_detail(self, entry: AuditEntry) -> str:
        """The known members in words; what nobody thought of as `name: value`."""
        told = dict(entry.detail)
        parts = [say(told) for names, say in _SAYINGS if names <= set(told)]
        used = {name for names, _ in _SAYINGS if names <= set(told) for name in names} | _UNSAID
        if "user" in told and isinstance(told["user"], int):
            parts.insert(0, self._users.get(told["user"], "a user who is gone"))
            used.add("user")
        parts += [
            f"{name.replace('_', ' ')}: {value}"
            for name, value in told.items()
            if name not in used and isinstance(value, str | int) and value not in ("", None)
        ]
        return ", ".join(part for part in parts if part)


def _ids(prefix: Prefix, texts: Iterable[str]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(parse(prefix, text))
        except InvalidId:
            continue
    return found


def _fields(told: Mapping[str, Any]) -> str:
    return ", ".join(FIELDS.get(name, str(name).replace("_", " ")) for name in told["fields"])


def _deliveries(told: Mapping[str, Any]) -> str:
    count = len(told["deliveries"])
    return f"{count} deliver{'y' if count == 1 else 'ies'}"


def _until(told: Mapping[str, Any]) -> str:
    value = told["expires_at"]
    return f"good until {datetime.fromisoformat(value):%-d %b %Y, %H:%M} UTC" if isinstance(value, str) else ""


_SAYINGS: Sequence[tuple[frozenset[str], Callable[[Mapping[str, Any]], str]]] = (
    (frozenset({"fields"}), _fields),
    (frozenset({"deliveries"}), _deliveries),
    (frozenset({"prefix", "name"}), lambda told: f"“{told['name']}”, {told['prefix']}…"),
    (frozenset({"role"}), lambda told: f"as {told['role']}"),
    (frozenset({"access"}), lambda told: "read only" if told["access"] == "read_only" else "full access"),
    (frozenset({"expires_at"}), _until),
    (frozenset({"event_type"}), lambda told: str(told["event_type"])),
    (frozenset({"kind", "sent"}), lambda told: f"{str(told['kind']).replace('_', ' ')}, {told['sent']} sent"),
    (frozenset({"reason"}), lambda told: str(told["reason"]).replace("_", " ")),
    (frozenset({"to"}), lambda told: f"to {told['to']}"),
)
_UNSAID = frozenset({"secret", "until", "delivery", "replay", "status"})
# Ids and numbers that say nothing to people, or that stand elsewhere in the line.
