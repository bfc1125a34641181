"""GET /webhooks/events: exact rows, exact windows, pages that neither skip nor repeat, nobody else's deliveries."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deliveries.models import Delivery
from deliveries.services import NewEvent, publish, publish_batch
from dispatcher.ids import Prefix, show
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of

URL = "/api/v2/webhooks/events"


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["delivery_id"] for row in response.json()]


def deliver_to(endpoint: Endpoint, *, count: int = 1, **fields: Any) -> list[str]:
    """So many deliveries of fresh events; their ids, newest first."""
    publish_batch(
        [NewEvent("invoice.paid", b"{}", str(endpoint.owner.reference))] * count, scope="t", now=fields.pop("now")
    )
    found = list(Delivery.objects.filter(endpoint_id=endpoint.id).order_by("-id")[:count])
    if fields:
        Delivery.objects.filter(id__in=[row.id for row in found]).update(**fields)
    return [row.public_id for row in found]


class TestRow:
    def test_a_pending_delivery(self, alice: Caller, endpoint: Endpoint, event_id: str) -> None:
        delivery = Delivery.objects.get()
        response = alice.get(URL)
        assert response.headers["Content-Type"] == "application/json"
        assert "Link" not in response.headers
        (row,) = response.json()
        moment = delivery.created_at.isoformat().replace("+00:00", "Z")
        assert row == {
            "id": event_id,
            "delivery_id": delivery.public_id,
            "endpoint_id": endpoint.public_id,
            "event_type": "invoice.paid",
            "account": "card-1",
            "delivery_status": "pending",
            "delivery_attempts": 0,
            "delivery_response_code": None,
            "delivery_error": None,
            "next_attempt_at": moment,
            "payload": {"b": 1.10, "a": [100.0]},
            "created_at": moment,
            "expunged_at": None,
        }
        assert list(row)[:3] == ["id", "delivery_id", "endpoint_id"]

    def test_the_payload_stands_there_byte_for_byte(self, alice: Caller, event_id: str) -> None:
        assert b'"payload":{"b": 1.10,  "a": [1e2]},' in alice.get(URL).content

    def test_a_failed_delivery_tells_why(self, alice: Caller, event_id: str, now: datetime) -> None:
        Delivery.objects.update(
            status="failed",
            attempts_made=10,
            last_reason="http_server_error",
            last_status=503,
            next_attempt_at=None,
            finished_at=now,
        )
        (row,) = alice.get(URL).json()
        assert (row["delivery_status"], row["delivery_attempts"]) == ("failed", 10)
        assert (row["delivery_response_code"], row["delivery_error"]) == (503, "http_server_error")
        assert row["next_attempt_at"] is None

    def test_a_delivered_one_has_no_error(self, alice: Caller, event_id: str, now: datetime) -> None:
        Delivery.objects.update(
            status="delivered",
            attempts_made=1,
            last_reason="delivered",
            last_status=200,
            next_attempt_at=None,
            finished_at=now,
        )
        (row,) = alice.get(URL).json()
        assert (row["delivery_status"], row["delivery_response_code"], row["delivery_error"]) == (
            "delivered",
            200,
            None,
        )

    def test_the_providers_own_event_id(self, alice: Caller, endpoint: Endpoint) -> None:
        publish("invoice.paid", {}, merchant="alice", id="stmt-17")
        assert [row["id"] for row in alice.get(URL).json()] == ["stmt-17"]

    def test_the_log_of_a_deleted_endpoint_stays(
        self, alice: Caller, endpoint: Endpoint, event_id: str, now: datetime
    ) -> None:
        Endpoint.objects.update(is_active=False, deleted_at=now)
        assert len(ids(alice.get(URL))) == 1
        assert len(ids(alice.get(URL, {"endpoint": endpoint.public_id}))) == 1

    def test_empty(self, charlie: Caller, event_id: str) -> None:
        assert charlie.get(URL).content == b"[]"


class TestFilters:
    @pytest.mark.parametrize("status", ["pending", "delivered", "failed", "held", "cancelled"])
    def test_status(self, status: str, alice: Caller, endpoint: Endpoint, now: datetime) -> None:
        is_final = status in {"delivered", "failed", "cancelled"}
        made = deliver_to(
            endpoint,
            now=now,
            status=status,
            attempts_made=1,
            next_attempt_at=now if status == "pending" else None,
            finished_at=now if is_final else None,
        )
        other: dict[str, Any] = {"status": "held", "next_attempt_at": None} if status != "held" else {}
        deliver_to(endpoint, now=now, **other)
        assert ids(alice.get(URL, {"status": status})) == made

    def test_type_account_and_endpoint(
        self, alice: Caller, world: World, make_endpoint: Make, endpoint: Endpoint
    ) -> None:
        other = make_endpoint(world.alice)
        publish("invoice.paid", {}, merchant="alice", account="card-1")
        publish("invoice.sent", {}, merchant="alice")
        by_type = alice.get(URL, {"event_type": "invoice.sent"}).json()
        assert {(row["event_type"], row["endpoint_id"]) for row in by_type} == {
            ("invoice.sent", endpoint.public_id),
            ("invoice.sent", other.public_id),
        }
        by_account = alice.get(URL, {"account": "card-1"}).json()
        assert [row["account"] for row in by_account] == ["card-1"] * 2
        by_both = alice.get(URL, {"endpoint": other.public_id, "event_type": "invoice.paid"}).json()
        assert [(row["event_type"], row["endpoint_id"]) for row in by_both] == [("invoice.paid", other.public_id)]
        assert alice.get(URL, {"event_type": "invoice.none"}).json() == []

    def test_window_is_exact_to_the_microsecond(self, alice: Caller, endpoint: Endpoint) -> None:
        """By `created_at`, although the index is walked by the ids' time, which is a little later."""
        (made,) = deliver_to(endpoint, now=datetime.now().astimezone())
        at = Delivery.objects.get().created_at
        tick = timedelta(microseconds=1)
        assert ids(alice.get(URL, {"since": at.isoformat()})) == [made]
        assert ids(alice.get(URL, {"since": (at + tick).isoformat()})) == []
        assert ids(alice.get(URL, {"until": at.isoformat()})) == []
        assert ids(alice.get(URL, {"until": (at + tick).isoformat()})) == [made]
        assert ids(alice.get(URL, {"since": at.isoformat(), "until": (at + tick).isoformat()})) == [made]

    def test_window_takes_any_offset_also_with_a_bare_plus(self, alice: Caller, endpoint: Endpoint) -> None:
        deliver_to(endpoint, now=datetime.now().astimezone())
        assert len(ids(alice.get(f"{URL}?since=2020-01-01T00:00:00+02:00"))) == 1
        assert ids(alice.get(f"{URL}?until=2020-01-01T00:00:00%2B02:00")) == []
        assert len(ids(alice.get(f"{URL}?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z"))) == 1

    @pytest.mark.parametrize(
        ("query", "errors"),
        [
            ({"status": "sent"}, [("/status", "unknown_choice")]),
            ({"status": ""}, [("/status", "unknown_choice")]),
            ({"event_type": "a b"}, [("/event_type", "invalid_event_type")]),
            ({"event_type": "x" * 129}, [("/event_type", "wrong_length")]),
            ({"endpoint": "ep_1"}, [("/endpoint", "invalid_id")]),
            ({"endpoint": "x" * 100}, [("/endpoint", "wrong_length")]),
            ({"account": "x" * 256}, [("/account", "wrong_length")]),
            ({"since": "today"}, [("/since", "invalid_time")]),
            ({"since": "2026-01-01T00:00:00"}, [("/since", "invalid_time")]),
            ({"until": "2026-13-01T00:00:00Z"}, [("/until", "invalid_time")]),
            ({"limit": "0"}, [("/limit", "invalid_limit")]),
            ({"limit": "201"}, [("/limit", "invalid_limit")]),
            ({"limit": "ten"}, [("/limit", "invalid_limit")]),
            ({"offset": "-1"}, [("/offset", "invalid_offset")]),
            ({"offset": "10001"}, [("/offset", "invalid_offset")]),
            ({"offset": "1" * 5000}, [("/offset", "invalid_offset")]),
            ({"cursor": "x"}, [("/cursor", "invalid_cursor")]),
            ({"status": "sent", "since": "x"}, [("/status", "unknown_choice"), ("/since", "invalid_time")]),
        ],
    )
    def test_bad_values(self, query: dict[str, str], errors: list[tuple[str, str]], alice: Caller) -> None:
        assert errors_of(alice.get(URL, query)) == errors

    def test_an_unknown_endpoint_and_anothers(self, alice: Caller, world: World, make_endpoint: Make) -> None:
        bobs = make_endpoint(world.bob)
        for named in (bobs.public_id, show(Prefix.ENDPOINT, UUID(int=7))):
            assert code_of(alice.get(URL, {"endpoint": named})) == (404, "not_found")


