"""The admin of the ledger: nobody changes it, nothing in it does anything, and no list counts or skips through it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries.admin.deliveries import DeliveryAdmin
from deliveries.models import Attempt, Delivery, Event, IdempotencyKey, Lane, LaneEntry
from deliveries.services import NewEvent, publish_batch
from dispatcher.ids import Prefix, first_id, new_id, show
from subscriptions.admin.logs import Found
from subscriptions.models import AuditEntry, Endpoint, Merchant

Make = Callable[..., Any]
LEDGER = (Event, Delivery, Attempt, IdempotencyKey, Lane, LaneEntry)
LOGS = (Event, Delivery, Attempt, IdempotencyKey, LaneEntry)
PAYLOAD = b'{"note":"<script>alert(1)</script>","amount":12.50,"big":12345678901234567890.10,"more":1e2}'
BODY_COLUMNS = ("payload", "request_body", "request_headers", "response_body", "response_headers", "request_hash")


def page(row: Any, view: str = "change") -> str:
    return reverse(f"admin:deliveries_{row._meta.model_name}_{view}", args=[row.pk])


def listing(model: Any, view: str = "changelist") -> str:
    return reverse(f"admin:deliveries_{model._meta.model_name}_{view}")


def shown(client: Client, model: Any, **asked: str) -> list[Any]:
    answer = client.get(listing(model), asked)
    assert answer.status_code == 200, answer
    rows: list[Any] = answer.context["cl"].result_list
    return rows


def try_it(delivery: Delivery, number: int = 1, *, reason: str = "http_server_error", **values: Any) -> Attempt:
    given_ = {"response_status": 503, "response_headers": "Server: x\r\n", "response_body": b"busy"} | values
    return Attempt.objects.create(
        delivery_id=delivery.id,
        number=number,
        trigger="event",
        is_counted=True,
        reason=reason,
        url="https://receiver.example/in",
        request_headers="X-Webhook-Attempt: 1\r\nAuthorization: ••••\r\n",
        total_ms=124.84,
        dns_ms=1.2,
        wait_ms=88.0,
        started_at=datetime.now(UTC),
        **given_,
    )


@pytest.fixture
def alice(make_merchant: Make) -> Merchant:
    made: Merchant = make_merchant("alice")
    return made


@pytest.fixture
def endpoint(alice: Merchant, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(alice)
    return made


@pytest.fixture
def send(endpoint: Endpoint) -> Callable[..., list[Delivery]]:
    """Publishes to Alice; the deliveries, oldest first."""

    def publish(count: int = 1, **values: Any) -> list[Delivery]:
        now = datetime.now(UTC)
        events = [NewEvent("invoice.paid", PAYLOAD, "alice", **values) for _ in range(count)]
        publish_batch(events, scope="test", now=now)
        return list(Delivery.objects.order_by("id"))

    return publish


@pytest.fixture
def world(send: Callable[..., list[Delivery]]) -> list[Any]:
    """One row of each model."""
    (delivery,) = send(idempotency_key="k1", id="inv-1")
    attempt = try_it(delivery)
    rows = [Event.objects.get(), delivery, attempt, IdempotencyKey.objects.get(scope="test")]
    return [*rows, Lane.objects.get(), LaneEntry.objects.get()]


class TestReadOnly:
    def test_superusers_look_and_change_nothing(self, admin_client: Client, world: list[Any]) -> None:
        for row in world:
            assert admin_client.get(listing(row)).status_code == 200
            assert admin_client.get(page(row)).status_code == 200
            assert admin_client.get(listing(row, "add")).status_code == 403
            assert admin_client.post(listing(row, "add"), {}).status_code == 403
            assert admin_client.post(page(row), {"status": "delivered", "_save": "1"}).status_code == 403
            assert admin_client.get(page(row, "delete")).status_code == 403
            assert admin_client.post(page(row, "delete"), {"post": "yes"}).status_code == 403
            gone = {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"}
            admin_client.post(listing(row), gone)
            assert type(row).objects.filter(pk=row.pk).values().get() == _values(row)

    def test_even_with_every_permission_only_those_who_may_view_look(self, world: list[Any]) -> None:
        clerk = User.objects.create_user("clerk", is_staff=True)
        client = Client()
        client.force_login(clerk)
        for row in world:
            assert client.get(listing(row)).status_code == 403
            assert client.get(page(row)).status_code == 403
        clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="deliveries"))
        for row in world:
            assert client.get(page(row)).status_code == 200
            assert client.post(page(row), {}).status_code == 403
            assert client.post(page(row, "delete"), {"post": "yes"}).status_code == 403

    def test_the_password_of_nobody_opens_it(self, client: Client, world: list[Any]) -> None:
        assert client.get(page(world[0])).status_code == 302


class TestPages:
    def test_a_payload_is_laid_out_as_published_and_does_nothing(self, admin_client: Client, world: list[Any]) -> None:
        text = admin_client.get(page(world[0])).content.decode()
        assert "<script>alert" not in text
        assert "&quot;note&quot;: &quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;,\n" in text
        assert "&quot;big&quot;: 12345678901234567890.10,\n" in text
        assert _escaped(PAYLOAD.decode()) in text
        assert "inv-1" in text
        assert page(world[1]) in text

    def test_a_delivery_tells_its_attempts_in_order_and_in_plain_words(
        self, admin_client: Client, send: Callable[..., list[Delivery]], endpoint: Endpoint
    ) -> None:
        (delivery,) = send()
        attempts = [try_it(delivery, 1), try_it(delivery, 2, reason="tls_cert_expired", response_status=None)]
        text = admin_client.get(page(delivery)).content.decode()
        assert [text.index(page(attempt)) for attempt in attempts] == sorted(text.index(page(a)) for a in attempts)
        for word in ("The receiver failed", "The certificate has expired", "124.8 ms", "DNS 1.2 · wait 88.0", "503"):
            assert word in text
        assert '<span class="signet-dot signet-amber">Pending</span>' in text
        assert f"/admin/subscriptions/endpoint/{endpoint.pk}/change/" in text
        assert f"/admin/subscriptions/merchant/{endpoint.owner_id}/change/" in text
        assert f"/admin/deliveries/event/{delivery.event_id}/change/" in text

    def test_an_attempt_shows_what_was_sent_and_what_came_back(self, admin_client: Client, world: list[Any]) -> None:
        attempt = world[2]
        Attempt.objects.update(response_body=b"<script>alert(2)</script>", is_response_truncated=True)
        text = admin_client.get(page(attempt)).content.decode()
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
        assert "Authorization: ••••" in text
        assert _escaped(PAYLOAD.decode()) in text
        assert "The rest was not kept." in text
        assert "Server: x" in text

    def test_a_binary_answer_is_a_hex_dump_and_a_lost_event_is_told(
        self, admin_client: Client, world: list[Any]
    ) -> None:
        Attempt.objects.update(response_body=b"\x00\x01PNG")
        Event.objects.all().delete()
        text = admin_client.get(page(world[2])).content.decode()
        assert re.search(r"0000  00 01 50 4e 47 +\.\.PNG", text)
        assert "no longer kept" in text
        Delivery.objects.all().delete()
        assert admin_client.get(page(world[2])).status_code == 200

    def test_nothing_on_a_page_is_script_or_style_of_its_own(self, admin_client: Client, world: list[Any]) -> None:
        for address in [*map(page, world), *map(listing, world)]:
            text = admin_client.get(address).content.decode()
            assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
            assert "<style" not in text
            assert re.findall(r"\s(style|on\w+)=\"", text) == []
            assert "subscriptions/admin.css" in text

    @pytest.mark.parametrize(
        ("model", "queries"), [(Event, 4), (Delivery, 4), (Attempt, 6), (Lane, 3), (LaneEntry, 3), (IdempotencyKey, 3)]
    )
    def test_a_page_takes_a_fixed_number_of_queries(
        self, model: Any, queries: int, admin_client: Client, world: list[Any], send: Callable[..., list[Delivery]]
    ) -> None:
        send(3)
        for number in range(2, 9):
            try_it(world[1], number)
        row = next(row for row in world if isinstance(row, model))
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(page(row)).status_code == 200
        assert len(captured) == queries, [query["sql"] for query in captured]


class TestLists:
    @pytest.mark.parametrize("model", LOGS)
    def test_a_log_is_one_bounded_query_however_long_it_is(
        self, model: Any, admin_client: Client, world: list[Any], send: Callable[..., list[Delivery]]
    ) -> None:
        for delivery in send(80):
            try_it(delivery, 2)
        for asked in ({}, {"after": str(UUID(int=0))}, {"before": str(new_id())}):
            with CaptureQueriesContext(connection) as captured:
                rows = shown(admin_client, model, **asked)
            assert len(rows) == (50 if model is not IdempotencyKey else 2)
            statements = [query["sql"] for query in captured]
            # Session, user, savepoint, time limit, the list, release.
            assert len(statements) == 6, statements
            text = " ".join(statements).upper()
            assert "COUNT(" not in text
            assert "OFFSET" not in text
            assert "LIMIT 51" in text
            assert not [column for column in BODY_COLUMNS if f'"{column}"' in text.lower()]

    def test_pages_by_key_show_every_row_once_and_lead_back(
        self, admin_client: Client, send: Callable[..., list[Delivery]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(DeliveryAdmin, "list_per_page", 3)
        wanted = [delivery.id for delivery in reversed(send(8))]
        seen, address, pages = [], "", []
        while True:
            changes = admin_client.get(listing(Delivery) + address).context["cl"]
            pages.append([row.id for row in changes.result_list])
            seen += pages[-1]
            if not changes.older_url:
                break
            address = changes.older_url
        assert seen == wanted
        back = admin_client.get(listing(Delivery) + changes.newer_url).context["cl"]
        assert [row.id for row in back.result_list] == pages[1]
        first = admin_client.get(listing(Delivery) + back.newer_url).context["cl"]
        assert ([row.id for row in first.result_list], first.newer_url) == (pages[0], "")

    def test_what_no_index_answers_is_bounded_in_time(
        self, admin_client: Client, send: Callable[..., list[Delivery]]
    ) -> None:
        fresh, old = send(2)
        days_ago = first_id(datetime.now(UTC) - timedelta(days=3))
        Delivery.objects.filter(id=old.id).update(id=days_ago)
        assert {row.id for row in shown(admin_client, Delivery)} == {fresh.id, days_ago}
        assert [row.id for row in shown(admin_client, Delivery, status__exact="pending")] == [fresh.id]
        for within in ("7d", "all"):
            assert len(shown(admin_client, Delivery, status__exact="pending", within=within)) == 2
        assert shown(admin_client, Delivery, within="1h") == [fresh]

    def test_a_list_that_takes_too_long_is_given_up(
        self, admin_client: Client, world: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = Found(Q(pk__in=RawSQL("SELECT pg_sleep(3)::text::uuid", [])))
        monkeypatch.setattr(DeliveryAdmin, "find", lambda self, term: slow)
        monkeypatch.setattr("subscriptions.admin.logs.LIST_TIMEOUT_S", 0.05)
        answer = admin_client.get(listing(Delivery), {"q": "x"})
        assert answer.context["cl"].result_list == []
        assert "took longer" in answer.content.decode()

    def test_found_by_every_id_and_by_the_providers_words(self, admin_client: Client, world: list[Any]) -> None:
        event, delivery, attempt, _, _, entry = world
        owner = Merchant.objects.get()
        event_id = show(Prefix.EVENT, event.id)
        endpoint_id = Endpoint.objects.get().public_id
        ids = [delivery.public_id, attempt.public_id]
        for term in [*ids, event_id, owner.public_id, "alice", "inv-1"]:
            assert shown(admin_client, Event, q=term) == [event], term
        for term in [*ids, event_id, owner.public_id, endpoint_id, "alice", "inv-1"]:
            assert shown(admin_client, Delivery, q=term) == [delivery], term
        for term in [*ids, event_id, "inv-1", "http_server_error"]:
            assert shown(admin_client, Attempt, q=term) == [attempt], term
        assert shown(admin_client, LaneEntry, q=endpoint_id) == shown(admin_client, LaneEntry, q=ids[0]) == [entry]
        assert len(shown(admin_client, IdempotencyKey, q="test k1")) == 1
        assert len(shown(admin_client, IdempotencyKey, q="inv-1")) == 1
        assert list(shown(admin_client, Lane, q=endpoint_id)) == list(shown(admin_client, Lane, q="receiver.ex"))
        for model in LEDGER:
            for term in ("nobody", "mer_" + "0" * 26):
                assert list(shown(admin_client, model, q=term)) == []

    def test_narrowed_to_one_object_by_its_public_id(self, admin_client: Client, world: list[Any]) -> None:
        delivery = world[1]
        endpoint, merchant = Endpoint.objects.get(), Merchant.objects.get()
        assert shown(admin_client, Delivery, endpoint=endpoint.public_id, merchant=merchant.public_id) == [delivery]
        assert shown(admin_client, Attempt, delivery=delivery.public_id) == [world[2]]
        assert shown(admin_client, LaneEntry, endpoint=endpoint.public_id) == [world[5]]
        other = merchant.public_id[:-2] + "00"
        assert shown(admin_client, Delivery, merchant=other) == []
        for asked in ({"merchant": "alice"}, {"before": "x"}):
            assert admin_client.get(listing(Delivery), asked).headers["Location"].endswith("?e=1")
        for asked in ({"payload__contains": "a"}, {"last_reason": "delivered"}):
            assert admin_client.get(listing(Delivery), asked).status_code == 400

    @pytest.mark.parametrize(
        ("reason", "group"), [("delivered", "delivered"), ("tls_timeout", "timeout"), ("interrupted", "ours")]
    )
    def test_reasons_are_filtered_by_kind(
        self, reason: str, group: str, admin_client: Client, send: Callable[..., list[Delivery]]
    ) -> None:
        (delivery,) = send()
        try_it(delivery, 1, reason="http_client_error")
        wanted = try_it(delivery, 2, reason=reason)
        assert shown(admin_client, Attempt, reason=group) == [wanted]

    def test_lanes_are_told_by_their_state(self, admin_client: Client, world: list[Any]) -> None:
        lane = world[4]
        now = datetime.now(UTC)
        lane_with = Lane.objects.filter(pk=lane.pk).update
        for state, values in (
            ("due", {"due_at": now - timedelta(seconds=1)}),
            ("waiting", {"due_at": now + timedelta(hours=1)}),
            ("empty", {"due_at": None}),
            ("suspect", {"is_suspect": True}),
            ("leased", {"lease_token": new_id(), "leased_until": now + timedelta(hours=1), "in_flight": [world[1].id]}),
        ):
            lane_with(**values)
            assert list(shown(admin_client, Lane, state=state)) == [lane], state
        assert page(world[1]) in admin_client.get(page(lane)).content.decode()


class TestResend:
    def test_what_was_ticked_is_due_again_and_noted(
        self, admin_client: Client, send: Callable[..., list[Delivery]]
    ) -> None:
        first, second = send(2)
        now = datetime.now(UTC)
        ended = {"status": "failed", "next_attempt_at": None, "finished_at": now, "attempts_made": 1}
        Delivery.objects.update(**ended)
        LaneEntry.objects.all().delete()
        pressed = {"action": "resend", "_selected_action": str(first.pk), "select_across": "1", "from_page": "1"}
        assert admin_client.post(listing(Delivery), pressed).headers["Location"] == page(first)
        statuses = dict(Delivery.objects.values_list("id", "status"))
        assert statuses == {first.id: "pending", second.id: "failed"}
        assert AuditEntry.objects.get(action="event.resent").actor == "user:admin"

    def test_to_a_closed_endpoint_it_is_refused_in_words(
        self, admin_client: Client, send: Callable[..., list[Delivery]]
    ) -> None:
        (delivery,) = send()
        Endpoint.objects.update(is_active=False)
        pressed = {"action": "resend", "_selected_action": str(delivery.pk)}
        answer = admin_client.post(listing(Delivery), pressed, follow=True)
        assert "disabled or deleted" in answer.content.decode()
        assert not AuditEntry.objects.exists()

    def test_viewers_do_not_resend(self, send: Callable[..., list[Delivery]]) -> None:
        (delivery,) = send()
        clerk = User.objects.create_user("clerk", is_staff=True)
        clerk.user_permissions.set(Permission.objects.filter(codename="view_delivery"))
        client = Client()
        client.force_login(clerk)
        assert 'value="resend"' not in client.get(page(delivery)).content.decode()
        client.post(listing(Delivery), {"action": "resend", "_selected_action": str(delivery.pk)})
        assert not AuditEntry.objects.exists()
        clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_delivery", "change_delivery"]))
        assert 'value="resend"' in client.get(page(delivery)).content.decode()


def _values(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.fields}


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
