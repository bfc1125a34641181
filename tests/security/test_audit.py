"""Every call that changes something, and every reveal of a secret, leaves exactly one line of who did what.

The routes come from the resolver: a new one that takes POST, PUT, PATCH or DELETE has to say here what it writes down.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from deliveries.channels import questions
from deliveries.models import Delivery
from deliveries.services import publish
from subscriptions.models import ApiKey, AuditEntry, Endpoint, MessageTemplate
from subscriptions.services import keys, members
from tests.receivers.scripts import keep_alive
from tests.security.routes import every_route
from tests.security.tables import checksums
from tests.security.test_tenancy_matrix import handled, kind_of
from tests.subscriptions.conftest import NOW, URL, Person, make_person, make_type

SECRET = "whsec_c2VjcmV0LXRoYXQtc2lnbnMtZXZlcnl0aGluZw=="
PASSWORD = "hunter2-credential"
AUTH = {"type": "basic", "username": "shop", "password": PASSWORD}
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
SINCE = {"since": (NOW - timedelta(days=1)).isoformat()}


@dataclass(frozen=True)
class Call:
    """What is sent, and the actions that are written down, each with the prefix of its target."""

    body: Any
    actions: dict[str, str]
    endpoint: str = "webhook"


def one(action: str, target: str) -> dict[str, str]:
    return {action: target}


EP = "/api/v2/webhooks/endpoints/<str:endpoint>"
ACCOUNT = "/api/v2/merchants/<str:merchant>/accounts/<path:reference>"
MEMBER = "/api/v2/merchants/<str:merchant>/members/<str:member>"
CALLS: dict[tuple[str, str], Call] = {
    ("PUT", "/api/v2/webhooks/config"): Call({"url": URL, "secret": SECRET}, one("endpoint.created", "ep_")),
    ("DELETE", "/api/v2/webhooks/config"): Call(None, one("endpoint.deleted", "ep_"), endpoint="primary"),
    ("POST", "/api/v2/webhooks/endpoints"): Call(
        {"url": URL, "secret": SECRET, "auth": AUTH}, one("endpoint.created", "ep_")
    ),
    ("PATCH", EP): Call({"auth": AUTH}, one("endpoint.updated", "ep_")),
    ("DELETE", EP): Call(None, one("endpoint.deleted", "ep_")),
    ("GET", f"{EP}/secret"): Call(None, one("secret.revealed", "ep_")),
    ("POST", f"{EP}/secret/rotate"): Call({"secret": SECRET}, one("secret.rotated", "ep_")),
    ("POST", f"{EP}/verification"): Call(None, one("endpoint.verification_sent", "ep_"), endpoint="letter"),
    ("POST", f"{EP}/verification/confirm"): Call("code", one("endpoint.verified", "ep_"), endpoint="letter"),
    ("POST", f"{EP}/recover"): Call(SINCE, one("replay.begun", "ep_")),
    ("POST", f"{EP}/replay-missing"): Call(SINCE, one("replay.begun", "ep_")),
    ("POST", f"{EP}/release"): Call(None, one("replay.begun", "ep_")),
    ("POST", f"{EP}/test"): Call(None, one("endpoint.tested", "ep_")),
    ("POST", "/api/v2/webhooks/rules"): Call(
        {"recipients": [{"url": URL, "secret": SECRET}]}, {"rule.created": "rul_", "endpoint.created": "ep_"}
    ),
    ("PATCH", "/api/v2/webhooks/rules/<str:rule>"): Call({"name": "new"}, one("rule.updated", "rul_")),
    ("DELETE", "/api/v2/webhooks/rules/<str:rule>"): Call(None, {"rule.deleted": "rul_", "endpoint.deleted": "ep_"}),
    ("POST", "/api/v2/webhooks/replays/<str:replay>/stop"): Call(None, one("replay.stopped", "ep_")),
    ("POST", "/api/v2/webhooks/events/<path:event>/resend"): Call(None, one("event.resent", "evt_")),
    ("POST", "/api/v2/events/<path:event>/expunge"): Call(None, one("event.expunged", "evt_")),
    ("POST", "/api/v2/merchants/<str:merchant>/expunge"): Call({"account": "a"}, one("account.expunged", "mer_")),
    ("POST", "/api/v2/webhooks/exports"): Call({"format": "csv"}, one("export.begun", "exp_")),
    ("DELETE", "/api/v2/webhooks/exports/<str:export>"): Call(None, one("export.deleted", "exp_")),
    ("POST", "/api/v2/merchants"): Call({"name": "M"}, one("merchant.created", "mer_")),
    ("PATCH", "/api/v2/merchants/<str:merchant>"): Call({"name": "N"}, one("merchant.updated", "mer_")),
    ("PUT", "/api/v2/merchants/<str:merchant>/accounts/<path:reference>"): Call(
        None, one("account.registered", "mer_")
    ),
    ("DELETE", ACCOUNT): Call(None, one("account.removed", "mer_")),
    ("POST", "/api/v2/merchants/<str:merchant>/api-keys"): Call({"name": "k"}, one("key.created", "key_")),
    ("DELETE", "/api/v2/merchants/<str:merchant>/api-keys/<str:key>"): Call(None, one("key.revoked", "key_")),
    ("POST", "/api/v2/merchants/<str:merchant>/portal-links"): Call(None, one("portal_link.created", "lnk_")),
    ("POST", "/api/v2/merchants/<str:merchant>/members"): Call(
        {"email": "ann@shop.example", "role": "owner"}, one("member.added", "mbr_")
    ),
    ("PATCH", MEMBER): Call({"role": "developer"}, one("member.changed", "mbr_")),
    ("DELETE", MEMBER): Call(None, one("member.removed", "mbr_")),
    ("DELETE", "/api/v2/merchants/<str:merchant>"): Call(None, one("merchant.deleted", "mer_")),
    ("POST", "/api/v2/event-types"): Call({"name": "a.b"}, one("event_type.created", "typ_")),
    ("PATCH", "/api/v2/event-types/<str:name>"): Call({"group": "g"}, one("event_type.updated", "typ_")),
    ("DELETE", "/api/v2/event-types/<str:name>"): Call(None, one("event_type.deleted", "typ_")),
    ("POST", "/api/v2/message-templates"): Call(
        {"channel": "sms", "body": "b"}, one("message_template.created", "tpl_")
    ),
    ("PATCH", "/api/v2/message-templates/<str:template>"): Call({"body": "c"}, one("message_template.updated", "tpl_")),
    ("DELETE", "/api/v2/message-templates/<str:template>"): Call(None, one("message_template.deleted", "tpl_")),
    ("POST", "/paisr/v1/webhooks"): Call({"endpoint": URL, "events": ["*"]}, one("endpoint.created", "ep_")),
    ("PUT", "/paisr/v1/webhooks/<str:webhook>"): Call(
        {"endpoint": URL, "events": ["*"]}, one("endpoint.updated", "ep_")
    ),
    ("PATCH", "/paisr/v1/webhooks/<str:webhook>"): Call({"description": "d"}, one("endpoint.updated", "ep_")),
    ("DELETE", "/paisr/v1/webhooks/<str:webhook>"): Call(None, one("endpoint.deleted", "ep_")),
    ("POST", "/paisr/v1/webhooks/<str:webhook>/rotate-secret"): Call(None, one("secret.rotated", "ep_")),
    ("POST", "/paisr/v1/webhooks/<str:webhook>/events/<path:event>/retry"): Call(None, one("event.resent", "evt_")),
}
PUBLISHING = {("POST", "/api/v2/events"), ("POST", "/api/v2/events/batch")}
# The ledger itself says who published what, at thousands a second.
ONLY_LOOKING = {("POST", f"{EP}/connectivity")}


def every_call() -> list[tuple[str, str]]:
    routes = [route for route in every_route() if kind_of(route) in {"merchant", "provider"}]
    return [(method, route.path) for route in routes for method in CHANGING if handled(route, method)]


def test_every_call_that_changes_something_is_here() -> None:
    assert set(every_call()) == {call for call in CALLS if call[0] != "GET"} | PUBLISHING | ONLY_LOOKING


@dataclass(frozen=True)
class World:
    alice: Person
    provider: str
    objects: dict[str, str]


@pytest.fixture
def world(transactional_db: None, settings: Any, receive: Any) -> World:
    settings.EMAIL_BACKEND, settings.HAS_EMAIL = "django.core.mail.backends.locmem.EmailBackend", True
    settings.ALLOW_HTTP_TARGETS, settings.ALLOWED_TARGET_NETWORKS = True, (ip_network("127.0.0.0/8"),)
    return World(make_person("Alice"), keys.create(name="p", merchant=None, now=NOW, actor="x").text, {})


def prepare(world: World, call: Call, path: str, receive: Any) -> dict[str, str]:
    """Alice's objects, for the placeholders of the path."""
    post = world.alice.api.post
    made = {"merchant": "alice", "name": "invoice.paid", "reference": "acc-1"}
    make_type("invoice.paid")
    if "api-keys/" in path:
        made["key"] = keys.create(name="k", merchant=world.alice.merchant, now=NOW, actor="x").row.public_id
    if "members/" in path:
        user = User.objects.create_user("ann")
        added = members.add(merchant=world.alice.merchant, user=user, data={"role": "viewer"}, now=NOW, actor="x")
        made["member"] = added.public_id
    if "templates/" in path:
        template = MessageTemplate.objects.create(channel="sms", body="b", created_at=NOW, updated_at=NOW)
        made["template"] = template.public_id
    if "accounts/" in path and call.actions == {"account.removed": "mer_"}:
        Client().put("/api/v2/merchants/alice/accounts/acc-1", headers={"Authorization": f"Bearer {world.provider}"})
    if call.endpoint == "primary":
        world.alice.api.put("/config", {"url": URL})
    if "<str:endpoint>" in path or "replays/" in path or "events/" in path:
        url = receive(keep_alive()).url()
        sent = {"url": "mailto:a@signet.example"} if call.endpoint == "letter" else {"url": url, "secret": SECRET}
        made["endpoint"] = post("/endpoints", sent).json()["id"]
    if "<str:webhook>" in path:
        made["webhook"] = post("/endpoints", {"url": URL, "profile": "paisr-v2"}).json()["id"]
    simple = {"rule": ("/rules", {"recipients": [{"url": URL}]}), "export": ("/exports", {"format": "csv"})}
    made |= {name: post(*sent).json()["id"] for name, sent in simple.items() if f"<str:{name}>" in path}
    if "<str:replay>" in path:
        made["replay"] = post(f"/endpoints/{made['endpoint']}/recover", SINCE).json()["id"]
    if "<path:event>" in path:
        made["event"] = publish("invoice.paid", {}, merchant="alice").id
        Delivery.objects.update(status="failed", next_attempt_at=None, finished_at=NOW)
    return made


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_one_line_for_each_change(
    world: World, method: str, path: str, receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = CALLS[method, path]
    for name, text in prepare(world, call, path, receive).items():
        path = path.replace(f"<str:{name}>", text).replace(f"<path:{name}>", text)
    body: Any = call.body
    if body == "code":
        body = {"code": _code()}
    if path.endswith("/verification"):
        monkeypatch.setattr("subscriptions.services.address_checks.PAUSE", timedelta(0))
    is_provider = not path.startswith(("/api/v2/webhooks", "/paisr/"))
    text = world.provider if is_provider else world.alice.api.key
    key = ApiKey.objects.get(merchant=None) if is_provider else world.alice.merchant.api_keys.order_by("id")[0]
    last = AuditEntry.objects.order_by("-id")[0].id
    before = checksums()
    raw = b"" if body is None else json.dumps(body).encode()
    answer = Client().generic(
        method, path, raw, content_type="application/json", headers={"Authorization": f"Bearer {text}"}
    )
    assert answer.status_code < 300, answer.content
    written = list(AuditEntry.objects.filter(id__gt=last).order_by("id"))
    assert sorted((row.actor, row.action) for row in written) == sorted(
        (f"key:{key.public_id}", action) for action in call.actions
    )
    for row in written:
        assert row.target.startswith(call.actions[row.action])
        about_merchant = not row.action.startswith(("event_type", "message_template"))
        assert (row.merchant_id is not None) == about_merchant
        for word in (SECRET, SECRET[6:], PASSWORD, text):
            assert word not in json.dumps(row.detail)
    changed = {name for name, found in checksums().items() if before.get(name) != found}
    assert changed == {"subscriptions_auditentry"} or method != "GET"


def _code() -> str:
    mail.outbox.clear()
    questions.send(endpoint_id=Endpoint.objects.get().id, now=NOW)
    return re.search(r"\b\d{3} ?\d{3}\b", str(mail.outbox[0].body))[0]  # type: ignore[index]


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[0] != "GET"])
def test_a_refused_call_writes_no_line(world: World, method: str, path: str) -> None:
    """Neither does it do half of its work."""
    before = checksums()
    for name in (
        "endpoint",
        "rule",
        "replay",
        "export",
        "event",
        "merchant",
        "key",
        "template",
        "webhook",
        "name",
        "reference",
    ):
        path = path.replace(f"<str:{name}>", "none").replace(f"<path:{name}>", "none")
    is_provider = not path.startswith(("/api/v2/webhooks", "/paisr/"))
    text = world.provider if is_provider else world.alice.api.key
    answer = Client().generic(
        method, path, b'{"nonsense": 1}', content_type="application/json", headers={"Authorization": f"Bearer {text}"}
    )
    assert 400 <= answer.status_code < 500
    assert checksums() == before