class TestPages:
    def walk(self, caller: Caller, path: str) -> list[list[str]]:
        pages = []
        while path:
            response = caller.get(path)
            pages.append(ids(response))
            link = re.fullmatch(r'<http://testserver(/[^>]+)>; rel="next"', response.headers.get("Link", ""))
            path = link[1] if link else ""
        return pages

    @pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])])
    def test_links_lead_through_everything(
        self, count: int, sizes: list[int], alice: Caller, endpoint: Endpoint, now: datetime
    ) -> None:
        made = deliver_to(endpoint, now=now, count=count) if count else []
        pages = self.walk(alice, f"{URL}?limit=3&event_type=invoice.paid&status=pending")
        assert [len(page) for page in pages] == sizes
        assert [one for page in pages for one in page] == made

    def test_what_is_published_meanwhile_moves_no_page(self, alice: Caller, endpoint: Endpoint, now: datetime) -> None:
        made = deliver_to(endpoint, now=now, count=4)
        link = urlsplit(re.findall(r"<(.+)>", alice.get(URL, {"limit": 2}).headers["Link"])[0])
        deliver_to(endpoint, now=now, count=3)
        assert ids(alice.get(f"{link.path}?{link.query}")) == made[2:]

    def test_fifty_by_default_and_offset(self, alice: Caller, endpoint: Endpoint, now: datetime) -> None:
        made = deliver_to(endpoint, now=now, count=60)
        assert ids(alice.get(URL)) == made[:50]
        response = alice.get(URL, {"offset": 5, "limit": 10})
        assert ids(response) == made[5:15]
        link = urlsplit(re.findall(r"<(.+)>", response.headers["Link"])[0])
        assert "offset" not in link.query
        assert ids(alice.get(f"{link.path}?{link.query}")) == made[15:25]
        assert ids(alice.get(URL, {"offset": 10_000})) == []

    def test_a_cursor_serves_its_own_list_only(
        self, alice: Caller, caller_of: Callable[[Merchant], Caller], world: World, endpoint: Endpoint, now: datetime
    ) -> None:
        deliver_to(endpoint, now=now, count=2)
        link = urlsplit(re.findall(r"<(.+)>", alice.get(URL, {"limit": 1}).headers["Link"])[0])
        assert errors_of(caller_of(world.bob).get(f"{link.path}?{link.query}")) == [("/cursor", "invalid_cursor")]
        assert errors_of(alice.get(f"{link.path}?{link.query}&status=failed")) == [("/cursor", "invalid_cursor")]


