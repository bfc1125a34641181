"""What a Paisr client reads of its events, and how it asks for one again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from deliveries.models import Delivery, Event, HourlyCount, Lane, LaneEntry
from deliveries.paisr.representations import STATUS
from deliveries.services import publish
from dispatcher.latencies import CLASSES
from subscriptions.models import AuditEntry, Endpoint
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of

FINAL = {"delivered", "failed", "cancelled"}


@pytest.fixture
def webhook(world: World, make_endpoint: Make) -> Endpoint:
    made: Endpoint = make_endpoint(world.alice, profile="paisr")
    return made


def path(webhook: Endpoint, rest: str = "/events") -> str:
    return f"/paisr/v1/webhooks/{webhook.public_id}{rest}"


def become(status: str, *, attempts: int, now: datetime, **fields: Any) -> None:
    """Every delivery, as attempts would have left it."""
    values: dict[str, Any] = {"next_attempt_at": None, "finished_at": now if status in FINAL else None}
    if status == "pending":
        values["next_attempt_at"] = now + timedelta(minutes=1)
    else:
        LaneEntry.objects.all().delete()
        Lane.objects.update(due_at=None)
    last = now if attempts else None
    Delivery.objects.update(status=status, attempts_made=attempts, last_attempt_at=last, **values | fields)


class TestListed:
    def test_a_row(self, alice: Caller, webhook: Endpoint, now: datetime) -> None:
        event = publish("invoice.paid", b'{"total": 1.10, "id": "inv_123456"}', merchant="alice").id
        answer = alice.get(path(webhook))
        assert answer.status_code == 200
        assert answer.content.count(b'"body":{"id":"inv_123456","event":"invoice.paid"}') == 1
        delivery = Delivery.objects.get()
        assert answer.json() == {
            "data": [
                {
                    "id": event,
                    "body": {"id": "inv_123456", "event": "invoice.paid"},
                    "status": "pending",
                    "type": "invoice.paid",
                    "can_retry": True,
                    "retry_count": 0,
                    "last_retry_at": None,
                    "next_retry_at": None,
                    "created_at": delivery.created_at.isoformat().replace("+00:00", "Z"),
                }
            ],
            "next_cursor": None,
        }
        assert "Link" not in answer.headers

    @pytest.mark.parametrize(
        ("payload", "body"),
        [
            (b'{"a": 1}', {"id": "own-1", "event": "invoice.paid"}),
            (b'{"id": 12345678901234567890123}', {"id": 12345678901234567890123, "event": "invoice.paid"}),
            (b'{"id": null}', {"id": None, "event": "invoice.paid"}),
            (b"[1]", {"id": "own-1", "event": "invoice.paid"}),
            (b'"x"', {"id": "own-1", "event": "invoice.paid"}),
        ],
    )
    def test_the_body_is_as_it_is_sent(
        self, alice: Caller, webhook: Endpoint, payload: bytes, body: dict[str, Any]
    ) -> None:
        publish("invoice.paid", payload, merchant="alice", id="own-1")
        (row,) = json.loads(alice.get(path(webhook)).content)["data"]
        assert (row["id"], row["body"]) == ("own-1", body)

    @pytest.mark.parametrize(
        ("status", "attempts", "retries", "is_last", "is_next"),
        [
            ("pending", 0, 0, False, False),
            ("pending", 1, 0, False, True),
            ("pending", 4, 3, True, True),
            ("delivered", 1, 0, False, False),
            ("delivered", 3, 2, True, False),
            ("failed", 11, 10, True, False),
            ("held", 0, 0, False, False),
            ("cancelled", 2, 1, True, False),
        ],
    )
    def test_the_first_attempt_is_no_retry(
        self,
        alice: Caller,
        webhook: Endpoint,
        now: datetime,
        status: str,
        attempts: int,
        retries: int,
        is_last: bool,
        is_next: bool,
    ) -> None:
        publish("invoice.paid", b"{}", merchant="alice")
        become(status, attempts=attempts, now=now)
        (row,) = alice.get(path(webhook)).json()["data"]
        assert (row["status"], row["retry_count"]) == (STATUS[status], retries)
        assert row["last_retry_at"] == ("2026-03-01T12:00:00Z" if is_last else None)
        assert row["next_retry_at"] == ("2026-03-01T12:01:00Z" if is_next else None)

    def test_every_status_has_a_word(self) -> None:
        assert STATUS == {
            "pending": "pending",
            "delivered": "succeeded",
            "failed": "failed",
            "held": "held",
            "cancelled": "cancelled",
        }
        assert set(STATUS) == set(Delivery.Status.values)

    def test_newest_first_in_pages(self, alice: Caller, webhook: Endpoint, world: World, make_endpoint: Make) -> None:
        make_endpoint(world.alice, profile="paisr-v2")
        made = [publish("invoice.paid", b"{}", merchant="alice").id for _ in range(5)]
        asked, seen = f"{path(webhook)}?limit=2", []
        while asked:
            answer = alice.get(asked)
            shown = answer.json()
            seen += [row["id"] for row in shown["data"]]
            link = answer.headers.get("Link")
            asked = link[1:].partition(">")[0] if link else ""
            assert parse_qs(urlsplit(asked).query) == (
                {"limit": ["2"], "cursor": [shown["next_cursor"]]} if shown["next_cursor"] else {}
            )
        assert seen == made[::-1]

    def test_bad_pages(self, alice: Caller, webhook: Endpoint, world: World, make_endpoint: Make) -> None:
        other = make_endpoint(world.alice, profile="paisr")
        for _ in range(2):
            publish("invoice.paid", b"{}", merchant="alice")
        cursor = alice.get(f"{path(other)}?limit=1").json()["next_cursor"]
        for query, told in (
            (f"cursor={cursor}", ("/cursor", "invalid_cursor")),
            ("cursor=x", ("/cursor", "invalid_cursor")),
            ("limit=0", ("/limit", "invalid_limit")),
            ("limit=x", ("/limit", "invalid_limit")),
        ):
            assert errors_of(alice.get(f"{path(webhook)}?{query}")) == [told]
        assert code_of(alice.get(f"{path(webhook)}?cursor=%00")) == (400, "nul_character")


class TestRetried:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("status", ["pending", "delivered", "failed", "held", "cancelled"])
    def test_by_hand(self, alice: Caller, webhook: Endpoint, now: datetime, status: str) -> None:
        event = publish("invoice.paid", b'{"id":"i"}', merchant="alice").id
        become(status, attempts=3, now=now)
        (row,) = alice.get(path(webhook)).json()["data"]
        assert row["can_retry"] is True
        answer = alice.post(path(webhook, f"/events/{event}/retry"))
        assert answer.status_code == 202
        shown = answer.json()
        assert set(shown) == set(row)
        assert (shown["id"], shown["status"], shown["retry_count"]) == (event, "pending", 2)
        assert shown["body"] == {"id": "i", "event": "invoice.paid"}
        assert LaneEntry.objects.get().trigger in {"replay", "event"}
        assert AuditEntry.objects.filter(action="event.resent").count() == 1

    def test_only_to_this_webhook(
        self, alice: Caller, webhook: Endpoint, world: World, make_endpoint: Make, now: datetime
    ) -> None:
        make_endpoint(world.alice, profile="paisr")
        event = publish("invoice.paid", b"{}", merchant="alice").id
        become("failed", attempts=11, now=now)
        assert alice.post(path(webhook, f"/events/{event}/retry")).status_code == 202
        assert Delivery.objects.get(status="pending").endpoint_id == webhook.id
        assert Delivery.objects.filter(status="failed").count() == 1

    def test_not_to_one_that_is_off(self, alice: Caller, webhook: Endpoint, now: datetime) -> None:
        event = publish("invoice.paid", b"{}", merchant="alice").id
        become("failed", attempts=11, now=now)
        Endpoint.objects.update(is_active=False, disabled_reason="paused")
        (row,) = alice.get(path(webhook)).json()["data"]
        assert row["can_retry"] is False
        assert code_of(alice.post(path(webhook, f"/events/{event}/retry"))) == (409, "endpoint_closed")
        assert Delivery.objects.get().status == "failed"

    def test_the_same_key_retries_once(self, alice: Caller, webhook: Endpoint, now: datetime) -> None:
        event = publish("invoice.paid", b"{}", merchant="alice", id="a/b-c").id
        assert event == "a/b-c"
        become("failed", attempts=11, now=now)
        first = alice.post(path(webhook, "/events/a/b-c/retry"), Idempotency_Key="k")
        become("delivered", attempts=12, now=now)
        second = alice.post(path(webhook, "/events/a/b-c/retry"), Idempotency_Key="k")
        assert (first.status_code, second.status_code) == (202, 202)
        assert second.headers["Idempotent-Replayed"] == "true"
        assert (first.json()["status"], second.json()["status"]) == ("pending", "succeeded")
        assert Delivery.objects.get().status == "delivered"

    @pytest.mark.parametrize("event", ["x", "evt_00000000000000000000000000", "%00", "a/b"])
    def test_what_never_was(self, alice: Caller, webhook: Endpoint, event: str) -> None:
        assert code_of(alice.post(path(webhook, f"/events/{event}/retry"))) == (404, "not_found")

    @pytest.mark.parametrize(("body", "told"), [({"x": 1}, [("/x", "unknown_field")]), ([], [("", "wrong_type")])])
    def test_bodies_that_say_something(
        self, alice: Caller, webhook: Endpoint, now: datetime, body: Any, told: list[tuple[str, str]]
    ) -> None:
        event = publish("invoice.paid", b"{}", merchant="alice").id
        become("failed", attempts=11, now=now)
        assert errors_of(alice.post(path(webhook, f"/events/{event}/retry"), body)) == told
        assert Delivery.objects.get().status == "failed"

    def test_an_event_of_somebody_elses(
        self, alice: Caller, charlie: Caller, webhook: Endpoint, world: World, make_endpoint: Make, now: datetime
    ) -> None:
        own = make_endpoint(world.charlie, profile="paisr")
        event = publish("invoice.paid", b"{}", merchant="alice").id
        become("failed", attempts=11, now=now)
        before = list(Delivery.objects.values())
        for target in (webhook, own):
            assert code_of(charlie.post(path(target, f"/events/{event}/retry"))) == (404, "not_found")
        assert charlie.get(path(own)).json()["data"] == []
        assert list(Delivery.objects.values()) == before
        assert Event.objects.count() == 1


class TestStats:
    def test_totals_and_ratios(self, alice: Caller, webhook: Endpoint, world: World, make_endpoint: Make) -> None:
        other = make_endpoint(world.alice, profile="paisr")
        hour = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        for endpoint, delivered, failed in ((webhook, 7, 1), (other, 100, 100)):
            HourlyCount.objects.create(
                hour=hour,
                endpoint_id=endpoint.id,
                owner_id=world.alice.id,
                event_type="invoice.paid",
                attempts=20,
                delivered=delivered,
                failed=failed,
                latencies=[delivered] + [0] * (CLASSES - 1),
            )
        shown = alice.get(path(webhook, "/stats")).json()
        assert set(shown) == {"since", "until", "delivered", "failed", "success_ratio", "failure_ratio", "pending"}
        assert {name: shown[name] for name in ("delivered", "failed", "success_ratio", "failure_ratio", "pending")} == {
            "delivered": 7,
            "failed": 1,
            "success_ratio": 0.875,
            "failure_ratio": 0.125,
            "pending": 0,
        }
        day = timedelta(days=1)
        past = {"since": (hour - 3 * day).isoformat(), "until": (hour - 2 * day).isoformat()}
        empty = alice.get(path(webhook, "/stats"), past).json()
        assert (empty["delivered"], empty["success_ratio"], empty["failure_ratio"]) == (0, None, None)

    def test_wrong_windows(self, alice: Caller, webhook: Endpoint) -> None:
        assert errors_of(alice.get(path(webhook, "/stats"), {"since": "x", "until": "y"})) == [
            ("/since", "invalid_time"),
            ("/until", "invalid_time"),
        ]
