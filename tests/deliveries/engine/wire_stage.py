"""An endpoint of every profile on real sockets, and what each of their receivers got through the whole engine."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from deliveries.engine import process, stopping
from deliveries.services import NewEvent, publish_batch
from dispatcher.ids import new_id
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import Signature
from dispatcher.profiles.secrets import generate
from subscriptions.models import Endpoint, EventType, Merchant, ProviderKey
from subscriptions.services import signing_secrets, vault
from tests.deliveries.conftest import add_secret
from tests.receivers.receiver import Connection, Received, Receiver
from tests.verifiers import Delivered, Headers, Verifier, standard_ed25519
from tests.verifiers.delivered import Refused

EVENT_TYPE = "invoice.paid"
PAYLOAD = (
    b'{"id":"inv_123456","type":"MK","account":"EVP0012345","statement_id":"77","transfer_id":"78",'
    b'"created_at":1700000000,"credit":1,"amount":"1.50","currency":"EUR","dataType":"Object"}'
)
# What Paysera's notifications must have, and the gateway's; the others take any object.

BASIC_AUTH = ("portfolio-7", "pass wörd: £")
OVERLAP = timedelta(hours=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
SERVER_ERROR = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
DEADLINE_S = 10.0

OWN_HEADERS = {"shopify": {"X-Shopify-Shop-Domain": "alice.example", "X-Shopify-API-Version": "2026-07"}}
# What Shopify's receivers want to be told and only the merchant can know.

SIGNED_BY_ENDPOINT = [
    name for name, profile in PROFILES.items() if any(item.signer == "endpoint" for item in profile.signatures)
]


@dataclass(frozen=True, slots=True)
class Pair:
    """A key of the provider: what signs, and both forms of what verifies."""

    private_pem: str = field(repr=False)
    public_pem: str
    certificate_pem: str


@dataclass(frozen=True, slots=True)
class Known:
    """What one receiver was given when it was registered."""

    url: str
    secret: str = field(repr=False)
    pair: Pair

    def delivered(self, received: Received) -> Delivered:
        names = [name.lower() for name, _ in received.headers]
        assert len(set(names)) == len(names), "a header came twice"
        public = (self.pair.public_pem, self.pair.certificate_pem)
        return Delivered(self.url, Headers(dict(received.headers)), received.body, self.secret, *public)


class Arrival(NamedTuple):
    """A request at its receiver, and when it came (Unix seconds)."""

    request: Delivered
    at: float


Answer = Callable[[Received], bytes]


@contextmanager
def stage(client: str = "curl") -> Iterator["Stage"]:
    """A database with Alice and the types of events; all of it is gone afterwards. Needs a database that is open."""
    settings = {
        "HTTP_CLIENT": client,
        "ALLOW_HTTP_TARGETS": True,
        "ALLOWED_TARGET_NETWORKS": (ip_network("127.0.0.0/8"),),
        "DELIVERY_TIMEOUT": DEADLINE_S,
    }
    stopping.reset()
    try:
        with override_settings(**settings):
            yield Stage()
    finally:
        process.close()
        call_command("flush", verbosity=0, interactive=False)


class Stage:
    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.alice = Merchant.objects.create(name="Alice", reference="alice", created_at=now, updated_at=now)
        EventType.objects.create(name=EVENT_TYPE, created_at=now, updated_at=now)

    def add_provider_key(self, pair: Pair, *, signs_until: datetime | None = None) -> None:
        """The second becomes the newest: the first must have an end."""
        key_id, now = new_id(), datetime.now(UTC)
        ProviderKey.objects.create(
            id=key_id,
            family=ProviderKey.Family.RSA,
            ciphertext=vault.seal(vault.PROVIDER_KEY, key_id, pair.private_pem.encode()),
            public_pem=pair.public_pem,
            certificate_pem=pair.certificate_pem,
            signs_from=now - timedelta(minutes=1),
            signs_until=signs_until,
            created_at=now,
        )

    def add_endpoint(self, profile: str, url: str, *, pair: Pair, owner: Merchant | None = None) -> Known:
        """Registered in the profile, with a fresh secret where the profile is signed with one."""
        now = datetime.now(UTC)
        endpoint = Endpoint.objects.create(
            owner=owner or self.alice,
            target=url,
            profile=profile,
            headers=OWN_HEADERS.get(profile, {}),
            created_at=now,
            updated_at=now,
        )
        if profile == "gateway":
            _set_basic_auth(endpoint)
            return Known(url, ":".join(BASIC_AUTH), pair)
        secret = ""
        if profile in SIGNED_BY_ENDPOINT:
            secret = generate(PROFILES[profile])
            add_secret(endpoint, secret)
        return Known(url, receivers_half(profile, secret), pair)

    def rotate(self, profile: str) -> str:
        """The receiver's half of the new secret; the old one goes on beside it."""
        endpoint = Endpoint.objects.get(profile=profile)
        rotated = signing_secrets.rotate(
            merchant=endpoint.owner,
            endpoint_id=endpoint.id,
            text=None,
            overlap=OVERLAP,
            now=datetime.now(UTC),
            actor="test",
        )
        return receivers_half(profile, rotated.text)

    def publish(self, payload: bytes, *, merchant: str = "alice", event_type: str = EVENT_TYPE) -> None:
        # Read already, as the API has done when it publishes: what it would refuse must not surprise the engine.
        event = NewEvent(event_type, payload, merchant)
        publish_batch([event], scope="test", now=datetime.now(UTC), are_payloads_checked=True)

    def drain(self) -> int:
        return process.drain()

    def make_due(self) -> None:
        """Let every retry come due, instead of waiting for it."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE deliveries_laneentry SET due_at = clock_timestamp()")
            cursor.execute("UPDATE deliveries_lane SET due_at = clock_timestamp(), retry_at = NULL, paced_until = NULL")


def deliver_to_all(payload: bytes, *, client: str) -> dict[str, Arrival]:
    """What the receiver of each profile gets of one event."""
    pair = provider_pair(1)
    with stage(client) as set_up, Receiver(answering(lambda request: OK)) as receiver:
        set_up.add_provider_key(pair)
        known = {name: set_up.add_endpoint(name, url_of(receiver, name), pair=pair) for name in PROFILES}
        set_up.publish(payload)
        assert set_up.drain() == len(PROFILES)
    by_profile = arrivals(receiver, known)
    return {name: arrived for name, (arrived,) in by_profile.items()}


def arrivals(receiver: Receiver, known: Mapping[str, Known]) -> dict[str, list[Arrival]]:
    """All that came, by profile and in order."""
    found: dict[str, list[Arrival]] = defaultdict(list)
    began_at = time.time() - time.monotonic()
    for received in receiver.requests:
        name = profile_of(received)
        found[name].append(Arrival(known[name].delivered(received), began_at + received.at))
    return found


def answering(answer: Answer) -> Callable[[Connection], None]:
    """A script that answers each request as `answer` says."""

    def script(connection: Connection) -> None:
        while (received := connection.read_request()) is not None:
            connection.send(answer(received))

    return script


def url_of(receiver: Receiver, profile: str) -> str:
    """With a query, as Square and Twilio sign the whole URL."""
    return receiver.url(f"/{profile}/in?shop=1&name=%C5%BE+a%20b")


def profile_of(received: Received) -> str:
    return received.path.split("/")[1]


def receivers_half(profile: str, secret: str) -> str:
    """What the receiver is told of a secret: of an asymmetric one the public half."""
    return standard_ed25519.public_half(secret) if PROFILES[profile].key_form == "whsk" else secret


def is_accepted(verifier: Verifier, request: Delivered) -> bool:
    try:
        verifier.verify(request)
    except Refused:
        return False
    return True


def signatures_for(profile: str, verifier: Verifier) -> tuple[Signature, ...]:
    """Those that the verifier looks at: all, but for the two kinds of receivers of `default`."""
    signatures = PROFILES[profile].signatures
    if profile != "default":
        return signatures
    return tuple(item for item in signatures if (item.join is None) is (verifier.name == "rules"))


@cache
def provider_pair(number: int) -> Pair:
    """One RSA key for each number; they are slow to make."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Provider {number}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Pair(private.decode(), public.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode())


def _set_basic_auth(endpoint: Endpoint) -> None:
    user, password = BASIC_AUTH
    endpoint.auth_type, endpoint.auth_name = Endpoint.Auth.BASIC, user
    endpoint.auth_ciphertext = vault.seal(vault.ENDPOINT_AUTH, endpoint.id, password.encode())
    endpoint.save()
