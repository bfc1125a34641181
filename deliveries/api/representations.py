"""How events, deliveries and attempts look from outside."""

import base64
from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import msgspec

from deliveries.models import Attempt, Delivery, Event
from deliveries.selectors.events import EventDetail
from deliveries.selectors.log import LogRow
from deliveries.services import Accepted
from dispatcher.addresses import AddressRules
from dispatcher.ids import Prefix, show
from dispatcher.outcomes import Phases, Reason
from subscriptions.models import Merchant

Shown = dict[str, Any]

PUBLIC_ADDRESSES = AddressRules()
PHASES = ("dns", "connect", "tls", "send", "wait", "total")


def accepted(answer: Accepted) -> Shown:
    return {"id": answer.id, "duplicate": answer.is_duplicate, "deliveries": answer.deliveries}


def log_rows(rows: Iterable[LogRow]) -> list[Shown]:
    return [_log_row(row) for row in rows]


def _log_row(row: LogRow) -> Shown:
    return {
        "id": row.external_id or show(Prefix.EVENT, row.event_id),
        "delivery_id": show(Prefix.DELIVERY, row.id),
        "endpoint_id": show(Prefix.ENDPOINT, row.endpoint_id),
        "event_type": row.event_type,
        "account": row.account,
        "delivery_status": row.status,
        "delivery_attempts": row.attempts_made,
        "delivery_response_code": row.last_status,
        "delivery_error": _error(row.last_reason),
        "next_attempt_at": row.next_attempt_at,
        "payload": _payload(row.payload, expunged_at=row.expunged_at),
        "created_at": row.created_at,
        "expunged_at": row.expunged_at,
    }


def event_detail(found: EventDetail, *, is_for_provider: bool) -> Shown:
    return event(found.event) | {
        "deliveries": [
            _delivery(row) | {"attempts": _attempts(found.attempts.get(row.id, ()), is_for_provider=is_for_provider)}
            for row in found.deliveries
        ]
    }


def event(row: Event) -> Shown:
    return {
        "id": row.public_id,
        "event_type": row.type,
        "merchant": show(Prefix.MERCHANT, row.merchant_id),
        "account": row.account,
        "is_test": row.is_test,
        "mode": Merchant.Mode.LIVE if row.is_live else Merchant.Mode.TEST,
        "occurred_at": row.occurred_at,
        "created_at": row.created_at,
        "payload": _payload(row.payload, expunged_at=row.expunged_at),
        "expunged_at": row.expunged_at,
    }


def _payload(payload: bytes | memoryview, *, expunged_at: datetime | None) -> msgspec.Raw | None:
    """The very bytes, unless they were taken away."""
    return msgspec.Raw(bytes(payload)) if expunged_at is None else None


def _delivery(row: Delivery) -> Shown:
    return {
        "delivery_id": row.public_id,
        "endpoint_id": show(Prefix.ENDPOINT, row.endpoint_id),
        "delivery_status": row.status,
        "delivery_attempts": row.attempts_made,
        "delivery_response_code": row.last_status,
        "delivery_error": _error(row.last_reason),
        "next_attempt_at": row.next_attempt_at,
        "last_attempt_at": row.last_attempt_at,
        "finished_at": row.finished_at,
        "created_at": row.created_at,
    }


def _error(reason: str | None) -> str | None:
    return None if reason == Reason.DELIVERED else reason


def _attempts(rows: Iterable[Attempt], *, is_for_provider: bool) -> list[Shown]:
    return [attempt(row, is_for_provider=is_for_provider) for row in rows]


def attempt(row: Attempt, *, is_for_provider: bool, payload: bytes | None = None) -> Shown:
    """What was sent and what came back. The request's body is null where it is the event's payload, unless `payload`
    is given to stand there."""
    sent = payload if row.request_body is None else bytes(row.request_body)
    return {
        "id": row.public_id,
        "number": row.number,
        "trigger": row.trigger,
        "is_counted": row.is_counted,
        "reason": row.reason,
        "detail": row.detail,
        "started_at": row.started_at,
        "request": {"url": row.url, "headers": _headers(row.request_headers)} | _body(sent),
        "response": _response(row),
        "phases_ms": {name: _rounded(getattr(row, f"{name}_ms")) for name in PHASES},
        "peer": peer(row.peer, is_for_provider=is_for_provider),
    }


def phases(found: Phases) -> Shown:
    return {name: _rounded(getattr(found, name)) for name in PHASES}


def peer(address: str, *, is_for_provider: bool) -> str:
    return address if is_for_provider or _is_public(address) else ""


def _response(row: Attempt) -> Shown | None:
    if row.response_status is None:
        return None
    return {
        "status": row.response_status,
        "headers": _headers(row.response_headers),
        **_body(bytes(row.response_body)),
        "is_body_truncated": row.is_response_truncated,
        "body_error": row.body_error or None,
    }


def _headers(block: str) -> list[Shown]:
    """In the order of the wire; names may come more than once."""
    lines = (line.partition(":") for line in block.split("\r\n") if line)
    return [{"name": name, "value": value.strip(" \t")} for name, _, value in lines]


def _body(body: bytes | None) -> Shown:
    """As text where it is UTF-8, else in base64, and which of the two it is."""
    if body is None:
        return {"body": None, "is_body_base64": False}
    try:
        return {"body": body.decode(), "is_body_base64": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "is_body_base64": True}


def _is_public(peer: str) -> bool:
    """A merchant's name may lead into networks that only the provider knows about; it is not told where it led."""
    try:
        return PUBLIC_ADDRESSES.allows(ip_address(peer.rpartition(":")[0].strip("[]")))
    except ValueError:
        return False


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
