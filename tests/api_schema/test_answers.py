"""What the API really answers is what the document says: every operation once, with every success that it has."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User

from config.api.openapi.document import document
from deliveries.services import exports
from subscriptions.api.merchant_views import endpoint_id
from subscriptions.models import ProviderKey
from subscriptions.services import address_checks, provider_keys
from subscriptions.services.address_checks import PAUSE
from tests.api_schema.conformance import faults, operation_of
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive
from tests.subscriptions.conftest import Api, Person, make_type

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SINCE = "2026-01-01T00:00:00Z"
PAYLOAD = {"id": "inv_1001", "amount": "12.40", "currency": "EUR"}


@dataclass
class Checked:
    """A caller whose every answer is held against the document; `seen` is what was answered so far."""

    api: Api
    seen: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.api(method, path, body, **headers)
        assert faults(answer) == []
        self.seen.add((operation_of(answer), answer.status_code))
        return answer.json() if answer.headers.get("Content-Type") == "application/json" else None


@pytest.fixture
def seen() -> set[tuple[str, int]]:
    return set()


@pytest.fixture
def merchant(alice: Person, seen: set[tuple[str, int]]) -> Checked:
    return Checked(Api(alice.api.key, base=""), seen)


@pytest.fixture
def boss(provider: Api, seen: set[tuple[str, int]]) -> Checked:
    return Checked(Api(provider.key, base=""), seen)


@pytest.fixture
def target(settings: Any, receive: Callable[[Script], Receiver]) -> str:
    """A receiver that answers; this installation sends e-mails, too."""
    settings.ALLOW_HTTP_TARGETS = True
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.HAS_EMAIL = True
    settings.PUBLIC_URL = "https://webhooks.example"
    return receive(keep_alive()).url("/in")


V2 = "/api/v2/webhooks"


def walk_endpoints(ask: Checked, target: str, code_of: Callable[[str], str]) -> None:
    ask("PUT", f"{V2}/config", {"url": target})
    ask("GET", f"{V2}/config")
    ask("DELETE", f"{V2}/config")
    made = ask("POST", f"{V2}/endpoints", {"url": target}, Idempotency_Key="endpoint-1")
    assert ask("POST", f"{V2}/endpoints", {"url": target}, Idempotency_Key="endpoint-1") == made
    one = f"{V2}/endpoints/{made['id']}"
    ask("GET", f"{V2}/endpoints")
    ask("GET", one)
    ask("PATCH", one, {"auth": {"type": "bearer", "token": "t"}, "ack": {"type": "2xx"}}, If_Match='"1"')
    ask("GET", f"{one}/secret")
    ask("POST", f"{one}/secret/rotate", {"overlap_seconds": 60})
    ask("POST", f"{one}/connectivity")
    ask("POST", f"{one}/test", {"payload": PAYLOAD})
    ask("GET", f"{one}/stats")
    ask("GET", f"{V2}/stats?bucket=day")
    letter = ask("POST", f"{V2}/endpoints", {"url": "mailto:events@shop.example"})["id"]
    ask("GET", f"{V2}/endpoints/{letter}/verification")
    ask("POST", f"{V2}/endpoints/{letter}/verification/confirm", {"code": code_of(letter)})
    made = ask("POST", f"{V2}/rules", {"recipients": [{"url": target}, {"url": target, "profile": "stripe"}]})
    rule = f"{V2}/rules/{made['id']}"
    ask("GET", f"{V2}/rules")
    ask("GET", rule)
    ask("PATCH", rule, {"recipients": [{"id": made["recipients"][0]["id"], "ordered": True}]})
    ask("DELETE", rule)


def walk_deliveries(ask: Checked, boss: Checked) -> None:
    event = boss("POST", "/api/v2/events", {"type": "invoice.paid", "merchant": "alice", "payload": PAYLOAD})["id"]
    ask("GET", f"{V2}/events?limit=1")
    ask("GET", f"{V2}/events/{event}")
    ask("POST", f"{V2}/events/{event}/resend")
    endpoint = ask("GET", f"{V2}/endpoints?limit=1")["data"][0]["id"]
    for name in ("recover", "replay-missing", "release"):
        ask("POST", f"{V2}/endpoints/{endpoint}/{name}", {"since": SINCE, "dry_run": True})
        begun = ask("POST", f"{V2}/endpoints/{endpoint}/{name}", {"since": SINCE})
    export = ask("POST", f"{V2}/exports", {"format": "csv"})
    exports.advance(clock=lambda: datetime.now(UTC))
    ask("GET", f"{V2}/exports")
    file = ask("GET", f"{V2}/exports/{export['id']}")["file"]
    ask("GET", file)
    ask("GET", file, Range="bytes=0-9")
    ask("DELETE", f"{V2}/exports/{export['id']}")
    expunge = boss("POST", f"/api/v2/events/{event}/expunge")
    boss("POST", "/api/v2/merchants/alice/expunge", {"account": "acc-1001"})
    boss("GET", "/api/v2/expunges")
    boss("GET", f"/api/v2/expunges/{expunge['id']}")
    ask("GET", f"{V2}/replays?endpoint={endpoint}")
    ask("GET", f"{V2}/replays/{begun['id']}")
    ask("POST", f"{V2}/replays/{begun['id']}/stop")
    ask("DELETE", f"{V2}/endpoints/{endpoint}")


def walk_catalogue(ask: Checked, boss: Checked) -> None:
    ask("GET", f"{V2}/event-types")
    ask("GET", f"{V2}/event-types/invoice.paid")
    ask("GET", f"{V2}/profiles?limit=3")
    ask("GET", f"{V2}/keys")
    key = provider_keys.ensure(family=ProviderKey.Family.EC, now=NOW, actor="system")
    for path in ("/.well-known/webhook-keys", f"/.well-known/webhook-keys/{key.public_id}.pem", "/api/schema/"):
        etag = boss.api.get(path).headers["ETag"]
        boss("GET", path)
        boss("GET", path, If_None_Match=etag)
    boss("GET", "/api/docs/")
    boss("POST", "/api/v2/event-types", {"name": "order.shipped", "schema": {}, "example": PAYLOAD})
    boss("GET", "/api/v2/event-types")
    boss("GET", "/api/v2/event-types/order.shipped")
    boss("PATCH", "/api/v2/event-types/order.shipped", {"strict": True})
    boss("DELETE", "/api/v2/event-types/order.shipped")


def walk_merchants(boss: Checked) -> None:
    one = f"/api/v2/merchants/{boss('POST', '/api/v2/merchants', {'name': 'Shop', 'reference': 'shop-17'})['id']}"
    boss("GET", "/api/v2/merchants")
    boss("GET", "/api/v2/merchants/shop-17")
    boss("PATCH", one, {"mode": "test"})
    boss("PUT", f"{one}/accounts/acc-1001")
    boss("PUT", f"{one}/accounts/acc-1001")
    batch = [{"type": "invoice.paid", "account": "acc-1001", "payload": None, "id": "mine"}]
    assert boss("POST", "/api/v2/events/batch", {"events": batch})["events"][0]["id"] == "mine"
    boss("DELETE", f"{one}/accounts/acc-1001")
    key = boss("POST", f"{one}/api-keys")["id"]
    boss("GET", f"{one}/api-keys")
    boss("DELETE", f"{one}/api-keys/{key}")
    boss("POST", f"{one}/portal-links", {"access": "read_only"})
    User.objects.create_user("ann", "ann@shop.example")
    member = boss("POST", f"{one}/members", {"email": "ann@shop.example", "role": "viewer"})["id"]
    boss("GET", f"{one}/members")
    boss("PATCH", f"{one}/members/{member}", {"role": "developer"})
    boss("DELETE", f"{one}/members/{member}")
    boss("DELETE", one)
    body = {"channel": "sms", "body": "{{ type }}"}
    text = f"/api/v2/message-templates/{boss('POST', '/api/v2/message-templates', body)['id']}"
    boss("GET", "/api/v2/message-templates")
    boss("GET", text)
    boss("PATCH", text, {"body": "It happened."})
    boss("DELETE", text)


def walk_paisr(ask: Checked, boss: Checked, target: str) -> None:
    base = "/paisr/v1/webhooks"
    one = f"{base}/{ask('POST', base, {'endpoint': target, 'events': ['*']})['id']}"
    boss("POST", "/api/v2/events", {"type": "invoice.paid", "merchant": "alice", "payload": PAYLOAD})
    ask("GET", base)
    ask("GET", one)
    ask("PUT", one, {"endpoint": target, "events": ["invoice.paid"]})
    ask("PATCH", one, {"version": 2})
    ask("POST", f"{one}/rotate-secret")
    event = ask("GET", f"{one}/events")["data"][0]["id"]
    ask("POST", f"{one}/events/{event}/retry")
    ask("GET", f"{one}/stats")
    ask("DELETE", one)


@pytest.mark.django_db(transaction=True)
def test_a_walk_over_every_operation_and_every_success(
    merchant: Checked, boss: Checked, types: list[str], target: str, rung: list[list[str]]
) -> None:
    def code_of(endpoint: str) -> str:
        with time_machine.travel(datetime.now(UTC) + PAUSE):
            merchant("POST", f"{V2}/endpoints/{endpoint}/verification")
        question = address_checks.find_open(endpoint_id(endpoint), now=datetime.now(UTC))
        assert question is not None
        return question.code

    walk_endpoints(merchant, target, code_of)
    walk_deliveries(merchant, boss)
    walk_catalogue(merchant, boss)
    walk_merchants(boss)
    walk_paisr(merchant, boss, target)
    successes = {
        (operation["operationId"], int(status))
        for item in document()["paths"].values()
        for operation in item.values()
        for status in operation["responses"]
        if int(status) < 400
    }
    assert {one for one in merchant.seen if one[1] < 400} == successes


@pytest.mark.django_db
class TestTheCheckItself:
    """It must be able to fail."""

    @pytest.fixture
    def answer(self, alice: Person) -> Any:
        make_type("invoice.paid")
        return alice.api.get("/event-types")

    def test_a_true_answer_has_no_fault(self, answer: Any) -> None:
        assert faults(answer) == []

    def test_another_status(self, answer: Any) -> None:
        answer.status_code = 418
        assert faults(answer)[0].startswith("listOfferedEventTypes 418: undocumented status")

    def test_another_content_type(self, answer: Any) -> None:
        answer.headers["Content-Type"] = "text/html"
        assert faults(answer) == ["listOfferedEventTypes 200: content type text/html"]

    @pytest.mark.parametrize(
        ("old", "new", "fault"),
        [
            (b'"strict":false', b'"strict":0', "/data/0/strict"),
            (b'"strict":false', b'"strict":false,"more":1', "/data/0"),
            (b'"strict":false,', b"", "/data/0"),
            (b'"name":"invoice.paid"', b'"name":"invoice paid"', "/data/0/name"),
        ],
    )
    def test_another_body(self, answer: Any, old: bytes, new: bytes, fault: str) -> None:
        assert old in answer.content
        answer.content = answer.content.replace(old, new)
        answer.json = lambda: json.loads(answer.content)
        (found,) = faults(answer)
        assert fault in found

    def test_a_missing_and_an_unknown_header(self, answer: Any) -> None:
        del answer.headers["X-Request-Id"]
        answer.headers["ETag"] = '"1"'
        assert faults(answer) == [
            "listOfferedEventTypes 200: no X-Request-Id",
            "listOfferedEventTypes 200: undocumented ETag",
        ]

    def test_an_unknown_code_of_a_problem(self, alice: Person) -> None:
        answer = alice.api.get("/config")
        answer.content = answer.content.replace(b"not_found", b"lost_and_found")
        answer.json = lambda: json.loads(answer.content)
        assert "lost_and_found" in faults(answer)[0]
