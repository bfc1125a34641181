"""What a rendering can refer to: the message, what was derived from it so far, and the names of both in templates."""

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from dispatcher.profiles.model import RenderError

SAFE = "!#$&'()*+,/:;=?@[]"
# Stays as it is when a value with other than printable ASCII must be percent-encoded to travel in a header.

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Message(NamedTuple):
    """One attempt's worth of an event. `attempt` counts from 1; `now` is the attempt's own time."""

    event_id: str
    event_type: str
    payload: bytes
    occurred_at: datetime
    account: str | None
    merchant: str
    delivery_id: str
    attempt: int
    now: datetime
    mode: str = "live"


class Frame:
    """The state of one rendering. `id` and `type` are what headers and signatures both use, so that they agree."""

    __slots__ = ("_members", "body", "data", "id", "message", "timestamp", "type")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.id = header_safe(message.event_id)
        self.type = header_safe(message.event_type)
        self.timestamp = str(int(message.now.timestamp()))
        self.body = b""
        self.data = b""
        self._members: dict[str, bytes] | None = None

    @property
    def members(self) -> dict[str, bytes]:
        """The payload's members, each value in its own JSON bytes. Raises RenderError when it is no object."""
        if self._members is None:
            try:
                found = _decode_members(self.message.payload)
            except (msgspec.DecodeError, RecursionError):
                raise RenderError("The payload is no JSON object.") from None
            self._members = {name: bytes(raw).strip() for name, raw in found.items()}
        return self._members


def header_safe(text: str) -> str:
    """The same text when it may stand in a header; otherwise percent-encoded as UTF-8."""
    if text.isascii() and text.isprintable() and text[:1] != " " and text[-1:] != " ":
        return text
    return quote(text, safe=SAFE)


def rfc3339(moment: datetime) -> str:
    """In UTC with `Z`; microseconds only when there are any."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


TextGetter = Callable[[Frame], str]
BytesGetter = Callable[[Frame], bytes]

TEXTS: dict[str, TextGetter] = {
    "id": attrgetter("id"),
    "type": attrgetter("type"),
    "timestamp": attrgetter("timestamp"),
    "attempt": lambda frame: str(frame.message.attempt),
    "account": lambda frame: header_safe(frame.message.account or ""),
    "merchant": lambda frame: header_safe(frame.message.merchant),
    "delivery_id": lambda frame: header_safe(frame.message.delivery_id),
    "occurred_at": lambda frame: rfc3339(frame.message.occurred_at),
    "created": lambda frame: str(int(frame.message.occurred_at.timestamp())),
    "mode": lambda frame: header_safe(frame.message.mode),
}
# For headers and signed messages.

BYTES: dict[str, BytesGetter] = {
    "body": attrgetter("body"),
    "payload": attrgetter("message.payload"),
    "data": attrgetter("data"),
}
# For signed messages only: the body as sent, the payload as published, the text of a form's data field.

_json = msgspec.json.encode

JSON_VALUES: dict[str, BytesGetter] = {
    "id": lambda frame: _json(frame.message.event_id),
    "type": lambda frame: _json(frame.message.event_type),
    "timestamp": lambda frame: frame.timestamp.encode(),
    "attempt": lambda frame: _json(frame.message.attempt),
    "attempt_text": lambda frame: _json(str(frame.message.attempt)),
    "account": lambda frame: _json(frame.message.account),
    "merchant": lambda frame: _json(frame.message.merchant),
    "delivery_id": lambda frame: _json(frame.message.delivery_id),
    "occurred_at": lambda frame: _json(rfc3339(frame.message.occurred_at)),
    "created": lambda frame: _json(int(frame.message.occurred_at.timestamp())),
    "mode": lambda frame: _json(frame.message.mode),
    "is_live": lambda frame: _json(frame.message.mode == "live"),
    "payload": attrgetter("message.payload"),
}
# For envelopes: each is a whole JSON value.
