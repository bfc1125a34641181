"""A rotation of the provider's key as Paysera's receivers live through it: each verifies with OpenSSL and what we
published, and whichever of the keys it knows, it gets every event."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from deliveries.engine.endpoints import EndpointCache
from deliveries.engine.sender import Sender
from deliveries.models import Delivery
from deliveries.services import publish
from dispatcher.http.door import Finished, Request
from dispatcher.outcomes import Reason
from dispatcher.targets import TargetRules
from subscriptions.models import Endpoint, Merchant, ProviderKey
from subscriptions.services import endpoints, provider_keys, signing_secrets
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
URL = "https://93.184.215.14/in"
# A literal public address: nothing is looked up, nothing is sent.
HOUR = timedelta(hours=1)
LEAD, OVERLAP = 24 * HOUR, 168 * HOUR
PAYMENT = b'{"type":"MK","account":"EVP0010001000","statement_id":"%d","amount":"1.10","currency":"EUR","details":""}'


@dataclass
class Kept:
    """A client without a network: what is submitted is kept for the test to answer."""

    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0

    def submit(self, request: Request) -> None:
        self.requests.append(request)

    def poll(self, timeout_s: float) -> list[Finished]:
        return []

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Road:
    """One endpoint's deliveries, sent by hand at the times that the test says."""

    endpoint: Endpoint
    drain: HandDrain
    client: Kept = field(default_factory=Kept)
    published: int = 0

    def __post_init__(self) -> None:
        self.sender = Sender(self.client, EndpointCache(TargetRules()))

    def deliver(self, at: datetime, accepts: Callable[[bytes], bool]) -> list[datetime]:
        """Publish a payment and try until the receiver accepts; the times of the attempts."""
        self.published += 1
        publish("payment", PAYMENT % self.published, merchant="alice", now=at)
        attempts: list[datetime] = []
        [pick] = self.drain.turn(now=at).picks
        while True:
            attempts.append(at)
            is_accepted = accepts(self.send(pick, at))
            done = result(pick, Reason.DELIVERED if is_accepted else Reason.ACK_MISSING, now=at, status=200)
            self.drain.turn(now=at, results=[done], is_claiming=False)
            if is_accepted:
                return attempts
            assert done.next_attempt_at is not None, "no attempt was accepted"
            at = done.next_attempt_at
            [pick] = self.drain.turn(now=at).picks

    def send(self, pick: Any, at: datetime) -> bytes:
        versions = {pick.endpoint_id: Endpoint.objects.get(id=pick.endpoint_id).version}
        assert self.sender.send([pick], versions=versions, now=at) == []
        [request] = self.client.requests
        self.client.requests.clear()
        return request.body


@pytest.fixture
def road(make_merchant: Make, make_type: Make, drain: HandDrain) -> Iterator[Callable[..., Road]]:
    made: list[Road] = []
    make_type("payment")
    alice: Merchant = make_merchant("alice")

    def make(**values: Any) -> Road:
        endpoint = endpoints.create(
            merchant=alice, data={"url": URL} | values, now=timezone.now(), actor="system"
        ).endpoint
        made.append(Road(endpoint, drain))
        return made[-1]

    yield make
    for one in made:
        one.sender.close()


@pytest.fixture
def start() -> datetime:
    """The present: publishing never dates an entry later than the database's own clock."""
    return datetime.now(UTC) + timedelta(seconds=1)


def fetch(name: str, at: datetime) -> bytes:
    """A published file as a receiver gets it at that time."""
    with time_machine.travel(at, tick=False):
        answer = Client().get(f"/.well-known/webhook-keys/{name}")
    assert answer.status_code == 200
    return answer.content


def openssl(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=False)


def key_of(certificate: bytes) -> bytes:
    made = openssl("x509", "-pubkey", "-noout", given=certificate)
    assert made.returncode == 0
    return made.stdout


def verifier(directory: Path, *public: bytes, name: str = "sign", digest: str = "-sha1") -> Callable[[bytes], bool]:
    """A receiver that has these public keys and accepts what one of them verifies."""

    def accepts(body: bytes) -> bool:
        form = {name: value for name, [value] in parse_qs(body.decode(), strict_parsing=True).items()}
        signature = openssl("base64", "-d", "-A", given=form[name].translate({45: 43, 95: 47}).encode()).stdout
        (directory / "signature").write_bytes(signature)
        for pem in public:
            (directory / "public.pem").write_bytes(pem)
            words = ("-verify", directory / "public.pem", "-signature", directory / "signature")
            verified = openssl("dgst", digest, *words, given=form["data"].encode())
            if verified.stdout == b"Verified OK\n":
                return True
        return False

    return accepts


def rotate(at: datetime, *, lead: timedelta = LEAD, overlap: timedelta = OVERLAP) -> ProviderKey:
    return provider_keys.rotate(family="rsa", lead=lead, overlap=overlap, now=at, actor="system").row


