"""Alice with a portfolio above her, Bob beside her, Charlie the stranger, and a provider; each with a key."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from deliveries.services import publish
from subscriptions.models import Account, Endpoint, Merchant
from subscriptions.services import keys

Make = Callable[..., Any]


@dataclass(frozen=True)
class Caller:
    """Somebody with a key."""

    key: str
    client: Client

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self.client.get(path, query or {}, headers={"Authorization": f"Bearer {self.key}", **headers})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """`body` is sent as it is when it is bytes, as JSON otherwise; None sends nothing."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}"} | {n.replace("_", "-"): v for n, v in headers.items()}
        content_type = headers.pop("Content-Type", "application/json")
        return self.client.post(path, raw, content_type=content_type, headers=headers)


@dataclass(frozen=True)
class World:
    alice: Merchant
    bob: Merchant
    charlie: Merchant
    portfolio: Merchant


@pytest.fixture
def world(make_merchant: Make, make_type: Make, now: datetime) -> World:
    for name in ("invoice.paid", "invoice.sent"):
        make_type(name)
    portfolio = make_merchant("portfolio", kind="portfolio")
    alice = make_merchant("alice", parent=portfolio)
    Account.objects.create(merchant=alice, reference="card-1", created_at=now)
    return World(alice, make_merchant("bob"), make_merchant("charlie"), portfolio)


@pytest.fixture
def caller_of(db: None) -> Callable[[Merchant | None], Caller]:
    """What calls with a key of the merchant, or of the provider. The key was used a moment ago."""

    def make(merchant: Merchant | None) -> Caller:
        key = keys.create(name="test", merchant=merchant, now=timezone.now(), actor="test")
        keys.authenticate(key.text, now=timezone.now())
        return Caller(key.text, Client(raise_request_exception=False))

    return make


@pytest.fixture
def provider(caller_of: Callable[[Merchant | None], Caller]) -> Caller:
    return caller_of(None)


@pytest.fixture
def alice(world: World, caller_of: Callable[[Merchant | None], Caller]) -> Caller:
    return caller_of(world.alice)


@pytest.fixture
def charlie(world: World, caller_of: Callable[[Merchant | None], Caller]) -> Caller:
    return caller_of(world.charlie)


@pytest.fixture
def endpoint(world: World, make_endpoint: Make) -> Endpoint:
    made: Endpoint = make_endpoint(world.alice)
    return made


@pytest.fixture
def event_id(endpoint: Endpoint) -> str:
    """An event of Alice's that her endpoint is owed."""
    return publish("invoice.paid", b'{"b": 1.10,  "a": [1e2]}', merchant="alice", account="card-1").id


def code_of(response: HttpResponse) -> tuple[int, str]:
    """Status and code of a problem answer, whose form is checked on the way."""
    assert response.headers["Content-Type"] == "application/problem+json", response.content
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


def errors_of(response: HttpResponse) -> list[tuple[str, str]]:
    assert response.status_code == 422, response.content
    return [(error["pointer"], error["code"]) for error in json.loads(response.content)["errors"]]
