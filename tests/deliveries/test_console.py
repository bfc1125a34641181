"""The operator console: it finds everything, shows only what its reader may see, and does nothing without permission
or without a note."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries.admin.search import MODELS
from deliveries.id_ranges import delivery_id
from deliveries.models import Delivery, Event, Heartbeat, Lane, LaneEntry, Replay
from deliveries.services import NewEvent, publish_batch, retention_runs
from deliveries.services.retention import Deleted
from deliveries.tasks import run_retention
from dispatcher.ids import Prefix, first_id, new_id, show
from subscriptions.admin.columns import PAGES
from subscriptions.models import Account, ApiKey, AuditEntry, Endpoint, EventType, Merchant
from subscriptions.services import keys
from subscriptions.services.holds import HELD
from tests.deliveries.conftest import NOW
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import keep_alive

Make = Callable[..., Any]
SEARCH, QUEUE, RETENTION = "/admin/search/", "/admin/queue/", "/admin/retention/"
BEGIN = "/admin/deliveries/replay/add/"
OWN_PAGES = ("/admin/", SEARCH, QUEUE, RETENTION, BEGIN)


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def listing(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")


def press(client: Client, name: str, row: Any, **more: Any) -> Any:
    posted = {"action": name, "_selected_action": str(row.pk), "from_page": "1"} | more
    return client.post(listing(row), posted)


def told(answer: Any) -> list[str]:
    """The messages of the page that an action led to."""
    page = answer.client.get(answer.headers["Location"])
    return [str(message) for message in page.context["messages"]]


def audited() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(actor__startswith="user:").order_by("id").values_list("action", "target"))


@pytest.fixture
def clerk(db: None) -> Callable[..., Client]:
    """A member of the staff with these permissions only."""

    def make(*names: str) -> Client:
        user = User.objects.create_user(f"clerk{User.objects.count()}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        assert user.user_permissions.count() == len(names)
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def alice(make_merchant: Make) -> Merchant:
    made: Merchant = make_merchant("alice")
    return made


@pytest.fixture
def endpoint(alice: Merchant, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(alice, target="https://receiver.example/in/alice")
    return made


@pytest.fixture
def send(endpoint: Endpoint) -> Callable[..., list[Delivery]]:
    def publish(count: int = 1, **values: Any) -> list[Delivery]:
        events = [NewEvent("invoice.paid", b'{"secret-word": 1}', "alice", **values) for _ in range(count)]
        publish_batch(events, scope="test", now=datetime.now(UTC))
        return list(Delivery.objects.order_by("id"))

    return publish


def fail_all() -> None:
    ended = {"status": "failed", "next_attempt_at": None, "finished_at": datetime.now(UTC), "attempts_made": 1}
    Delivery.objects.update(**ended, last_reason="http_server_error", last_status=503, last_attempt_at=NOW)
    LaneEntry.objects.all().delete()


class TestDashboard:
    def test_says_how_the_platform_is(self, admin_client: Client, send: Make, endpoint: Endpoint) -> None:
        send(3)
        now = datetime.now(UTC)
        Lane.objects.update(due_at=now, failing_since=now - timedelta(days=1))
        Heartbeat.objects.create(
            node="drain@a", kind="drain", pid=1, started_at=now, beat_at=now, progressed_at=now - timedelta(seconds=1)
        )
        page = admin_client.get("/admin/")
        figures = {figure.name: (figure.value, figure.colour) for figure in page.context["strip"]}
        assert figures["Due now"] == ("3", "green")
        assert figures["In flight"] == ("0", None)
        assert figures["Published"] == ("0.01 /s", None)
        assert figures["Workers"] == ("1", "green")
        assert figures["Last tick of beat"] == ("–", "red")  # noqa: RUF001
        (row,) = page.context["failing"]
        assert change(endpoint) in row.endpoint
        assert (row.waiting, row.failed) == ("3", "0 of 0")
        assert page.content.decode().count("<svg") >= 3

    def test_nothing_to_do_is_said(self, admin_client: Client, endpoint: Endpoint) -> None:
        text = admin_client.get("/admin/").content.decode()
        assert "Every endpoint that was sent something lately took it." in text
        assert "nothing is sent" in text

    def test_endpoints_that_somebody_should_know_of(
        self, admin_client: Client, alice: Merchant, make_endpoint: Make
    ) -> None:
        for values in ({"unreadable_since": NOW}, {"is_active": False, "disabled_reason": "failing"}):
            make_endpoint(alice, **values)
        for _ in range(2):
            make_endpoint(alice, is_active=False, disabled_reason=HELD)
        make_endpoint(alice, is_active=False, disabled_reason=HELD, deleted_at=NOW)
        concerns = admin_client.get("/admin/").context["concerns"]
        assert [one.count for one in concerns] == [1, 1, 2]
        for one in concerns:
            assert admin_client.get(one.address).context["cl"].result_count == one.count

    def test_each_part_is_for_those_who_may_look_it_up(self, clerk: Make, send: Make) -> None:
        send()
        parts = {"has_queue": "view_lane", "has_endpoints": "view_endpoint", "has_log": "view_delivery"}
        for wanted, permission in parts.items():
            page = clerk(permission).get("/admin/")
            assert [part for part in parts if page.context.get(part)] == [wanted]
        page = clerk().get("/admin/")
        assert page.status_code == 200
        assert not [part for part in parts if page.context.get(part)]
        assert "receiver.example" not in page.content.decode()

    def test_a_part_that_takes_too_long_is_given_up(
        self, admin_client: Client, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deliveries.admin.bounded.MOST_S", 0.05)
        monkeypatch.setattr("deliveries.selectors.overall.BY_HOUR", "SELECT pg_sleep(3)")
        text = admin_client.get("/admin/").content.decode()
        assert "The last day took too long to read." in text
        assert "Due now" in text

    def test_a_fixed_number_of_queries(
        self, admin_client: Client, send: Make, alice: Merchant, make_endpoint: Make
    ) -> None:
        def count() -> list[str]:
            with CaptureQueriesContext(connection) as captured:
                assert admin_client.get("/admin/").status_code == 200
            return [query["sql"] for query in captured]

        one = count()
        for _ in range(4):
            make_endpoint(alice)
        send(20)
        Lane.objects.update(failing_since=NOW)
        many = count()
        # The session, the user; four bounded parts, each a savepoint, a time limit and a release around what it reads:
        # the present (4), the queue and the heartbeats (2), what fails and what else is wrong (2), the last day (1).
        assert len(many) == len(one) == 2 + 4 * 3 + 4 + 2 + 2 + 1, many
        assert not [sql for sql in many if "OFFSET" in sql]


class TestSearch:
    @pytest.fixture
    def world(self, send: Make, endpoint: Endpoint, alice: Merchant) -> dict[str, Any]:
        """What each term should lead to, where it leads to one thing."""
        (delivery,) = send(id="inv-77")
        event = Event.objects.get()
        account = Account.objects.create(merchant=alice, reference="IBAN-1", created_at=NOW)
        key = keys.create(name="Shop", merchant=alice, now=NOW, actor="system").row
        replay = Replay.objects.create(
            endpoint_id=endpoint.id, owner_id=alice.id, kind="recover", since=NOW, until=NOW + timedelta(hours=1),
            actor="user:x", created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        rows = [delivery, alice, endpoint, account, key, replay, AuditEntry.objects.all()[0], EventType.objects.get()]
        found = {row.public_id: row for row in rows if hasattr(row, "public_id")}
        return found | {
            show(Prefix.EVENT, event.id): event,
            "inv-77": event,
            " alice ": None,  # The merchant's reference, and a part of the endpoint's URL.
            "IBAN-1": account,
            key.prefix: key,
            "receiver.EXAMPLE/in": endpoint,
            "https://receiver.example/in/alice": endpoint,
        }

    def test_one_hit_leads_straight_to_its_page(self, admin_client: Client, world: dict[str, Any]) -> None:
        for term, row in world.items():
            answer = admin_client.get(SEARCH, {"q": term})
            if row is not None:
                assert (answer.status_code, answer.headers.get("Location")) == (302, change(row)), term
                assert admin_client.get(answer.headers["Location"]).status_code == 200

    def test_several_are_shown_by_kind(self, admin_client: Client, world: dict[str, Any], make_merchant: Make) -> None:
        make_merchant("alicia")
        text = admin_client.get(SEARCH, {"q": "ali"}).content.decode()
        found = admin_client.get(SEARCH, {"q": "ali"}).context["found"]
        assert [(one.kind, len(one.hits)) for one in found] == [("Merchants", 2), ("Endpoints", 1)]
        assert all(hit.address in text for one in found for hit in one.hits)

    def test_more_than_it_shows_is_said(self, admin_client: Client, make_merchant: Make) -> None:
        for number in range(25):
            make_merchant(f"shop-{number}")
        (found,) = admin_client.get(SEARCH, {"q": "shop"}).context["found"]
        assert (len(found.hits), found.has_more) == (20, True)

    @pytest.mark.parametrize("term", ["", "nobody", "mer_" + "0" * 26, "%", "_", "a\x00b", "'; --", "x" * 9000])
    def test_what_is_not_there_is_not_found(self, term: str, admin_client: Client, world: dict[str, Any]) -> None:
        answer = admin_client.get(SEARCH, {"q": term})
        assert (answer.status_code, answer.context["found"]) == (200, [])

    def test_a_term_is_text_and_does_nothing(self, admin_client: Client, db: None) -> None:
        text = admin_client.get(SEARCH, {"q": '"><script>alert(1)</script>'}).content.decode()
        assert "<script>alert" not in text

    def test_nobody_finds_what_they_may_not_view(self, clerk: Make, world: dict[str, Any]) -> None:
        client = clerk("view_endpoint")
        mine = change(Endpoint.objects.get())
        for term, row in world.items():
            address = client.get(SEARCH, {"q": term}).headers.get("Location")
            assert address == (mine if row is None or isinstance(row, Endpoint) else None), term
        assert clerk().get(SEARCH, {"q": "alice"}).status_code == 403

    def test_a_fixed_number_of_queries(self, admin_client: Client, world: dict[str, Any]) -> None:
        # The session and the user come first.
        for term, queries in ((Endpoint.objects.get().public_id, 3), ("alice", 2 + 6 * 4)):
            with CaptureQueriesContext(connection) as captured:
                admin_client.get(SEARCH, {"q": term})
            assert len(captured) == queries, [query["sql"] for query in captured]

    def test_its_box_is_on_every_page(self, admin_client: Client, world: dict[str, Any]) -> None:
        for address in [*OWN_PAGES, change(world["IBAN-1"]), listing(world["IBAN-1"]), "/admin/auth/user/"]:
            assert 'role="search"' in admin_client.get(address).content.decode(), address
        assert 'role="search"' not in Client().get("/admin/login/").content.decode()


class TestQueue:
    def test_lanes_workers_and_replays(self, admin_client: Client, send: Make, endpoint: Endpoint) -> None:
        send(2)
        now = datetime.now(UTC)
        Lane.objects.update(due_at=now)
        Heartbeat.objects.create(
            node="tasks@a", kind="tasks", pid=1, started_at=now, beat_at=now - timedelta(minutes=5), progressed_at=now
        )
        Replay.objects.create(
            endpoint_id=endpoint.id, owner_id=endpoint.owner_id, kind="release", since=NOW,
            until=NOW + timedelta(hours=2), cursor=first_id(NOW + timedelta(hours=1)), sent=7, actor="user:x",
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        page = admin_client.get(QUEUE)
        parts = page.context["parts"]
        assert [row.count for row in parts["states"]] == [0, 1, 0, 0, 0, 0]
        assert [change(endpoint) in row.endpoint for row in parts["lanes"]] == [True]
        assert ["Silent" in row.state for row in parts["nodes"]] == [True]
        assert [(row.percent, row.sent) for row in parts["replays"]] == [("50%", 7)]
        for row in parts["states"]:
            assert admin_client.get(row.address).context["cl"].result_count == row.count, row.means

    def test_is_for_those_who_may_view_lanes(self, clerk: Make) -> None:
        assert clerk("view_lane").get(QUEUE).status_code == 200
        assert clerk("view_delivery").get(QUEUE).status_code == 403


class TestBulk:
    def test_what_would_be_sent_is_shown_first(self, admin_client: Client, send: Make, endpoint: Endpoint) -> None:
        send(3)
        fail_all()
        asked = {"where": endpoint.public_id, "kind": "recover"}
        page = admin_client.post(BEGIN, asked)
        assert [(target.endpoint, target.count) for target in page.context["targets"]] == [(endpoint, "3")]
        assert not Replay.objects.exists()
        answer = admin_client.post(BEGIN, asked | {"confirm": "1"})
        assert answer.headers["Location"] == f"/admin/deliveries/replay/?endpoint={endpoint.public_id}"
        replay = Replay.objects.get()
        assert (replay.endpoint_id, replay.kind, replay.actor) == (endpoint.id, "recover", "user:admin")
        assert audited() == [("replay.begun", endpoint.public_id)]
        (row,) = admin_client.get(answer.headers["Location"]).context["cl"].result_list
        assert row == replay

    def test_a_merchant_stands_for_its_active_endpoints(
        self, admin_client: Client, endpoint: Endpoint, make_endpoint: Make, make_merchant: Make
    ) -> None:
        other = make_endpoint(endpoint.owner)
        make_endpoint(endpoint.owner, is_active=False)
        make_endpoint(make_merchant("charlie"))
        since, until = (datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours) for hours in (9, 2))
        window = {"since": f"{since:%Y-%m-%d %H:%M:%S}", "until": f"{until:%Y-%m-%d %H:%M:%S}"}
        admin_client.post(BEGIN, {"where": "alice", "kind": "replay_missing", "confirm": "1"} | window)
        begun = list(Replay.objects.order_by("endpoint_id"))
        assert [replay.endpoint_id for replay in begun] == [endpoint.id, other.id]
        assert {(replay.since, replay.until) for replay in begun} == {(since, until)}

    @pytest.mark.parametrize("where", ["nobody", "ep_" + "0" * 26, "charlie", ""])
    def test_nothing_begins_where_nothing_is(self, where: str, admin_client: Client, make_merchant: Make) -> None:
        make_merchant("charlie")
        page = admin_client.post(BEGIN, {"where": where, "kind": "recover", "confirm": "1"})
        assert "where" in page.context["form"].errors
        assert not Replay.objects.exists()

    def test_a_refusal_is_told(self, admin_client: Client, endpoint: Endpoint) -> None:
        asked = {"where": endpoint.public_id, "kind": "recover", "confirm": "1"}
        admin_client.post(BEGIN, asked)
        assert "running for this endpoint already" in told(admin_client.post(BEGIN, asked))[-1]
        assert Replay.objects.count() == 1

    def test_the_list_of_deliveries_leads_there(self, admin_client: Client, clerk: Make, endpoint: Endpoint) -> None:
        address = f"{BEGIN}?where={endpoint.public_id}"
        asked = {"endpoint": endpoint.public_id}
        assert address in admin_client.get("/admin/deliveries/delivery/", asked).content.decode()
        viewer = clerk("view_delivery").get("/admin/deliveries/delivery/", asked)
        assert BEGIN not in viewer.content.decode()

    def test_a_running_one_is_stopped(self, admin_client: Client, clerk: Make, endpoint: Endpoint) -> None:
        admin_client.post(BEGIN, {"where": endpoint.public_id, "kind": "recover", "confirm": "1"})
        replay = Replay.objects.get()
        viewer = clerk("view_replay")
        assert 'value="stop"' not in viewer.get(change(replay)).content.decode()
        assert press(viewer, "stop", replay).status_code == 403
        assert Replay.objects.get().status == "running"
        assert 'value="stop"' in admin_client.get(change(replay)).content.decode()
        press(admin_client, "stop", replay)
        assert Replay.objects.get().status == "stopped"
        assert audited()[-1] == ("replay.stopped", endpoint.public_id)

    def test_without_the_permission_there_is_no_page(self, clerk: Make, endpoint: Endpoint) -> None:
        viewer = clerk("view_replay", "view_delivery", "add_replay")
        assert viewer.get(BEGIN).status_code == 403
        assert viewer.post(BEGIN, {"where": endpoint.public_id, "kind": "recover", "confirm": "1"}).status_code == 403
        assert not Replay.objects.exists()


class TestHolds:
    def test_an_endpoint_is_held_with_a_reason_and_released_with_what_waited(
        self, admin_client: Client, endpoint: Endpoint
    ) -> None:
        assert "What is held" not in press(admin_client, "hold", endpoint).content.decode()
        assert Endpoint.objects.get().is_active
        press(admin_client, "hold", endpoint, reason="Asked by phone")
        assert Endpoint.objects.get().disabled_reason == HELD
        text = admin_client.get(change(endpoint)).content.decode()
        assert re.findall(r'name="action" value="(\w+)"', text) == ["release", "send_test", "connect"]
        press(admin_client, "release", endpoint)
        assert Endpoint.objects.get().is_active
        assert Replay.objects.get().kind == "release"
        assert [action for action, _ in audited()] == [
            "endpoint.disabled", "endpoint.held", "endpoint.enabled", "replay.begun",
        ]  # fmt: skip
        assert AuditEntry.objects.get(action="endpoint.held").detail == {"reason": "Asked by phone"}

    def test_a_merchant_is_held_and_released(
        self, admin_client: Client, endpoint: Endpoint, make_endpoint: Make, make_merchant: Make
    ) -> None:
        other, hers = make_endpoint(endpoint.owner), make_endpoint(make_merchant("charlie"))
        press(admin_client, "hold", endpoint.owner, reason="Fraud check")
        held = set(Endpoint.objects.filter(disabled_reason=HELD).values_list("id", flat=True))
        assert held == {endpoint.id, other.id}
        press(admin_client, "release", endpoint.owner)
        assert Endpoint.objects.filter(is_active=True).count() == 3
        assert set(Replay.objects.values_list("endpoint_id", "kind")) == {(row_id, "release") for row_id in held}
        actions = [action for action, target in audited() if target == endpoint.owner.public_id]
        assert actions == ["merchant.held", "merchant.released"]
        assert hers.is_active

    def test_a_release_that_runs_already_goes_on(self, admin_client: Client, endpoint: Endpoint) -> None:
        for name, more in (("hold", {"reason": "x"}), ("release", {})) * 2:
            press(admin_client, name, endpoint, **more)
        assert Endpoint.objects.get().is_active
        assert Replay.objects.count() == 1

    def test_without_the_permission_no_button_and_no_deed(self, clerk: Make, endpoint: Endpoint) -> None:
        viewer = clerk("view_endpoint", "view_merchant")
        for row in (endpoint, endpoint.owner):
            assert "signet-button" not in viewer.get(change(row)).content.decode()
            for name in ("hold", "release", "resend"):
                assert press(viewer, name, row, reason="x").status_code == 403, name
        for name in ("enable", "disable", "send_test", "connect"):
            assert press(viewer, name, endpoint, reason="x").status_code == 403, name
        assert Endpoint.objects.get().is_active
        assert not Event.objects.exists()
        assert audited() == []

    def test_each_permission_gives_its_own_buttons(self, clerk: Make, endpoint: Endpoint) -> None:
        found = {
            names: re.findall(r'name="action" value="(\w+)"', clerk(*names).get(change(row)).content.decode())
            for row, names in (
                (endpoint, ("view_endpoint", "change_endpoint")),
                (endpoint, ("view_endpoint", "change_delivery")),
                (endpoint.owner, ("view_merchant", "change_endpoint")),
                (endpoint.owner, ("view_merchant", "change_delivery")),
                (endpoint.owner, ("view_merchant", "change_merchant")),
            )
        }
        assert list(found.values()) == [
            ["disable", "hold", "send_test", "connect"], ["resend"], ["hold", "release"], ["resend"], [],
        ]  # fmt: skip


class TestTries:
    @pytest.fixture
    def receiver(self, receive: Callable[..., Receiver], settings: Any) -> Receiver:
        settings.ALLOWED_TARGET_NETWORKS = [ip_network("127.0.0.0/8")]
        settings.ALLOW_HTTP_TARGETS = True
        return receive(keep_alive())

    @pytest.mark.django_db(transaction=True)
    def test_a_test_event_is_sent_now_and_its_delivery_shown(
        self, admin_client: Client, receiver: Receiver, make_endpoint: Make, make_merchant: Make
    ) -> None:
        endpoint = make_endpoint(make_merchant("alice"), target=receiver.url(), secret="whsec_" + "A" * 32)
        (message,) = told(press(admin_client, "send_test", endpoint))
        delivery = Delivery.objects.get()
        assert delivery.status == "delivered"
        assert message.startswith("Test event: Delivered (200).")
        assert change(delivery) in message
        assert [action for action, _ in audited()] == ["endpoint.tested"]

    @pytest.mark.django_db(transaction=True)
    def test_a_connection_is_tried_and_what_came_of_it_told(
        self, admin_client: Client, receiver: Receiver, make_endpoint: Make, make_merchant: Make
    ) -> None:
        endpoint = make_endpoint(make_merchant("alice"), target=receiver.url())
        (message,) = told(press(admin_client, "connect", endpoint))
        assert message.startswith("Somebody is there: answered 200 from 127.0.0.1:")
        assert [action for action, _ in audited()] == ["endpoint.connectivity_tested"]
        Endpoint.objects.update(target="http://127.0.0.1:1/")
        assert told(press(admin_client, "connect", endpoint))[0].startswith(
            "Nobody was reached: The URL cannot be used."
        )
        assert not Event.objects.exists()

    def test_one_at_a_time(self, admin_client: Client, endpoint: Endpoint, make_endpoint: Make) -> None:
        chosen = [str(endpoint.pk), str(make_endpoint(endpoint.owner).pk)]
        for name in ("send_test", "connect", "resend"):
            admin_client.post(listing(endpoint), {"action": name, "_selected_action": chosen})
        assert not Event.objects.exists()
        assert audited() == []


class TestPortal:
    def enter(self, client: Client, merchant: Merchant) -> Any:
        return client.post(f"/admin/subscriptions/merchant/{merchant.pk}/portal/")

    def test_the_visit_is_read_only_ends_and_is_written_down(
        self, clerk: Make, alice: Merchant, make_merchant: Make
    ) -> None:
        client, charlie = clerk("view_merchant", "enter_portal"), make_merchant("charlie")
        assert "Look into its portal" in client.get(change(alice)).content.decode()
        before = datetime.now(UTC).timestamp()
        for merchant in (charlie, alice):
            answer = self.enter(client, merchant)
            assert (answer.status_code, answer.headers["Location"]) == (302, f"/portal/{merchant.public_id}/")
        visits = client.session["portal_visits"]
        assert set(visits) == {alice.public_id, charlie.public_id}
        visit = visits[alice.public_id]
        assert (visit["role"], visit["way"]) == ("viewer", "operator")
        assert visit["actor"] == f"user:{visit['name']}"
        shown = client.get(f"/portal/{alice.public_id}/")
        assert "You see this portal as" in shown.content.decode()
        assert int(before) + 3600 <= visit["until"] <= datetime.now(UTC).timestamp() + 3600
        entry = AuditEntry.objects.get(merchant=alice)
        assert (entry.action, entry.target, entry.detail["role"]) == (
            "merchant.portal_entered", alice.public_id, "viewer",
        )  # fmt: skip
        assert entry.actor.startswith("user:clerk")

    def test_without_the_permission_nobody_gets_in(self, clerk: Make, alice: Merchant) -> None:
        client = clerk("view_merchant", "change_merchant", "change_endpoint")
        assert "portal" not in client.get(change(alice)).content.decode()
        assert self.enter(client, alice).status_code == 403
        assert "portal_visits" not in client.session
        assert audited() == []

    @pytest.mark.parametrize("lost", ["login", "staff", "permission"])
    def test_who_is_no_operator_any_more_sees_nothing_from_that_moment_on(
        self, lost: str, clerk: Make, alice: Merchant
    ) -> None:
        client = clerk("view_merchant", "enter_portal")
        self.enter(client, alice)
        page = f"/portal/{alice.public_id}/"
        assert client.get(page).status_code == 200
        if lost == "permission":
            User.objects.get().user_permissions.clear()
        else:
            User.objects.update(**{"login": {"is_active": False}, "staff": {"is_staff": False}}[lost])
        assert client.get(page).status_code == (302 if lost == "login" else 404)
        chosen = client.get("/portal/")
        assert alice.name not in chosen.content.decode()
        assert chosen.headers.get("Location", "/portal/login/") == "/portal/login/"

    def test_only_a_press_opens_it_and_only_a_living_merchants(self, admin_client: Client, alice: Merchant) -> None:
        assert admin_client.get(f"/admin/subscriptions/merchant/{alice.pk}/portal/").status_code == 405
        Merchant.objects.update(deleted_at=NOW)
        assert self.enter(admin_client, alice).status_code == 404
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.get(username="admin"))
        assert self.enter(strict, alice).status_code == 403
        assert "portal_visits" not in admin_client.session
        assert audited() == []


class TestRetention:
    @pytest.fixture
    def queued(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """What would have been asked of the workers."""
        asked: list[Any] = []
        monkeypatch.setattr(current_app, "send_task", lambda name, **sent: asked.append((name, sent["kwargs"])))
        return asked

    def test_it_is_asked_for_with_a_yes_and_done_in_the_background(
        self, admin_client: Client, send: Make, queued: list[Any], settings: Any
    ) -> None:
        send(2)
        old = Event.objects.order_by("id")[0]
        fail_all()
        ages_ago = datetime.now(UTC) - timedelta(days=settings.RETENTION_DAYS + 1)
        new = first_id(ages_ago)
        Event.objects.filter(id=old.id).update(id=new, created_at=ages_ago)
        Delivery.objects.filter(event_id=old.id).update(
            event_id=new, created_at=ages_ago, last_attempt_at=ages_ago, id=delivery_id(new, place=1)
        )
        assert admin_client.post(RETENTION, {}).status_code == 200
        assert (queued, audited()) == ([], [])
        admin_client.post(RETENTION, {"is_sure": "on"})
        ((name, arguments),) = queued
        assert name == "deliveries.run_retention" == run_retention.name
        assert audited() == [("retention.asked", "log")]
        assert Event.objects.count() == 2
        Merchant.objects.create(name="Short", retention_days=1, created_at=NOW, updated_at=NOW)
        yesterday = datetime.now(UTC) - timedelta(days=2)
        short = {"merchant_id": Merchant.objects.get(name="Short").id, "type": "a", "payload": b"{}"}
        Event.objects.create(id=first_id(yesterday), occurred_at=yesterday, created_at=yesterday, **short)
        run_retention(**arguments)
        assert Event.objects.count() == Delivery.objects.count() == 1
        done = AuditEntry.objects.get(action="retention.finished")
        assert done.actor == "user:admin"
        assert {name: done.detail[name] for name in ("events", "deliveries")} == {"events": 2, "deliveries": 1}
        runs = admin_client.get(RETENTION).context["runs"]
        assert [row.what[:8] for row in runs] == ["Done: 2 ", "Asked fo"]

    def test_a_long_one_makes_room_and_goes_on(
        self, queued: list[Any], db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deleted = Deleted(events=1)
        monkeypatch.setattr(retention_runs, "SLICE_S", 0.0)
        monkeypatch.setattr(retention_runs, "purge", lambda **_: iter([deleted, deleted]))
        begun: dict[str, Any] = {"so_far": {"events": 5}, "before": NOW.isoformat(), "actor": "user:x"}
        run_retention(**begun)
        ((_, arguments),) = queued
        assert arguments["so_far"]["events"] == 6
        assert (arguments["before"], arguments["actor"]) == (begun["before"], begun["actor"])
        assert not AuditEntry.objects.exists()

    def test_when_no_worker_can_be_told_nothing_is_written_down(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise OSError

        monkeypatch.setattr(current_app, "send_task", refuse)
        assert told(admin_client.post(RETENTION, {"is_sure": "on"})) == ["No worker could be told. Try again shortly."]
        assert audited() == []

    def test_is_for_those_who_may_delete_events(self, clerk: Make, queued: list[Any]) -> None:
        assert clerk("delete_event").get(RETENTION).status_code == 200
        viewer = clerk("view_event", "delete_delivery")
        assert viewer.get(RETENTION).status_code == 403
        assert viewer.post(RETENTION, {"is_sure": "on"}).status_code == 403
        assert (queued, audited()) == ([], [])


class TestEndpointPage:
    def test_says_how_the_last_day_went_and_why_it_fails(
        self, admin_client: Client, send: Make, endpoint: Endpoint
    ) -> None:
        send(2)
        Lane.objects.update(failing_since=NOW)
        page = admin_client.get(change(endpoint))
        assert [row.waiting for row in page.context["failing"]] == ["2"]
        assert {figure.name: figure.value for figure in page.context["strip"]}["Waiting"] == "2"
        of_merchant = admin_client.get(change(endpoint.owner))
        assert [row.waiting for row in of_merchant.context["failing"]] == ["2"]

    def test_a_merchants_page_takes_a_fixed_number_of_queries(
        self, admin_client: Client, endpoint: Endpoint, make_endpoint: Make, send: Make
    ) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert admin_client.get(change(endpoint.owner)).status_code == 200
            return len(captured)

        one = count()
        for _ in range(4):
            make_endpoint(endpoint.owner)
        send(5)
        # The session, the user, the merchant; how its last day went, what waits, and what fails.
        assert count() == one == 6


def test_nothing_on_the_consoles_pages_is_script_or_style_of_its_own(
    admin_client: Client, send: Make, endpoint: Endpoint
) -> None:
    send(2)
    for address in [*OWN_PAGES, change(endpoint), change(endpoint.owner), f"{SEARCH}?q=alice"]:
        text = admin_client.get(address).content.decode()
        assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
        assert "<style" not in text
        assert re.findall(r"\s(style|on\w+)=\"", text) == []


def test_api_keys_are_never_found_by_their_secret_part(admin_client: Client, alice: Merchant) -> None:
    made = keys.create(name="Shop", merchant=alice, now=NOW, actor="system")
    assert admin_client.get(SEARCH, {"q": made.text}).context["found"] == []
    assert ApiKey.objects.count() == 1


def test_every_id_that_is_shown_to_anybody_leads_to_a_page() -> None:
    assert set(MODELS) == set(PAGES)
    # A link into the portal has no page here: it is its merchant's.
    assert set(Prefix) - set(PAGES) == {Prefix.PORTAL_LINK}
    for prefix, model in MODELS.items():
        assert reverse(f"admin:{PAGES[prefix]}_change", args=[new_id()]).split("/")[3] == model._meta.model_name
