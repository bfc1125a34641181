"""Alice, Bob and Charlie: three merchants with a key each, and the provider that has them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from subscriptions.models import EventType, Merchant
from subscriptions.services import keys

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
URL = "https://93.184.215.14/in"
# A literal public address: nothing is looked up, nothing is sent.
WEBHOOKS = "/api/v2/webhooks"


@dataclass
class Api:
    """A caller with a key. Paths are below `base`; bodies are JSON unless they are bytes."""

    key: str
    base: str = WEBHOOKS
    client: Client = field(default_factory=Client)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {"Authorization": f"Bearer {self.key}"} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        content_type = named.pop("Content-Type", "application/json")
        return self.client.generic(method, self.base + path, sent, content_type=content_type, headers=named)

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self("DELETE", path, **headers)


@dataclass
class Person:
    merchant: Merchant
    api: Api


def make_person(name: str) -> Person:
    merchant = Merchant.objects.create(name=name, reference=name.lower(), created_at=NOW, updated_at=NOW)
    made = keys.create(name=f"{name}'s key", merchant=merchant, now=NOW, actor="system")
    return Person(merchant, Api(made.text))


def make_provider() -> Api:
    return Api(keys.create(name="Provider", merchant=None, now=NOW, actor="system").text, base="/api/v2")


def make_type(name: str, **values: Any) -> EventType:
    return EventType.objects.create(name=name, created_at=NOW, updated_at=NOW, **values)


@pytest.fixture
def alice(db: None) -> Person:
    return make_person("Alice")


@pytest.fixture
def bob(db: None) -> Person:
    return make_person("Bob")


@pytest.fixture
def charlie(db: None) -> Person:
    """The stranger."""
    return make_person("Charlie")


@pytest.fixture
def provider(db: None) -> Api:
    return make_provider()


@pytest.fixture
def types(db: None) -> list[str]:
    return [make_type(name).name for name in ("invoice.paid", "invoice.voided", "PAYMENT_COMPLETED")]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the bell announced: the endpoints of each ring."""
    rings: list[list[str]] = []
    monkeypatch.setattr("subscriptions.services.bell._send", rings.append)
    return rings


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The members of a problem answer, after a check of what each must have."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert told["status"] == status
    assert told["code"] == code
    assert told["request_id"] == response.headers["X-Request-Id"]
    assert set(told) - {"errors"} == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    return told


def faults(response: Any) -> dict[str, str]:
    """Pointer → code of a 422."""
    return {item["pointer"]: item["code"] for item in problem(response, 422, "invalid")["errors"]}
