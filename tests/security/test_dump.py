"""Whoever gets hold of a dump of the database, or of Redis, finds no secret in it, in whatever spelling."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote_plus

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from deliveries import tasks
from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery
from deliveries.services import publish, replays, statistics
from subscriptions.models import Endpoint, ProviderKey, StoredAnswer
from subscriptions.selectors.provider_keys import sealed
from tests.receivers.receiver import Connection, Receiver
from tests.security.tables import tables
from tests.subscriptions.conftest import Api, Person, make_person, make_provider, make_type

pytestmark = pytest.mark.django_db(transaction=True)

PROFILES = (
    "default",
    "standard",
    "stripe",
    "github",
    "square",
    "slack",
    "paisr-v2",
    "paysera",
    "paysera-checkout-classic",
)
PASSWORDS = {"basic": "basic-pässword-7f3a91c2", "bearer": "bearer-token-b81e4d70", "header": "header-value-c9d2e6f1"}
AUTHS = (
    {"type": "basic", "username": "shop", "password": PASSWORDS["basic"]},
    {"type": "bearer", "token": PASSWORDS["bearer"]},
    {"type": "header", "name": "X-Shop-Key", "value": PASSWORDS["header"]},
)
LOGIN = "login-password-5c0f1e83"
SHORTEST = 8


@pytest.fixture(autouse=True)
def engine(settings: Any) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    settings.RETRY_SCHEDULE = (1,)
    stopping.reset()
    yield
    process.close()


def spellings(secret: bytes) -> set[bytes]:
    """The ways in which a secret may lie somewhere: as it is, in hexadecimal, in base64 at any offset, quoted."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), secret[::-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # What stands before and after it in the same text changes the outer characters only.
            shifted = encode(b"\0" * shift + secret)
            found.add(shifted[4 if shift else 0 : len(shifted) - 4])
    text = secret.decode("utf-8", "ignore")
    found |= {json.dumps(text)[1:-1].encode(), quote_plus(text).encode()}
    return {one for one in found if len(one) >= SHORTEST}


def dump_of_database() -> Iterator[tuple[str, bytes]]:
    """Every table as pg_dump copies it, and the bytes that hexadecimal columns stand for."""
    for name in tables():
        with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT * FROM {name}) TO STDOUT") as copied:
            text = b"".join(bytes(block) for block in copied)
        yield name, text
        for found in re.findall(rb"\\\\x((?:[0-9a-f]{2})+)", text):
            yield f"{name}, decoded", bytes.fromhex(found.decode())


