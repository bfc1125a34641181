"""POST /events: one event, its bytes untouched, whatever is wrong with it told exactly."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from deliveries.models import Delivery, Event, IdempotencyKey, LaneEntry
from subscriptions.models import Endpoint
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of
from tests.statements import counting_statements

URL = "/api/v2/events"
SOUND = {"type": "invoice.paid", "merchant": "alice", "payload": {"a": 1}}


def body(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**SOUND, **changes}.items() if value is not ...}


class TestAccepted:
    def test_the_answer(self, world: World, provider: Caller, endpoint: Endpoint) -> None:
        response = provider.post(URL, SOUND)
        assert response.status_code == 202
        assert response.headers["Content-Type"] == "application/json"
        event = Event.objects.get()
        assert response.json() == {"id": event.public_id, "duplicate": False, "deliveries": 1}
        assert Delivery.objects.get().endpoint_id == endpoint.id

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"b":1.10,"a":  [1e2, "\xc3\xa9"],\n "\\u00e9": "\\/"}',
            b"1.10",
            b"-0.0",
            b"null",
            b'"text"',
            b"[ ]",
            b'{"big": 123456789012345678901234567890, "small": 1e-300}',
        ],
    )
    def test_payload_bytes_are_kept_exactly(self, payload: bytes, world: World, provider: Caller) -> None:
        raw = b'{"payload":  ' + payload + b' \n, "type": "invoice.paid", "merchant": "alice"}'
        assert provider.post(URL, raw).status_code == 202
        assert bytes(Event.objects.get().payload) == payload

    def test_escaped_member_names_mean_the_same(self, world: World, provider: Caller) -> None:
        raw = b'{"pay\\u006coad": 1, "type": "invoice.paid", "merchant": "alice"}'
        assert provider.post(URL, raw).status_code == 202
        assert bytes(Event.objects.get().payload) == b"1"

    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31T12:00:00.25+02:00", "2026-01-31T10:00:00.250000+00:00"),
            ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123457+00:00"),
        ],
    )
    def test_occurred_at(self, given: str, stored: str, world: World, provider: Caller) -> None:
        assert provider.post(URL, body(occurred_at=given)).status_code == 202
        assert Event.objects.get().occurred_at.isoformat() == stored

    def test_null_is_absent(self, world: World, provider: Caller) -> None:
        response = provider.post(URL, body(merchant=None, account="card-1", id=None, occurred_at=None))
        assert response.status_code == 202
        event = Event.objects.get()
        assert (event.merchant_id, event.account, event.external_id) == (world.alice.id, "card-1", None)

    def test_the_providers_own_id(self, world: World, provider: Caller) -> None:
        assert provider.post(URL, body(id="stmt/17")).json() == {"id": "stmt/17", "duplicate": False, "deliveries": 0}

    def test_a_payload_of_the_largest_size(self, world: World, provider: Caller, settings: Any) -> None:
        payload = '"' + "x" * (settings.PAYLOAD_MAX_BYTES - 2) + '"'
        raw = b'{"type":"invoice.paid","merchant":"alice","payload":' + payload.encode() + b"}"
        assert provider.post(URL, raw).status_code == 202
        assert code_of(provider.post(URL, raw.replace(b'"x', b'"xx'))) == (413, "payload_too_large")
        assert Event.objects.count() == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "errors"),
        [
            ({"type": ...}, [("/type", "required")]),
            ({"type": ..., "payload": ...}, [("/type", "required"), ("/payload", "required")]),
            ({"type": 1}, [("/type", "wrong_type")]),
            ({"type": None}, [("/type", "wrong_type")]),
            ({"type": "nope"}, [("/type", "unknown_event_type")]),
            ({"type": ""}, [("/type", "unknown_event_type")]),
            ({"type": "x" * 5000}, [("/type", "unknown_event_type")]),
            ({"merchant": 7}, [("/merchant", "wrong_type")]),
            ({"merchant": ""}, [("/merchant", "invalid")]),
            ({"merchant": "x" * 256}, [("/merchant", "invalid")]),
            ({"merchant": "nobody"}, [("/merchant", "unknown_merchant")]),
            ({"merchant": ...}, [("/merchant", "required")]),
            ({"merchant": ..., "account": "no-card"}, [("/account", "unknown_account")]),
            ({"merchant": "bob", "account": "card-1"}, [("/account", "account_of_another_merchant")]),
            ({"account": []}, [("/account", "wrong_type")]),
            ({"id": "with space"}, [("/id", "invalid")]),
            ({"id": "x" * 129}, [("/id", "invalid")]),
            ({"id": 17}, [("/id", "wrong_type")]),
            ({"occurred_at": 1700000000}, [("/occurred_at", "wrong_type")]),
            ({"occurred_at": "yesterday"}, [("/occurred_at", "invalid_time")]),
            ({"occurred_at": "2026-01-31T12:00:00"}, [("/occurred_at", "invalid_time")]),
            ({"occurred_at": "2026-02-30T12:00:00Z"}, [("/occurred_at", "invalid_time")]),
            ({"occurred_at": "0001-01-01T00:00:00+14:00"}, [("/occurred_at", "invalid_time")]),
            ({"idempotency_key": "k"}, [("/idempotency_key", "unknown_field")]),
            ({"a/b~c": 1, "type": 1}, [("/type", "wrong_type"), ("/a~1b~0c", "unknown_field")]),
        ],
    )
    def test_wrong_fields(
        self, changes: dict[str, Any], errors: list[tuple[str, str]], world: World, provider: Caller
    ) -> None:
        assert errors_of(provider.post(URL, body(**changes))) == errors
        assert not Event.objects.exists()

    @pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null", b"[{}]"])
    def test_no_object(self, raw: bytes, world: World, provider: Caller) -> None:
        assert errors_of(provider.post(URL, raw)) == [("", "wrong_type")]

    @pytest.mark.parametrize(
        ("payload", "code"),
        [
            (b"NaN", "invalid_json"),
            (b"1e999", "number_out_of_range"),
            (b'"\\u0000"', "nul_character"),
            (b'"\\ud800"', "lone_surrogate"),
            (b"[" * 100_000, "too_deep"),
            (b"[" * 100 + b"]" * 100, "too_deep"),
            (b"9" * 5_000, "number_out_of_range"),
            (b'{"a": 1, "a": 2}', "duplicate_key"),
            (b'"\xff"', "invalid_utf8"),
            (b"01", "invalid_json"),
            (b"'a'", "invalid_json"),
            (b"", "invalid_json"),
        ],
    )
    def test_traps_in_the_payload(self, payload: bytes, code: str, world: World, provider: Caller) -> None:
        raw = b'{"type":"invoice.paid","merchant":"alice","payload":' + payload + b"}"
        assert code_of(provider.post(URL, raw)) == (400, code)
        assert not Event.objects.exists()

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"\xef\xbb\xbf{}", "byte_order_mark"),
            (b'{"type":"invoice.paid","merchant":"alice","payload":1,"payload":2}', "duplicate_key"),
            (b'{"type":"invoice.paid","merchant":"alice","payload":1} {}', "invalid_json"),
            (b'{"type":"invoice\\u0000","merchant":"alice","payload":1}', "nul_character"),
        ],
    )
    def test_traps_around_the_payload(self, raw: bytes, code: str, world: World, provider: Caller) -> None:
        assert code_of(provider.post(URL, raw)) == (400, code)
        assert not Event.objects.exists()

    def test_ten_megabytes(self, world: World, provider: Caller) -> None:
        raw = b'{"type":"invoice.paid","merchant":"alice","payload":"' + b"x" * 10_000_000 + b'"}'
        assert code_of(provider.post(URL, raw)) == (413, "payload_too_large")

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json5"])
    def test_content_type(self, content_type: str, world: World, provider: Caller) -> None:
        response = provider.post(URL, SOUND, **{"Content-Type": content_type})
        assert code_of(response) == (415, "unsupported_media_type")

    def test_other_methods(self, world: World, provider: Caller) -> None:
        assert code_of(provider.get(URL)) == (405, "method_not_allowed")

    def test_merchants_do_not_publish(self, alice: Caller, charlie: Caller) -> None:
        for merchant in (alice, charlie):
            assert code_of(merchant.post(URL, SOUND)) == (403, "provider_key_needed")
        assert not Event.objects.exists()

    def test_no_key(self, world: World, client: Any) -> None:
        response = client.post(URL, json.dumps(SOUND), content_type="application/json")
        assert code_of(response) == (401, "unauthenticated")


class TestIdempotency:
    def test_same_key_and_request(self, world: World, provider: Caller, endpoint: Endpoint) -> None:
        first = provider.post(URL, SOUND, Idempotency_Key="k")
        again = provider.post(URL, SOUND, Idempotency_Key="k")
        assert again.status_code == 202
        assert again.json() == first.json() | {"duplicate": True}
        assert Event.objects.count() == 1

    def test_same_key_and_another_request(self, world: World, provider: Caller) -> None:
        provider.post(URL, SOUND, Idempotency_Key="k")
        response = provider.post(URL, body(payload={"a": 2}), Idempotency_Key="k")
        assert code_of(response) == (409, "idempotency_key_reused")
        assert response.json()["detail"].startswith("This idempotency key")
        assert Event.objects.count() == 1

    def test_keys_belong_to_their_callers(self, world: World, provider: Caller, caller_of: Any) -> None:
        ids = {caller.post(URL, SOUND, Idempotency_Key="k").json()["id"] for caller in (provider, caller_of(None))}
        assert len(ids) == 2

    @pytest.mark.parametrize("key", ["", "x" * 129, "é"])
    def test_bad_key(self, key: str, world: World, provider: Caller) -> None:
        response = provider.post(URL, SOUND, Idempotency_Key=key)
        assert errors_of(response) == [("/Idempotency-Key", "invalid_idempotency_key")]
        assert not Event.objects.exists()

    def test_a_refusal_takes_no_key(self, world: World, provider: Caller) -> None:
        assert provider.post(URL, body(type="nope"), Idempotency_Key="k").status_code == 422
        assert not IdempotencyKey.objects.exists()
        assert provider.post(URL, SOUND, Idempotency_Key="k").status_code == 202

    @pytest.mark.django_db(transaction=True)
    def test_twenty_racing_requests_make_one_event(self, world: World, provider: Caller, endpoint: Endpoint) -> None:
        barrier = Barrier(20)

        def call(_: int) -> tuple[int, str, bool, int]:
            try:
                barrier.wait()
                response = provider.post(URL, SOUND, Idempotency_Key="k")
                answer = response.json()
                return response.status_code, answer["id"], answer["duplicate"], answer["deliveries"]
            finally:
                connection.close()

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(call, range(20)))
        assert {(status, deliveries) for status, _, _, deliveries in answers} == {(202, 1)}
        assert len({event_id for _, event_id, _, _ in answers}) == 1
        assert sorted(duplicate for _, _, duplicate, _ in answers) == [False] + [True] * 19
        assert (Event.objects.count(), Delivery.objects.count(), LaneEntry.objects.count()) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_three_statements_in_all(world: World, provider: Caller, make_endpoint: Make) -> None:
    """The key, the event with all that is owed for it, the lanes' mark."""
    for _ in range(3):
        make_endpoint(world.alice)
    with counting_statements() as statements:
        assert provider.post(URL, SOUND).json()["deliveries"] == 3
    assert len(statements) == 3, [statement[:80] for statement in statements]