class TestCost:
    @pytest.mark.parametrize(
        ("query", "count"), [({}, 3), ({"limit": "200"}, 4), ({"status": "held", "since": "2020-01-01T00:00:00Z"}, 3)]
    )
    def test_three_statements_without_attempts_or_counts(
        self, query: dict[str, str], count: int, alice: Caller, endpoint: Endpoint, now: datetime
    ) -> None:
        """One more where the newest days do not fill the page; one less where nothing is found."""
        deliver_to(endpoint, now=now, count=60)
        with CaptureQueriesContext(connection) as queries:
            alice.get(URL, query)
        statements = [entry["sql"] for entry in queries.captured_queries]
        assert len(statements) == count
        assert not any("deliveries_attempt" in sql or "COUNT(" in sql.upper() for sql in statements)


class TestTenancy:
    def test_each_sees_what_is_owed_to_its_own_endpoints(
        self, world: World, make_endpoint: Make, caller_of: Callable[[Merchant], Caller]
    ) -> None:
        owners = [world.alice, world.bob, world.charlie, world.portfolio]
        endpoints = {owner: make_endpoint(owner) for owner in owners}
        publish("invoice.paid", {}, merchant="alice")
        publish("invoice.paid", {}, merchant="bob")
        seen = {owner: [row["endpoint_id"] for row in caller_of(owner).get(URL).json()] for owner in owners}
        assert seen == {
            world.alice: [endpoints[world.alice].public_id],
            world.bob: [endpoints[world.bob].public_id],
            world.charlie: [],
            # Alice's event, which those above her hear.
            world.portfolio: [endpoints[world.portfolio].public_id],
        }

    def test_the_provider_names_the_merchant(
        self, provider: Caller, world: World, endpoint: Endpoint, now: datetime
    ) -> None:
        made = deliver_to(endpoint, now=now, count=3)
        assert ids(provider.get(URL, {"merchant": "alice"})) == made
        assert ids(provider.get(URL, {"merchant": "charlie"})) == []
        assert errors_of(provider.get(URL)) == [("/merchant", "required")]
        response = provider.get(URL, {"merchant": "alice", "limit": 2})
        link = urlsplit(re.findall(r"<(.+)>", response.headers["Link"])[0])
        assert ids(provider.get(f"{link.path}?{link.query}")) == made[2:]