def dump_of_redis(client: "redis.Redis") -> Iterator[tuple[str, bytes]]:
    """Every key with its value, and what messages hold in base64."""
    readers: dict[Any, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    for key in client.scan_iter("*"):
        value = readers[client.type(key)](key)
        raw = repr(value).encode() + b"|" + key
        yield f"redis {key!r}", raw
        for found in re.findall(rb'"body": "([A-Za-z0-9+/=]+)"', raw):
            yield f"redis {key!r}, body", base64.b64decode(found)


def find(secrets: dict[str, bytes], places: Iterator[tuple[str, bytes]]) -> set[tuple[str, str]]:
    needles = {needle: name for name, secret in secrets.items() for needle in spellings(secret)}
    return {(name, place) for place, text in places for needle, name in needles.items() if needle in text}


def answering(connection: Connection) -> None:
    """Fails every other time."""
    number = 0
    while connection.read_request() is not None:
        number += 1
        status = b"200 OK" if number % 2 else b"500 Oh"
        connection.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")


class Run:
    """A realistic day; `secrets` are all that anybody was told or told us."""

    def __init__(self, receiver: Receiver) -> None:
        self.secrets: dict[str, bytes] = {}
        self.receiver = receiver
        self.alice: Person = make_person("Alice")
        self.provider: Api = make_provider()
        make_type("invoice.paid", example={"a": 1})
        self._keep("alice's key", self.alice.api.key)
        self._keep("provider's key", self.provider.key)

    def _keep(self, name: str, text: str) -> None:
        self.secrets[name] = text.encode()
        # The part that is not shown; and the key itself, where the text is base64 of it.
        tail = text.rpartition("_")[2]
        if tail != text and len(tail) > SHORTEST:
            self.secrets[f"{name}, its secret part"] = tail.encode()
        if text.startswith("whsec_"):
            self.secrets[f"{name}, its bytes"] = base64.b64decode(tail + "=" * (-len(tail) % 4))

    def endpoints(self) -> None:
        for number, profile in enumerate(PROFILES):
            data = {"url": self.receiver.url(), "profile": profile, "auth": AUTHS[number % 3], "retry_schedule": [1]}
            made = self.alice.api.post("/endpoints", data, Idempotency_Key=f"create {number}")
            assert made.status_code == 201, made.content
            if secret := made.json().get("secret"):
                self._keep(f"{profile}: generated", secret)
        for name, text in PASSWORDS.items():
            self._keep(f"auth {name}", text)
            self._keep(f"auth {name} as sent", base64.b64encode(f"shop:{text}".encode()).decode())
        chosen = "my-own-signing-secret-e5b7"
        self.alice.api.put("/config", {"url": self.receiver.url(), "secret": chosen})
        self._keep("chosen", chosen)

    def rotations(self) -> None:
        for row in Endpoint.objects.exclude(profile="paysera"):
            path = f"/endpoints/{row.public_id}/secret"
            rotated = self.alice.api.post(f"{path}/rotate", Idempotency_Key=f"rotate {row.id}")
            assert rotated.status_code == 200, rotated.content
            self._keep(f"{row.profile}: rotated", rotated.json()["secret"])
            again = self.alice.api.post(f"{path}/rotate", Idempotency_Key=f"rotate {row.id}")
            assert again.json()["secret"] == rotated.json()["secret"]
            assert self.alice.api.get(path).json()["secret"] == rotated.json()["secret"]

    def keys(self) -> None:
        for number in range(2):
            made = self.provider.post("/merchants/alice/api-keys", {"name": "k"}, Idempotency_Key=f"k{number}")
            self._keep(f"key {number}", made.json()["key"])
        self.provider.delete(f"/merchants/alice/api-keys/{made.json()['id']}")
        for one in sealed():
            lines = one.open().splitlines()
            for number, line in enumerate(lines[1:-1]):
                self._keep(f"provider's {one.family} key, line {number}", line)
                if len(line) == 64:
                    self.secrets[f"provider's {one.family} key, line {number}, its bytes"] = base64.b64decode(line)

    def deliveries(self) -> None:
        for number in range(3):
            publish("invoice.paid", {"n": number}, merchant="alice")
        body = {"type": "invoice.paid", "merchant": "alice", "payload": {"n": 9}}
        assert self.provider.post("/events", body, Idempotency_Key="e").status_code == 202
        self.drain()
        for row in Endpoint.objects.all():
            self.alice.api.post(f"/endpoints/{row.public_id}/test")
            since = {"since": "2026-01-01T00:00:00Z"}
            self.alice.api.post(f"/endpoints/{row.public_id}/recover", since, Idempotency_Key=f"r {row.id}")
        replays.advance(clock=timezone.now)
        self.drain()
        statistics.roll_up()

    def drain(self) -> None:
        for _ in range(4):
            process.drain()
            with connection.cursor() as cursor:
                cursor.execute("UPDATE deliveries_laneentry SET due_at = now() - interval '1 second'")
                cursor.execute("UPDATE deliveries_lane SET due_at = now(), retry_at = NULL, paced_until = NULL")
                cursor.execute("UPDATE deliveries_lane SET open_until = now() WHERE open_until IS NOT NULL")

    def admin(self) -> None:
        User.objects.create_superuser("admin", password=LOGIN)
        self._keep("login", LOGIN)
        client = Client()
        client.post("/admin/login/", {"username": "admin", "password": "wrong-" + LOGIN})
        client.post("/admin/login/", {"username": LOGIN, "password": "x"})
        answer = client.post("/admin/login/", {"username": "admin", "password": LOGIN, "next": "/admin/"})
        assert answer.status_code == 302
        self._keep("session", client.cookies["sessionid"].value)
        merchant = self.alice.merchant
        typed = "typed-into-the-admin-40ac"
        form = {
            "owner": merchant.public_id, "url": self.receiver.url(), "profile": "default", "auth_type": "bearer",
            "auth_name": "", "auth_secret": f"{typed}-credential", "secret": f"{typed}-signing",
            "max_in_flight": 5, "metadata": "{}", "event_types": "", "accounts": "", "headers": "", "ack": "",
        }  # fmt: skip
        made = client.post("/admin/subscriptions/endpoint/add/", form)
        assert made.status_code == 302, made.content
        self._keep("typed credential", f"{typed}-credential")
        self._keep("typed secret", f"{typed}-signing")
        made = client.post("/admin/subscriptions/apikey/add/", {"name": "n", "merchant": merchant.public_id})
        found = re.search(r"sgn_(?:mer|pro)_\w{12}_[\w-]{43}", made.content.decode())
        assert found is not None, made.content
        self._keep("key made in the admin", found[0])


def test_no_dump_holds_a_secret(redis_client: "redis.Redis", receive: Callable[..., Receiver]) -> None:
    run = Run(receive(answering))
    run.endpoints()
    run.rotations()
    run.keys()
    run.deliveries()
    run.admin()
    publish("invoice.paid", {"last": 1}, merchant="alice")
    # There is no worker here, so what was queued is still there to be looked at.
    tasks.sweep.delay()
    assert Delivery.objects.filter(status="delivered").count() > 10
    assert Attempt.objects.filter(response_status=500).exists()
    assert StoredAnswer.objects.count() >= 2 * len(PROFILES)
    assert ProviderKey.objects.exists()
    queued = [name for name, _ in dump_of_redis(redis_client)]
    assert any("body" in name for name in queued), queued
    assert len(run.secrets) > 40

    assert find(run.secrets, dump_of_database()) == set()
    assert find(run.secrets, dump_of_redis(redis_client)) == set()


@pytest.mark.parametrize("spell", [bytes, base64.b64encode, lambda text: base64.b64encode(b"x" + text + b"yz")])
def test_the_search_finds_what_is_there(redis_client: "redis.Redis", spell: Callable[[bytes], bytes]) -> None:
    """Otherwise the test above would say nothing."""
    secret = b"correct horse battery staple"
    alice = make_person("Alice")
    Endpoint.objects.create(
        owner=alice.merchant,
        target="x",
        auth_ciphertext=spell(secret),
        created_at=timezone.now(),
        updated_at=timezone.now(),
    )
    redis_client.set("x", spell(secret))
    assert {place for _, place in find({"s": secret}, dump_of_database())} == {"subscriptions_endpoint, decoded"} | (
        {"subscriptions_endpoint"} if spell is bytes else set()
    )
    assert find({"s": secret}, dump_of_redis(redis_client)) == {("s", "redis b'x'")}
