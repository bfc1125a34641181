"""POST /events/batch: all or none, each fault with its index."""

from typing import Any

import pytest

from deliveries.models import Event, IdempotencyKey
from subscriptions.models import Endpoint, StoredAnswer
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of
from tests.statements import counting_statements

URL = "/api/v2/events/batch"
SOUND = {"type": "invoice.paid", "merchant": "alice", "payload": {"a": 1}}


def batch(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"events": [{n: v for n, v in {**SOUND, **change}.items() if v is not ...} for change in changes]}


def test_answers_in_order(world: World, provider: Caller, endpoint: Endpoint) -> None:
    response = provider.post(URL, batch({"id": "one"}, {"merchant": "bob", "id": "two"}, {"id": "three"}))
    assert response.status_code == 202
    assert response.json() == {
        "events": [
            {"id": "one", "duplicate": False, "deliveries": 1},
            {"id": "two", "duplicate": False, "deliveries": 0},
            {"id": "three", "duplicate": False, "deliveries": 1},
        ]
    }


def test_payload_bytes_are_kept_exactly(world: World, provider: Caller) -> None:
    payloads = [b'{"b":1.10,"a":  [1e2]}', b"1.0", b'"\\u00e9"']
    events = b", ".join(b'{"payload": %b , "type":"invoice.paid","merchant":"alice"}' % one for one in payloads)
    assert provider.post(URL, b'{"events": [' + events + b"]}").status_code == 202
    assert [bytes(event.payload) for event in Event.objects.order_by("id")] == payloads


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("/events", "required")]),
        ({"events": None}, [("/events", "wrong_type")]),
        ({"events": {}}, [("/events", "wrong_type")]),
        ({"events": []}, [("/events", "wrong_length")]),
        ({"events": [SOUND] * 1001}, [("/events", "wrong_length")]),
        ({"events": [1] * 1001}, [("/events", "wrong_length")]),
        ({"events": [1] * 1000}, [(f"/events/{position}", "wrong_type") for position in range(100)]),
        ({"events": [SOUND], "more": 1}, [("/more", "unknown_field")]),
        ({"events": [SOUND, 1]}, [("/events/1", "wrong_type")]),
        ([SOUND], [("", "wrong_type")]),
        (batch({}, {"type": ...}), [("/events/1/type", "required")]),
        (batch({}, {"type": 1}, {"x": 1}), [("/events/1/type", "wrong_type"), ("/events/2/x", "unknown_field")]),
        (batch({}, {"type": "nope"}), [("/events/1/type", "unknown_event_type")]),
        (batch({}, {"merchant": "nobody"}), [("/events/1/merchant", "unknown_merchant")]),
        (batch({}, {"merchant": "bob", "account": "card-1"}), [("/events/1/account", "account_of_another_merchant")]),
        (batch({}, {"idempotency_key": ""}), [("/events/1/idempotency_key", "invalid")]),
        (batch({}, {"idempotency_key": "x" * 129}), [("/events/1/idempotency_key", "invalid")]),
        (batch({}, {"idempotency_key": 7}), [("/events/1/idempotency_key", "wrong_type")]),
    ],
)
def test_one_wrong_event_and_nothing_is_stored(
    body: Any, errors: list[tuple[str, str]], world: World, provider: Caller
) -> None:
    assert errors_of(provider.post(URL, body)) == errors
    assert not Event.objects.exists()


def test_one_unreadable_payload_and_nothing_is_stored(world: World, provider: Caller) -> None:
    raw = b'{"events": [{"type":"invoice.paid","merchant":"alice","payload":1},{"payload": {"a":1,"a":2}}]}'
    assert code_of(provider.post(URL, raw)) == (400, "duplicate_key")
    assert not Event.objects.exists()


def test_a_payload_over_the_limit(world: World, provider: Caller, settings: Any) -> None:
    settings.PAYLOAD_MAX_BYTES = 10
    response = provider.post(URL, batch({"payload": "12345678"}, {"payload": "123456789"}))
    assert code_of(response) == (413, "payload_too_large")
    assert response.json()["detail"].startswith("Event 1: ")
    assert not Event.objects.exists()


def test_a_batch_over_the_limit(world: World, provider: Caller, settings: Any) -> None:
    settings.BATCH_MAX_BYTES = 1_000
    assert provider.post(URL, batch(*[{}] * 5)).status_code == 202
    assert code_of(provider.post(URL, batch(*[{}] * 50))) == (413, "payload_too_large")
    assert Event.objects.count() == 5


def test_merchants_do_not_publish(alice: Caller, charlie: Caller) -> None:
    for merchant in (alice, charlie):
        assert code_of(merchant.post(URL, batch({}))) == (403, "provider_key_needed")
    assert not Event.objects.exists()


class TestIdempotency:
    def test_each_events_own_key(self, world: World, provider: Caller) -> None:
        first = provider.post(URL, batch({"idempotency_key": "k"}, {})).json()["events"]
        again = provider.post(URL, batch({}, {"idempotency_key": "k"})).json()["events"]
        assert again[1] == first[0] | {"duplicate": True}
        assert Event.objects.count() == 3

    def test_a_key_is_the_same_for_one_event_and_in_a_batch(self, world: World, provider: Caller) -> None:
        first = provider.post("/api/v2/events", SOUND, Idempotency_Key="k").json()
        again = provider.post(URL, batch({"idempotency_key": "k"})).json()["events"][0]
        assert again == first | {"duplicate": True}

    def test_reuse_is_refused_with_the_index(self, world: World, provider: Caller) -> None:
        provider.post(URL, batch({"idempotency_key": "k"}))
        response = provider.post(URL, batch({}, {"idempotency_key": "k", "payload": 2}))
        assert code_of(response) == (409, "idempotency_key_reused")
        assert response.json()["detail"].startswith("Event 1: ")
        assert Event.objects.count() == 1

    def test_the_header_is_the_whole_batchs(self, world: World, provider: Caller) -> None:
        first = provider.post(URL, batch({}, {}), Idempotency_Key="k")
        again = provider.post(URL, batch({}, {}), Idempotency_Key="k")
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["Idempotent-Replayed"] == "true"
        assert code_of(provider.post(URL, batch({}), Idempotency_Key="k")) == (409, "idempotency_key_reused")
        assert Event.objects.count() == 2

    def test_a_refused_batch_takes_no_keys(self, world: World, provider: Caller) -> None:
        body = batch({"idempotency_key": "k"}, {"type": "nope"})
        assert provider.post(URL, body, Idempotency_Key="k").status_code == 422
        assert not IdempotencyKey.objects.exists()
        assert not StoredAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_statements_do_not_grow_with_the_batch(world: World, provider: Caller, make_endpoint: Make) -> None:
    for _ in range(3):
        make_endpoint(world.alice)
    for count in (1, 500):
        with counting_statements() as statements:
            assert provider.post(URL, batch(*[{}] * count)).status_code == 202
        assert len(statements) == 3


def test_the_index_is_that_of_the_request_behind_duplicates_too(world: World, provider: Caller) -> None:
    same = {"idempotency_key": "k"}
    assert errors_of(provider.post(URL, batch(same, same, {"type": "nope"}))) == [
        ("/events/2/type", "unknown_event_type")
    ]


def test_a_type_of_many_groups_is_refused_unread(world: World, provider: Caller) -> None:
    """Its filters would grow with the square of its groups."""
    assert errors_of(provider.post(URL, batch({"type": "a." * 100_000 + "a"}))) == [
        ("/events/0/type", "unknown_event_type")
    ]
