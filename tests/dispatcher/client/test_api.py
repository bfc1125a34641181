"""The client against a running platform: every area of it, and the platform's own refusals."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from dispatcher.client import (
    BadInput,
    Conflict,
    Forbidden,
    Invalid,
    Merchant,
    NewEvent,
    NotFound,
    Provider,
    Retry,
    Stale,
    Unauthenticated,
)
from dispatcher.client.results import Replay
from tests.acceptance.stack import wait_until
from tests.dispatcher.conftest import Shop
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.acceptance

OCCURRED_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOWHERE = "https://127.0.0.1:8443/in"
# Nobody listens there, and no name has to be resolved.
PAYLOAD = b'{"b": 12.50,  "a":[1e2, "\xc3\xa9"]}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(keep_alive()) as made:
        yield made


def wait_for_delivery(merchant: Merchant, event_id: str) -> None:
    wait_until(
        lambda: all(one.delivery_status == "delivered" for one in merchant.events.get(event_id).deliveries),
        seconds=20,
        what="the event is delivered",
    )


def test_an_event_arrives_byte_for_byte_and_can_be_read_in_the_log(
    provider: Provider, merchant: Merchant, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"), event_types=["invoice.*"])

    accepted = provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference, occurred_at=OCCURRED_AT)

    assert (accepted.is_duplicate, accepted.deliveries) == (False, 1)
    wait_for_delivery(merchant, accepted.id)
    assert [one.body for one in receiver.requests] == [PAYLOAD]
    event = merchant.events.get(accepted.id)
    assert (event.id, event.event_type, event.occurred_at) == (accepted.id, "invoice.paid", OCCURRED_AT)
    assert event.payload_bytes == PAYLOAD
    assert event.payload == {"b": 12.5, "a": [100.0, "é"]}
    (delivery,) = event.deliveries
    (attempt,) = delivery.attempts
    assert (delivery.endpoint_id, attempt.number, attempt.reason) == (endpoint.id, 1, "delivered")
    assert attempt.response is not None
    assert (attempt.response.status, attempt.response.body) == (200, "ok")
    (row,) = merchant.events.list(event_type="invoice.paid", since=OCCURRED_AT, endpoint=endpoint.id)
    assert (row.id, row.payload_bytes) == (accepted.id, PAYLOAD)


def test_a_batch_is_taken_whole_or_not_at_all(provider: Provider, merchant: Merchant, shop: Shop) -> None:
    events = [NewEvent(type="invoice.paid", payload={"n": n}, merchant=shop.reference) for n in range(3)]

    accepted = provider.events.publish_batch(events)
    with pytest.raises(Invalid) as caught:
        provider.events.publish_batch([*events, NewEvent(type="no.such.type", payload={}, merchant=shop.reference)])

    assert len({one.id for one in accepted}) == 3
    assert [error.pointer for error in caught.value.errors] == ["/events/3/type"]
    assert shop.stack.sql(
        "SELECT count(*) FROM deliveries_event WHERE merchant_id = (SELECT id FROM "
        "subscriptions_merchant WHERE reference = %s)",
        shop.reference,
    ) == [(3,)]


def test_the_same_key_publishes_once(provider: Provider, shop: Shop) -> None:
    first, second = (
        provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference, idempotency_key=shop.reference)
        for _ in range(2)
    )

    assert second.id == first.id
    assert (first.is_duplicate, second.is_duplicate) == (False, True)
    with pytest.raises(Conflict) as caught:
        provider.events.publish("invoice.paid", {}, merchant=shop.reference, idempotency_key=shop.reference)
    assert caught.value.code == "idempotency_key_reused"


@contextmanager
def losing_answers(shop: Shop, *, lost: int) -> Iterator[str]:
    """A way to the platform on which that many first answers are lost after the platform has given them."""
    left = [lost]

    def carry(client: socket.socket) -> None:
        with closing(client), socket.create_connection(("127.0.0.1", shop.stack.port)) as platform:
            platform.sendall(_request(client))
            reply = platform.recv(65_536)
            if left[0]:
                left[0] -= 1
            else:
                client.sendall(reply)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                carry(client)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _request(client: socket.socket) -> bytes:
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += client.recv(65_536)
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += client.recv(65_536)
    return head + b"\r\n\r\n" + body


def test_a_publish_whose_answers_were_lost_makes_one_event(shop: Shop) -> None:
    with losing_answers(shop, lost=2) as url, Provider(url, shop.stack.key, retry=Retry(first_wait_s=0.01)) as provider:
        accepted = provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference)

    assert accepted.is_duplicate
    rows = shop.stack.sql(
        "SELECT count(*) FROM deliveries_event e JOIN subscriptions_merchant m ON m.id = e.merchant_id "
        "WHERE m.reference = %s",
        shop.reference,
    )
    assert rows == [(1,)]


def test_an_endpoint_whose_answer_was_lost_is_made_once_and_its_secret_is_told(shop: Shop, merchant: Merchant) -> None:
    with losing_answers(shop, lost=1) as url, Merchant(url, shop.key, retry=Retry(first_wait_s=0.01)) as other:
        made = other.endpoints.create(NOWHERE)

    assert [one.id for one in merchant.endpoints.list()] == [made.id]
    assert made.secret == merchant.endpoints.secret(made.id).secret


def test_lists_are_read_to_their_end_page_by_page(provider: Provider, merchant: Merchant, shop: Shop) -> None:
    made = [merchant.endpoints.create(f"{NOWHERE}/{n}").id for n in range(5)]
    for n in range(5):
        provider.events.publish("invoice.paid", {"n": n}, merchant=shop.reference)

    assert [one.id for one in merchant.endpoints.list(page_size=2)] == made[::-1]
    rows = list(merchant.events.list(page_size=7))
    assert len(rows) == len({row.delivery_id for row in rows}) == 25
    assert [row.payload["n"] for row in rows] == [n for n in (4, 3, 2, 1, 0) for _ in range(5)]
    assert len(list(islice(merchant.events.list(page_size=3), 4))) == 4


def test_the_life_of_an_endpoint(merchant: Merchant, receiver: Receiver) -> None:
    made = merchant.endpoints.create(
        receiver.url("/in"), description="ours", headers={"X-Ours": "1"}, metadata={"team": "billing"}, ordered=True
    )

    assert isinstance(made.secret, str)
    assert (made.headers, made.metadata, made.ordered, made.version) == ({"X-Ours": "1"}, {"team": "billing"}, True, 1)
    changed = merchant.endpoints.update(made.id, description="theirs", if_match=1)
    assert (changed.description, changed.version) == ("theirs", 2)
    with pytest.raises(Stale):
        merchant.endpoints.update(made.id, description="too late", if_match=1)
    with pytest.raises(Stale):
        merchant.endpoints.delete(made.id, if_match=1)
    rotated = merchant.endpoints.rotate(made.id, overlap_s=60)
    assert rotated.secret == merchant.endpoints.secret(made.id).secret != made.secret
    trial = merchant.endpoints.test(made.id, event_type="invoice.paid", payload=PAYLOAD)
    assert (trial.is_delivered, trial.request.url) == (True, receiver.url("/in"))
    assert merchant.endpoints.connectivity(made.id).reachable
    assert receiver.requests[0].body == PAYLOAD
    assert merchant.endpoints.stats(made.id, bucket="day").totals.delivered == 0
    merchant.endpoints.delete(made.id)
    with pytest.raises(NotFound):
        merchant.endpoints.get(made.id)


def test_the_configuration_of_the_merchant_api(merchant: Merchant) -> None:
    with pytest.raises(NotFound):
        merchant.config.get()

    put = merchant.config.put(NOWHERE, secret="a-secret", event_types=["invoice.paid"])

    assert (put.secret_set, put.event_types, put.is_active) == (True, ["invoice.paid"], True)
    assert merchant.config.get() == put
    with pytest.raises(Stale):
        merchant.config.delete(if_match=put.version + 1)
    merchant.config.delete()
    assert list(merchant.endpoints.list()) == []


def test_what_was_held_is_released_and_waited_for(
    provider: Provider, merchant: Merchant, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"), is_active=False)
    for n in range(3):
        provider.events.publish("invoice.paid", {"n": n}, merchant=shop.reference)
    merchant.endpoints.update(endpoint.id, is_active=True)
    assert merchant.endpoints.count_replay(endpoint.id, "release").count == 3
    seen: list[Replay] = []

    begun = merchant.endpoints.release(endpoint.id)
    done = merchant.replays.wait(begun.id, timeout_s=30, every_s=0.05, on_progress=seen.append)

    assert (done.status, done.sent, done.progress) == ("finished", 3, 1.0)
    assert seen[-1] == done
    wait_until(lambda: len(receiver.requests) == 3, seconds=20, what="what was held arrives")
    assert [one.id for one in merchant.replays.list(endpoint=endpoint.id)] == [begun.id]
    assert merchant.replays.stop(begun.id).status == "finished"


def test_recovery_and_what_is_missing_begin_at_a_time(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"))
    since = datetime.now(UTC) - timedelta(hours=1)

    for begin in (merchant.endpoints.recover, merchant.endpoints.replay_missing):
        assert merchant.replays.wait(begin(endpoint.id, since=since).id, timeout_s=30, every_s=0.05).sent == 0
    with pytest.raises(BadInput, match="time zone"):
        merchant.endpoints.recover(endpoint.id, since=datetime.now())  # noqa: DTZ005 - the mistake


def test_an_event_is_sent_again(provider: Provider, merchant: Merchant, shop: Shop, receiver: Receiver) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"))
    accepted = provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference)
    wait_for_delivery(merchant, accepted.id)

    (delivery,) = merchant.events.resend(accepted.id, endpoint=endpoint.id)

    assert delivery == merchant.events.get(accepted.id).deliveries[0].delivery_id
    wait_until(lambda: len(receiver.requests) == 2, seconds=20, what="it arrives again")


def test_statistics_are_typed(merchant: Merchant) -> None:
    found = merchant.stats.get(since=datetime.now(UTC) - timedelta(hours=3), bucket="hour")

    assert (found.totals.delivered, found.totals.held, found.totals.success_ratio) == (0, 0, None)
    assert set(found.totals.latency_ms) == {"p50", "p95", "p99"}


def test_a_provider_keeps_merchants_accounts_and_keys(provider: Provider, shop: Shop) -> None:
    name = f"{shop.reference}-portfolio"
    made = provider.merchants.create(name, reference=name, kind="portfolio")
    child = provider.merchants.update(shop.reference, parent=name)
    assert (made.kind, child.parent) == ("portfolio", made.id)
    assert made.id in [one.id for one in islice(provider.merchants.list(page_size=200), 50)]

    account = provider.merchants.put_account(shop.reference, f"card/{name}")
    assert account.merchant == provider.merchants.get(shop.reference).id
    assert provider.events.publish("invoice.paid", {}, account=account.reference).deliveries == 0
    provider.merchants.delete_account(shop.reference, account.reference)
    with pytest.raises(Invalid):
        provider.events.publish("invoice.paid", {}, account=account.reference)

    key = provider.keys.create(shop.reference, name="second", expires_at=datetime.now(UTC) + timedelta(days=1))
    with Merchant(shop.url, key.key) as other:
        assert list(other.endpoints.list()) == []
        provider.keys.revoke(shop.reference, key.id)
        with pytest.raises(Unauthenticated):
            list(other.endpoints.list())
    assert {one.revoked_at is None for one in provider.keys.list(shop.reference)} == {True, False}

    provider.merchants.update(shop.reference, parent=None)
    provider.merchants.delete(name)


def test_a_link_leads_into_the_portal(provider: Provider, shop: Shop) -> None:
    made = provider.portal_links.create(shop.reference, expires_in_s=600, access="read_only")

    assert (made.url.startswith(f"{shop.url}/"), made.access) == (True, "read_only")
    assert timedelta(minutes=9) < made.expires_at - datetime.now(UTC) <= timedelta(minutes=10)
    with pytest.raises(NotFound):
        provider.portal_links.create("nobody-here")


def test_a_provider_keeps_the_catalogue_and_a_merchant_reads_it(
    provider: Provider, merchant: Merchant, shop: Shop
) -> None:
    name = f"order.{shop.reference}"
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}

    made = provider.event_types.create(name, group="Orders", schema=schema, strict=True)

    assert (made.name, made.group, made.schema, made.strict) == (name, "Orders", schema, True)
    assert name in {one.name for one in merchant.event_types.list(page_size=2)}
    assert isinstance(merchant.event_types.get(name).sample["id"], str)
    with pytest.raises(Invalid) as caught:
        provider.events.publish(name, {"id": 7}, merchant=shop.reference)
    assert [error.pointer for error in caught.value.errors] == ["/payload/id"]
    assert provider.event_types.update(name, archived=True).archived
    assert name not in {one.name for one in merchant.event_types.list()}
    assert name in {one.name for one in provider.event_types.list()}
    provider.event_types.delete(name)
    with pytest.raises(NotFound):
        provider.event_types.get(name)


def test_a_provider_acts_for_a_merchant(provider: Provider, merchant: Merchant, shop: Shop) -> None:
    made = provider.merchant(shop.reference).endpoints.create(NOWHERE)

    assert merchant.endpoints.get(made.id).url == NOWHERE


def test_public_keys_are_published(merchant: Merchant) -> None:
    merchant.endpoints.create(NOWHERE, profile="paysera")

    assert all(key.public_key_pem.startswith("-----BEGIN PUBLIC KEY") for key in merchant.public_keys.list())
    assert [key.algorithm for key in merchant.public_keys.list()] == ["rsa"]


def test_a_stranger_reaches_nothing(provider: Provider, merchant: Merchant, charlie: Merchant, shop: Shop) -> None:
    endpoint = merchant.endpoints.create(NOWHERE, is_active=False)
    event = provider.events.publish("invoice.paid", {}, merchant=shop.reference)

    assert [*charlie.endpoints.list(), *charlie.events.list(), *charlie.replays.list()] == []
    for ask in (
        lambda: charlie.events.get(event.id),
        lambda: charlie.events.resend(event.id),
        lambda: charlie.endpoints.get(endpoint.id),
        lambda: charlie.endpoints.secret(endpoint.id),
        lambda: charlie.endpoints.update(endpoint.id, is_active=True),
        lambda: charlie.endpoints.delete(endpoint.id),
        lambda: charlie.endpoints.release(endpoint.id),
    ):
        with pytest.raises(NotFound):
            ask()
    with Provider(shop.url, shop.strangers_key) as other, pytest.raises(Forbidden):
        other.events.publish("invoice.paid", {}, merchant=shop.reference)
    assert merchant.endpoints.get(endpoint.id).version == 1
    assert [row.delivery_status for row in merchant.events.list()] == ["held"]
