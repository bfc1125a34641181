"""An endpoint in a provider's own profile: what is declared is what its receiver gets, from the next delivery on."""

import hmac
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.utils import timezone

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery
from deliveries.services import publish
from subscriptions.models import Endpoint, Merchant, ProviderKey, WireProfile
from subscriptions.services import profiles
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
SECRET = "00ff" * 16
FIRST: dict[str, Any] = {
    "body": {"kind": "envelope", "template": {"kind": "{type}", "object": "{payload}"}},
    "signatures": [{"name": "Acme-Signature", "key": "hex", "message": "{timestamp}.{body}"}],
    "headers": [["Acme-Id", "{id}"], ["Acme-Time", "{timestamp}"]],
    "key_form": "hex",
}
SECOND: dict[str, Any] = {
    "signatures": [
        {
            "name": "Acme-Sign",
            "key": "hex",
            "algorithm": "hmac-sha512",
            "item": "v2={signature}",
            "message": "{id}:{body}",
        }
    ],
    "headers": [["Acme-Id", "{id}"]],
    "key_form": "hex",
}
PAYLOAD = b'{"id": "inv_1",  "total": 1.10}'


@pytest.fixture(autouse=True, params=["curl", "requests"])
def engine(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    settings.HTTP_CLIENT = request.param
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield
    process.close()


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid")
    merchant: Merchant = make_merchant("alice")
    return merchant


@pytest.fixture
def receiver(receive: Callable[[Script], Receiver]) -> Receiver:
    return receive(keep_alive())


def define(definition: dict[str, Any]) -> None:
    data = {"name": "acme", "definition": definition}
    profiles.create(data=data, now=timezone.now(), actor="system")


def redefine(definition: dict[str, Any]) -> None:
    profiles.update(name="acme", data={"definition": definition}, now=timezone.now(), actor="system")


def deliver(receiver: Receiver) -> tuple[bytes, dict[str, str]]:
    """Publishes one event, drains, and returns what arrived."""
    before = len(receiver.requests)
    publish("invoice.paid", PAYLOAD, merchant="alice")
    assert process.drain() == 1
    [request] = receiver.requests[before:]
    return request.body, {name.lower(): value for name, value in request.headers}


def mac(message: bytes, digest: str) -> str:
    return hmac.digest(bytes.fromhex(SECRET), message, digest).hex()


def test_its_endpoints_get_its_form_and_after_a_change_the_new_one(
    alice: Merchant, make_endpoint: Make, receiver: Receiver
) -> None:
    define(FIRST)
    make_endpoint(alice, secret=SECRET, target=receiver.url("/in"), profile="acme")

    body, headers = deliver(receiver)
    assert body == b'{"kind":"invoice.paid","object":' + PAYLOAD + b"}"
    assert headers["acme-signature"] == mac(headers["acme-time"].encode() + b"." + body, "sha256")
    assert headers["acme-id"].startswith("evt_")

    redefine(SECOND)
    body, headers = deliver(receiver)
    assert body == PAYLOAD
    assert headers["acme-sign"] == "v2=" + mac(headers["acme-id"].encode() + b":" + body, "sha512")
    assert not {"acme-signature", "acme-time"} & set(headers)
    assert [delivery.status for delivery in Delivery.objects.all()] == ["delivered"] * 2


def test_its_ack_rule_and_its_schedule_apply(alice: Merchant, make_endpoint: Make, receiver: Receiver) -> None:
    define(FIRST | {"ack": {"type": "body_starts_with", "value": "RECEIVED"}, "retry": {"schedule": []}})
    make_endpoint(alice, secret=SECRET, target=receiver.url("/in"), profile="acme")
    deliver(receiver)
    assert Attempt.objects.get().reason == "ack_missing"
    assert Delivery.objects.get().status == "failed"


def test_a_change_that_brings_in_the_providers_key_signs_with_it(
    alice: Merchant, make_endpoint: Make, receiver: Receiver
) -> None:
    define(FIRST)
    make_endpoint(alice, secret=SECRET, target=receiver.url("/in"), profile="acme")
    deliver(receiver)
    signature = {"name": "Acme-Jws", "algorithm": "jws-es256", "encoding": "text", "key": "pem", "signer": "provider"}
    redefine({"signatures": [signature], "key_form": "none"})
    _, headers = deliver(receiver)
    assert headers["acme-jws"].startswith("eyJ")
    assert ProviderKey.objects.get().family == "ec"


def test_one_that_cannot_be_read_holds_up_nobody_else(alice: Merchant, make_endpoint: Make, receiver: Receiver) -> None:
    define(FIRST)
    make_endpoint(alice, secret=SECRET, target=receiver.url("/broken"), profile="acme")
    make_endpoint(alice, target=receiver.url("/healthy"))
    WireProfile.objects.update(definition={"colour": "red"})
    publish("invoice.paid", PAYLOAD, merchant="alice")
    assert process.drain() == 2
    assert [request.path for request in receiver.requests] == ["/healthy"]
    reasons = {attempt.url.rpartition("/")[2]: attempt.reason for attempt in Attempt.objects.all()}
    assert reasons == {"broken": "internal_error", "healthy": "delivered"}


def test_a_mended_one_is_taken_up_again(alice: Merchant, make_endpoint: Make, receiver: Receiver) -> None:
    define(FIRST)
    endpoint = make_endpoint(alice, secret=SECRET, target=receiver.url("/in"), profile="acme")
    WireProfile.objects.update(definition={"colour": "red"})
    publish("invoice.paid", PAYLOAD, merchant="alice")
    assert process.drain() == 1
    assert receiver.requests == []
    redefine(SECOND)
    assert Endpoint.objects.get(id=endpoint.id).version == endpoint.version + 1
    body, _ = deliver(receiver)
    assert body == PAYLOAD


def test_what_the_log_shows_is_what_was_declared(alice: Merchant, make_endpoint: Make, receiver: Receiver) -> None:
    define(FIRST)
    make_endpoint(alice, secret=SECRET, target=receiver.url("/in"), profile="acme")
    body, headers = deliver(receiver)
    attempt = Attempt.objects.get()
    assert f"Acme-Signature: {headers['acme-signature']}" in attempt.request_headers
    assert attempt.request_body is not None
    assert bytes(attempt.request_body) == body
