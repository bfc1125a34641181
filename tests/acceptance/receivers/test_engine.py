"""Every case at once through the real drain: one attempt row each, with its reason, while healthy neighbours go on."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery
from deliveries.services import publish
from dispatcher.addresses import AddressRules
from dispatcher.http.door import Client, Limits
from subscriptions.models import Merchant
from tests.acceptance.receivers.bodies import BODIES
from tests.acceptance.receivers.cases import Case
from tests.acceptance.receivers.handshakes import HANDSHAKES
from tests.acceptance.receivers.heads import HEADS
from tests.acceptance.receivers.test_clients import start, url_of
from tests.acceptance.receivers.writing import WRITING
from tests.dispatcher.http.conftest import CLIENTS
from tests.receivers import Receiver
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
DEADLINE_S = 2.0
MOST_GROWTH_BYTES = 5_000_000
PAYLOAD = b'{"n":1}'
# What a case does to a body of 8 MB it does to no event: those have 256 KiB at most, which the kernels take at once.
CASES = [case for case in [*HEADS, *BODIES, *WRITING, *HANDSHAKES] if len(case.body) <= 1_000]
HEALTHY = 20
EVENTS = 5


@pytest.fixture(autouse=True, params=sorted(CLIENTS))
def engine(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch, ca_file: str
) -> Iterator[None]:
    """The engine of the process, with one thing changed: its client believes the authority of the tests."""

    def make(name: str, *, rules: AddressRules, limits: Limits) -> Client:
        return CLIENTS[name](rules=rules, limits=limits, ca_file=ca_file)

    monkeypatch.setattr(process, "make_client", make)
    settings.HTTP_CLIENT = request.param
    settings.ALLOW_HTTP_TARGETS = True
    settings.DELIVERY_TIMEOUT = DEADLINE_S
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    process.close()
    stopping.reset()
    yield
    process.close()
    stopping.reset()


@pytest.fixture
def healthy(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Iterator[list[Receiver]]:
    """Bob's receivers, who answer at once."""
    make_type("invoice.paid")
    bob = make_merchant("bob")
    with ExitStack() as running:
        receivers = [running.enter_context(Receiver(keep_alive())) for _ in range(HEALTHY)]
        for receiver in receivers:
            make_endpoint(bob, target=receiver.url())
        yield receivers


def attempts() -> dict[str, list[tuple[str, int | None, str]]]:
    """What the log holds of each endpoint, by its name."""
    found: dict[str, list[tuple[str, int | None, str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.description, a.reason, a.response_status, a.body_error FROM deliveries_attempt a"
            " JOIN deliveries_delivery d ON d.id = a.delivery_id"
            " JOIN subscriptions_endpoint e ON e.id = d.endpoint_id ORDER BY a.id"
        )
        for name, *rest in cursor.fetchall():
            found.setdefault(name, []).append((rest[0], rest[1], rest[2]))
    return found


def test_one_row_each_with_the_right_reason_and_nobody_else_waits(
    make_merchant: Make, make_endpoint: Make, healthy: list[Receiver]
) -> None:
    mallory = make_merchant("mallory")
    with ExitStack() as running:
        receivers = {case.name: running.enter_context(start(case)) for case in CASES}
        for case in CASES:
            make_endpoint(mallory, description=case.name, target=url_of(case, receivers[case.name]))
        publish("invoice.paid", PAYLOAD, merchant="mallory")
        for _ in range(EVENTS):
            publish("invoice.paid", PAYLOAD, merchant="bob")
        assert process.drain() == len(CASES) + HEALTHY * EVENTS
        seen = attempts()
        assert {name for name, receiver in receivers.items() if receiver.connections != 1} == set()
    wanted = {case.name: [(case.reason.value, case.status, case.body_error)] for case in CASES}
    assert {name: rows for name, rows in seen.items() if name and rows != wanted[name]} == {}
    assert set(wanted) <= set(seen)
    assert [len(receiver.requests) for receiver in healthy] == [EVENTS] * HEALTHY
    bob = Merchant.objects.get(reference="bob")
    bobs = Attempt.objects.filter(delivery_id__in=Delivery.objects.filter(owner_id=bob.id).values("id"))
    assert {attempt.reason for attempt in bobs} == {"delivered"}
    began = Attempt.objects.order_by("started_at").values_list("started_at", flat=True)[0]
    waited = [(attempt.started_at - began).total_seconds() + attempt.total_ms / 1000 for attempt in bobs]
    # Nobody's answer waited for those that last.
    assert max(waited) < DEADLINE_S


def grow(hostile: list[Case], make_merchant: Make, make_endpoint: Make, round_: int) -> None:
    merchant = make_merchant(f"mallory-{round_}")
    with ExitStack() as running:
        for case in hostile:
            make_endpoint(merchant, description=case.name, target=url_of(case, running.enter_context(start(case))))
        publish("invoice.paid", PAYLOAD, merchant=merchant.reference)
        assert process.drain() == len(hostile)


def test_the_worker_is_no_larger_afterwards(make_merchant: Make, make_endpoint: Make, make_type: Make) -> None:
    """The receivers of this test live in the same process, and are counted with it."""
    gc.collect()
    make_type("invoice.paid")
    quick = [case for case in CASES if not case.lasts]
    grow(quick, make_merchant, make_endpoint, 1)
    gc.collect()
    tracemalloc.start()
    try:
        grow(quick, make_merchant, make_endpoint, 2)
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < MOST_GROWTH_BYTES
