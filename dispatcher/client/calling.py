"""Turns calls of the areas into requests of the transport, and answers into results."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec

from dispatcher.client.errors import BadInput, UnexpectedAnswer
from dispatcher.client.results import Page
from dispatcher.client.transport import Answer, Call, Transport

T = TypeVar("T")

PAGE_SIZE = 50
MERCHANT_BASE = "/api/v2/webhooks"
PROVIDER_BASE = "/api/v2"

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Caller:
    """Calls below one base path; a provider's calls for a merchant name it in every query."""

    def __init__(self, transport: Transport, *, base: str, merchant: str | None = None) -> None:
        self.transport = transport
        self._base = base
        self._scope = {} if merchant is None else {"merchant": merchant}

    def get(self, path: str, kind: type[T], query: Mapping[str, Any] | None = None) -> T:
        return decode(self._call("GET", path, query=query), kind)

    def post(self, path: str, kind: type[T], body: Any = None, *, idempotency_key: str | None = None) -> T:
        """With a fresh idempotency key unless one is given, so that a retry never does it twice."""
        return decode(self._call("POST", path, body=body, idempotency_key=idempotency_key or new_key()), kind)

    def put(self, path: str, kind: type[T], body: Any = None, *, if_match: int | None = None) -> T:
        return decode(self._call("PUT", path, body=body, if_match=if_match), kind)

    def patch(self, path: str, kind: type[T], body: Any, *, if_match: int | None = None) -> T:
        return decode(self._call("PATCH", path, body=body, if_match=if_match), kind)

    def delete(self, path: str, *, if_match: int | None = None) -> None:
        self._call("DELETE", path, if_match=if_match)

    def pages(
        self, path: str, kind: type[T], query: Mapping[str, Any] | None = None, *, page_size: int = PAGE_SIZE
    ) -> Iterator[T]:
        """Every object of a list, page after page, each page asked for when it is needed."""
        asked: dict[str, Any] = {**(query or {}), "limit": page_size}
        while True:
            page: Page[T] = self.get(path, Page[kind], asked)  # type: ignore[valid-type] # known when it runs
            yield from page.data
            if page.next_cursor is None:
                return
            asked["cursor"] = page.next_cursor

    def linked_pages(
        self, path: str, kind: type[T], query: Mapping[str, Any] | None = None, *, page_size: int = PAGE_SIZE
    ) -> Iterator[T]:
        """The same for a bare array, which names its next page in `Link`."""
        asked: dict[str, Any] = {**(query or {}), "limit": page_size}
        while True:
            answer = self._call("GET", path, query=asked)
            yield from decode(answer, list[kind])  # type: ignore[valid-type] # known when it runs
            if answer.next_cursor is None:
                return
            asked["cursor"] = answer.next_cursor

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        idempotency_key: str | None = None,
        if_match: int | None = None,
    ) -> Answer:
        asked = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        call = Call(
            method,
            f"{self._base}{path}",
            {**asked, **self._scope},
            None if body is None else body if isinstance(body, bytes) else _encode(body),
            idempotency_key,
            if_match,
        )
        return self.transport.call(call)


def decode(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as trouble:
        raise UnexpectedAnswer(f"{answer.status}: this is no answer of this API ({trouble}).") from trouble


def segment(name: str) -> str:
    """An id or reference as a part of a path. Raises BadInput for what would lead to another path."""
    if name in {"", ".", ".."}:
        raise BadInput(f"{name!r} is no id.")
    return quote(name, safe="")


def new_key() -> str:
    return uuid4().hex


def raw_json(payload: Any) -> msgspec.Raw:
    """A payload as JSON. Bytes are taken as they are. Raises BadInput for bytes that are not one JSON value: they
    could say something else of the event around them."""
    if not isinstance(payload, bytes | bytearray | memoryview):
        return msgspec.Raw(_encode(payload))
    try:
        return msgspec.Raw(bytes(msgspec.json.decode(payload, type=msgspec.Raw)))
    except (msgspec.MsgspecError, UnicodeDecodeError) as trouble:
        raise BadInput(f"The payload's bytes are not JSON: {trouble}.") from None


def moment(value: datetime | None) -> datetime | None:
    """In UTC. Raises BadInput for a time without a zone: whose noon it means is not known."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise BadInput("A time needs a time zone, e.g. datetime.now(UTC).")
    return value.astimezone(UTC)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return str(moment(value)).replace(" ", "T").replace("+00:00", "Z")
    return str(value)