def test_receivers_that_know_only_one_key_accept_at_the_latest_the_next_attempt(
    road: Make, start: datetime, tmp_path: Path
) -> None:
    paysera = road(profile="paysera")
    old = fetch("rsa.pem", start)
    assert len(paysera.deliver(start, verifier(tmp_path, old))) == 1
    new_key = rotate(start)
    new = fetch(f"{new_key.public_id}.pem", start)
    assert new != old
    counts = {}
    for phase, at in (
        ("announced", start + HOUR),
        ("overlapping", start + LEAD),
        ("at the end of the overlap", start + LEAD + OVERLAP - HOUR),
    ):
        assert fetch("rsa.pem", at) == (old if phase == "announced" else new)
        knowing = {"old": (old,), "new": (new,), "both": (new, old)}
        if phase == "announced":
            # Nobody needs it yet.
            del knowing["new"]
        counts[phase] = {who: len(paysera.deliver(at, verifier(tmp_path, *keys))) for who, keys in knowing.items()}
    assert counts == {
        "announced": {"old": 1, "both": 1},
        "overlapping": {"old": 2, "new": 1, "both": 1},
        "at the end of the overlap": {"old": 2, "new": 1, "both": 1},
    }
    after = start + LEAD + OVERLAP
    assert len(paysera.deliver(after, verifier(tmp_path, new))) == 1
    assert not verifier(tmp_path, old)(last_body(paysera, after))
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered", "pending"}


def last_body(paysera: Road, at: datetime) -> bytes:
    """One more payment, sent once and left unanswered."""
    publish("payment", PAYMENT % 99, merchant="alice", now=at)
    [pick] = paysera.drain.turn(now=at).picks
    return paysera.send(pick, at)


def test_the_key_out_of_the_published_certificate_verifies_before_during_and_after(
    road: Make, start: datetime, tmp_path: Path
) -> None:
    paysera = road(profile="paysera")
    before = key_of(fetch("rsa.crt", start))
    assert before == fetch("rsa.pem", start)
    assert len(paysera.deliver(start, verifier(tmp_path, before))) == 1
    rotate(start)
    during = key_of(fetch("rsa.crt", start + LEAD))
    assert len(paysera.deliver(start + LEAD, verifier(tmp_path, during))) == 1
    assert len(paysera.deliver(start + LEAD, verifier(tmp_path, before))) == 2
    after = key_of(fetch("rsa.crt", start + LEAD + OVERLAP))
    assert after == during != before
    assert len(paysera.deliver(start + LEAD + OVERLAP, verifier(tmp_path, after))) == 1


def test_a_sender_that_had_prepared_the_endpoint_reads_the_new_key_at_once(
    road: Make, start: datetime, tmp_path: Path
) -> None:
    paysera = road(profile="paysera")
    old = fetch("rsa.pem", start)
    paysera.deliver(start, verifier(tmp_path, old))
    # Compromised: without lead and overlap, and then gone.
    compromised = ProviderKey.objects.get()
    new_key = rotate(start, lead=timedelta(0), overlap=timedelta(0))
    body = last_body(paysera, new_key.signs_from)
    assert verifier(tmp_path, fetch("rsa.pem", new_key.signs_from))(body)
    assert not verifier(tmp_path, old)(body)
    provider_keys.withdraw(key_id=compromised.id, now=new_key.signs_from, actor="system")
    assert not verifier(tmp_path, old)(last_body(paysera, new_key.signs_from + HOUR))


def test_a_receiver_of_the_classic_format_is_lost_by_no_rotation_not_even_by_two_at_once(
    road: Make, start: datetime, tmp_path: Path
) -> None:
    """It checks password and key, has the merchant's new password and still the provider's old key."""
    classic = road(profile="paysera-checkout-classic", secret="first")
    old = fetch("rsa.pem", start)
    rotate(start, lead=timedelta(0))
    signing_secrets.rotate(
        merchant=classic.endpoint.owner,
        endpoint_id=classic.endpoint.id,
        text="second",
        overlap=OVERLAP,
        now=start,
        actor="system",
    )
    signed = [
        verifier(tmp_path, old, name=name, digest=digest) for name, digest in (("ss2", "-sha1"), ("ss3", "-sha256"))
    ]

    def accepts(password: str, body: bytes) -> bool:
        form = {name: value for name, [value] in parse_qs(body.decode()).items()}
        has_password = md5((form["data"] + password).encode()).hexdigest() == form["ss1"]
        return has_password and all(verify(body) for verify in signed)

    later = start + timedelta(seconds=1)
    assert len(classic.deliver(later, lambda body: accepts("second", body))) == 3
    assert len(classic.deliver(later, lambda body: accepts("first", body))) == 4
