"""What the templates of one delivery and of one attempt need."""

import shlex
from collections.abc import Sequence

from deliveries.admin.bodies import Body, read_body
from deliveries.models import Attempt, Event
from deliveries.portal import panel
from deliveries.portal.states import state_of
from dispatcher.ids import Prefix
from dispatcher.ids import show as show_id
from subscriptions.portal.doors import PortalRequest

CURL_BODY_MOST = 64 * 1024
# More than a terminal takes well.
OWN_OF_CURL = frozenset({"host", "content-length", "connection", "accept-encoding"})


def panel_shown(found: panel.Panel, request: PortalRequest) -> dict[str, object]:
    """What the panel's templates need."""
    is_open = found.endpoint is not None and found.endpoint.is_active
    return {
        "section": "log",
        "panel": found,
        "state": state_of(found.delivery),
        "event_id": found.event.public_id if found.event else show_id(Prefix.EVENT, found.delivery.event_id),
        "payload": read_body(found.event.payload) if found.event else None,
        "tab": "event" if request.GET.get("tab") == "event" else "attempts",
        "is_taken_away": is_taken_away(found.event),
        "may_resend": request.visitor.may_write and is_open and not is_taken_away(found.event),
        "newest": _newest(found) if found.steps else None,
    }


def attempt_shown(tried: Attempt, event: Event | None) -> dict[str, object]:
    """What the templates of one attempt need."""
    raw = tried.request_body if tried.request_body is not None else event.payload if event else b""
    body = read_body(raw)
    # E-mail and SMS went to an address.
    is_web = tried.url.startswith(("https://", "http://"))
    return {
        "attempt": tried,
        "request_headers": _lines(tried.request_headers),
        "request_body": body,
        "response_headers": _lines(tried.response_headers),
        "response_body": read_body(tried.response_body),
        "phases": panel.phases_of(tried) if is_web else [],
        "is_taken_away": is_taken_away(event),
        "curl": curl(tried, body) if is_web and not is_taken_away(event) else "",
        "is_web": is_web,
    }


def is_taken_away(event: Event | None) -> bool:
    """Whether the contents are there no more: somebody asked for it, or the event's time was over."""
    return event is None or event.expunged_at is not None


def curl(tried: Attempt, body: Body) -> str:
    """The request as a command for a terminal, masked credentials as they are; empty for a body that is no text."""
    if body.is_binary or body.is_cut or body.size > CURL_BODY_MOST:
        return ""
    headers = [f"{name}: {value}" for name, value in _lines(tried.request_headers) if name.lower() not in OWN_OF_CURL]
    parts = [f"curl -X POST {shlex.quote(tried.url)}", *(f"-H {shlex.quote(line)}" for line in headers)]
    return " \\\n  ".join([*parts, f"--data-raw {shlex.quote(body.text)}"])


def _newest(found: panel.Panel) -> dict[str, object]:
    """The newest attempt, which stands open. Its bodies are fetched by its delivery, which tells the day."""
    newest = found.steps[0].attempt
    return attempt_shown(Attempt.objects.get(delivery_id=newest.delivery_id, number=newest.number), found.event)


def _lines(block: str) -> Sequence[tuple[str, str]]:
    """Headers in the order of the wire; names may come more than once."""
    lines = (line.partition(":") for line in block.splitlines() if line)
    return [(name, value.strip(" \t")) for name, _, value in lines]
