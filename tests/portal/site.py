"""A running platform with a shop's history, and a receiver whose answers the test chooses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from dispatcher.ids import Prefix, show
from tests.acceptance.stack import Stack, running_stack
from tests.portal.people import MERCHANT, OWNER_ADDRESS
from tests.receivers.receiver import Connection, Receiver

WRITE = "from tests.portal import history; history.write()"
IDS = "SELECT reference, id FROM subscriptions_merchant"


@dataclass
class Manner:
    """How the receiver answers from now on."""

    status: str = "200 OK"
    body: str = '{"received": true}'

    def script(self, connection: Connection) -> None:
        while connection.read_request() is not None:
            body = self.body.encode()
            head = f"HTTP/1.1 {self.status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.send(head.encode() + body)


@dataclass
class Site:
    """Where the pages are, and what stands behind them."""

    stack: Stack
    receiver: Receiver
    manner: Manner
    merchants: dict[str, str] = field(default_factory=dict)

    def address(self, page: str = "", *, merchant: str = MERCHANT) -> str:
        """Of a page of a merchant's portal."""
        return f"{self.base}/portal/{self.merchants[merchant]}/{page}"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.stack.port}"

    @property
    def receiver_url(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}/in"

    def add_merchant(self, reference: str) -> str:
        """A new one with nothing, whose owner is the shop's. Returns its reference."""
        made = self.stack.create("/api/v2/merchants", {"name": reference.title(), "reference": reference})
        self.stack.create(f"/api/v2/merchants/{reference}/members", {"email": OWNER_ADDRESS, "role": "owner"})
        self.merchants[reference] = made["id"]
        return reference

    def publish(self, type: str, payload: Any, *, merchant: str, **more: str) -> str:  # noqa: A002
        """The event's id."""
        body = {"type": type, "merchant": merchant, "payload": payload, **more}
        status, answer = self.stack.call("POST", "/api/v2/events", body)
        assert status == 202, answer
        return str(answer["id"])

    def received(self) -> list[Any]:
        """The bodies of what came, first to last."""
        return [json.loads(one.body) for one in self.receiver.requests if one.body]


@contextmanager
def open_site(directory: Path, **settings: str) -> Iterator[Site]:
    manner = Manner()
    with running_stack(directory, **settings) as stack, Receiver(manner.script) as receiver:
        stack.manage("shell", "-c", WRITE, timeout_s=120)
        site = Site(stack, receiver, manner)
        site.merchants = {str(reference): _public(str(row_id)) for reference, row_id in stack.sql(IDS)}
        yield site


def _public(row_id: str) -> str:
    return show(Prefix.MERCHANT, UUID(row_id))
