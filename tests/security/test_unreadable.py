"""A secret that does not decrypt is loud, harms nobody else, and is over as soon as it is mended."""

import base64
import logging
import os
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery, LaneEntry
from deliveries.services import publish, replays
from subscriptions.models import AuditEntry, Endpoint, ProviderKey, SigningSecret
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import keep_alive
from tests.subscriptions.conftest import Person, make_person, make_type, problem

pytestmark = pytest.mark.django_db(transaction=True)

OTHER_RING = base64.b64encode(os.urandom(32)).decode()
PROVIDER_SIGNED = "paysera"
GARBAGE = b"\x01" + b"x" * 60


@pytest.fixture(autouse=True)
def engine(settings: Any) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    settings.RETRY_SCHEDULE = (1, 1)
    stopping.reset()
    yield
    process.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(keep_alive()) as running:
        yield running


@pytest.fixture
def people(transactional_db: None) -> tuple[Person, Person]:
    make_type("invoice.paid")
    return make_person("Alice"), make_person("Bob")


def add(person: Person, receiver: Receiver, **data: Any) -> Endpoint:
    made = person.api.post("/endpoints", {"url": receiver.url(), **data})
    assert made.status_code == 201, made.content
    return Endpoint.objects.get(owner=person.merchant)


def run(times: int = 1) -> None:
    """Drain, and let what waits come due, so often."""
    for _ in range(times):
        process.drain()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE deliveries_laneentry SET due_at = now() - interval '1 second'")
            cursor.execute("UPDATE deliveries_lane SET due_at = now() WHERE due_at IS NOT NULL")


def audited(endpoint: Endpoint) -> list[str]:
    rows = AuditEntry.objects.filter(target=endpoint.public_id, action__endswith="readable").order_by("id")
    return list(rows.values_list("action", flat=True))


SPOIL: dict[str, Callable[[], object]] = {
    "secret": lambda: SigningSecret.objects.filter(endpoint__owner__reference="alice").update(ciphertext=GARBAGE),
    "auth": lambda: Endpoint.objects.filter(owner__reference="alice").update(auth_ciphertext=GARBAGE),
    "provider key": lambda: ProviderKey.objects.update(ciphertext=GARBAGE),
}


@pytest.mark.parametrize("what", SPOIL)
def test_it_is_held_at_last_and_seen_by_all_while_neighbours_go_on(
    what: str, people: tuple[Person, Person], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = people
    profile = {"profile": PROVIDER_SIGNED} if what == "provider key" else {}
    bad = add(alice, receiver, auth={"type": "bearer", "token": "t"}, **profile)
    good = add(bob, receiver)
    SPOIL[what]()
    for _ in range(2):
        publish("invoice.paid", {}, merchant="alice")
    publish("invoice.paid", {}, merchant="bob")
    with caplog.at_level(logging.ERROR, logger="deliveries.engine.endpoints"):
        run(4)
    assert Delivery.objects.get(endpoint_id=good.id).status == "delivered"
    stuck = Delivery.objects.filter(endpoint_id=bad.id)
    assert [(row.status, row.last_reason, row.attempts_counted) for row in stuck] == [("held", "internal_error", 0)] * 2
    assert [row.attempts_uncounted for row in stuck] == [3, 3]
    assert not LaneEntry.objects.exists()
    details = set(Attempt.objects.filter(delivery_id__in=[row.id for row in stuck]).values_list("detail", flat=True))
    assert details == {"A stored secret could not be decrypted."}
    assert [record.getMessage() for record in caplog.records] == [
        f"endpoint {bad.id}: a stored secret does not decrypt; nothing is sent there"
    ]

    assert audited(bad) == ["endpoint.unreadable"]
    assert audited(good) == []
    shown = alice.api.get(f"/endpoints/{bad.public_id}").json()
    assert (shown["unreadable_since"] is None, shown["is_active"], shown["version"]) == (False, True, bad.version)
    assert bob.api.get(f"/endpoints/{good.public_id}").json()["unreadable_since"] is None
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    page = client.get(f"/admin/subscriptions/endpoint/{bad.id}/change/").content.decode()
    assert "UTC a stored secret cannot be decrypted: nothing is sent" in page
    assert "A stored secret cannot be decrypted" in client.get("/admin/subscriptions/endpoint/").content.decode()
    neighbour = client.get(f"/admin/subscriptions/endpoint/{good.id}/change/").content.decode()
    assert "cannot be decrypted" not in neighbour


def test_after_a_rotation_all_is_well(people: tuple[Person, Person], receiver: Receiver) -> None:
    alice, _ = people
    endpoint = add(alice, receiver)
    path = f"/endpoints/{endpoint.public_id}"
    SPOIL["secret"]()
    publish("invoice.paid", {}, merchant="alice")
    run(4)
    problem(alice.api.get(f"{path}/secret"), 409, "secret_unreadable")
    assert not AuditEntry.objects.filter(action="secret.revealed").exists()
    problem(alice.api.patch(path, {"profile": "stripe"}), 409, "secret_unreadable")
    rotated = alice.api.post(f"{path}/secret/rotate")
    # There is nothing left that could overlap.
    assert (rotated.status_code, rotated.json()["previous_expires_at"]) == (200, None)
    assert SigningSecret.objects.count() == 1
    assert alice.api.get(path).json()["unreadable_since"] is None
    assert alice.api.post(f"{path}/release").status_code == 202
    replays.advance(clock=timezone.now)
    run()
    assert list(Delivery.objects.values_list("status", flat=True)) == ["delivered"]


def test_a_new_secret_by_put_mends_it(people: tuple[Person, Person], receiver: Receiver) -> None:
    alice, _ = people
    alice.api.put("/config", {"url": receiver.url(), "secret": "before"})
    SPOIL["secret"]()
    publish("invoice.paid", {}, merchant="alice")
    run()
    marked = Endpoint.objects.exclude(unreadable_since=None)
    assert marked.count() == 1
    assert alice.api.put("/config", {"url": receiver.url(), "secret": "after"}).status_code == 200
    assert marked.count() == 0
    run()
    assert Delivery.objects.get().status == "delivered"


def test_when_the_missing_key_is_back_the_mark_goes(
    people: tuple[Person, Person], receiver: Receiver, settings: Any
) -> None:
    alice, _ = people
    endpoint = add(alice, receiver)
    right = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = [OTHER_RING]
    publish("invoice.paid", {}, merchant="alice")
    run()
    assert audited(endpoint) == ["endpoint.unreadable"]
    settings.ENCRYPTION_KEYS = [OTHER_RING, *right]
    # As a worker that was started anew.
    process.close()
    run()
    assert audited(endpoint) == ["endpoint.unreadable", "endpoint.readable"]
    endpoint.refresh_from_db()
    assert endpoint.unreadable_since is None
    assert Delivery.objects.get().status == "delivered"


def test_however_many_workers_stumble_it_is_written_down_once(
    people: tuple[Person, Person], receiver: Receiver
) -> None:
    alice, _ = people
    endpoint = add(alice, receiver)
    SPOIL["secret"]()
    for _ in range(3):
        publish("invoice.paid", {}, merchant="alice")
        run()
        process.close()
    assert audited(endpoint) == ["endpoint.unreadable"]
