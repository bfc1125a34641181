"""A real platform for those who stand at the other end of its API: the client and the command line."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from dispatcher.client import Merchant, Provider
from tests.acceptance.stack import Stack, running_stack

TYPES = ("invoice.paid", "invoice.sent")


@dataclass(frozen=True)
class Shop:
    """A merchant of its own for one test, its key, and a stranger's."""

    stack: Stack
    reference: str
    key: str
    strangers_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.port}"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Web, worker and beat, with two event types in the catalogue; one for all of these tests."""
    # A short name: a Unix socket's path has at most 107 bytes.
    with running_stack(tmp_path_factory.mktemp("s"), RETRY_SCHEDULE="1") as started:
        for name in TYPES:
            started.create("/api/v2/event-types", {"name": name, "example": {"id": "inv_1", "total": 12.5}})
        yield started


@pytest.fixture
def shop(stack: Stack) -> Shop:
    names = [f"{person}-{uuid4().hex[:12]}" for person in ("alice", "charlie")]
    keys = []
    for name in names:
        stack.create("/api/v2/merchants", {"name": name, "reference": name})
        keys.append(stack.create(f"/api/v2/merchants/{name}/api-keys", {})["key"])
    return Shop(stack, names[0], *keys)


@pytest.fixture
def acme(stack: Stack) -> Iterator[Shop]:
    """The merchant of the documents' examples."""
    stack.create("/api/v2/merchants", {"name": "Acme", "reference": "acme"})
    key = stack.create("/api/v2/merchants/acme/api-keys", {})["key"]
    yield Shop(stack, "acme", key, "")
    status, _ = stack.call("DELETE", "/api/v2/merchants/acme")
    assert status == 204


@pytest.fixture
def provider(shop: Shop) -> Iterator[Provider]:
    with Provider(shop.url, shop.stack.key) as made:
        yield made


@pytest.fixture
def merchant(shop: Shop) -> Iterator[Merchant]:
    with Merchant(shop.url, shop.key) as made:
        yield made


@pytest.fixture
def charlie(shop: Shop) -> Iterator[Merchant]:
    """A stranger."""
    with Merchant(shop.url, shop.strangers_key) as made:
        yield made
