"""POST /webhooks/endpoints/{id}/connectivity: whether anybody is there, and nothing said that matters."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries.models import Attempt, Delivery, Event
from deliveries.services import connectivity
from deliveries.services.waiting import MOST_AT_ONCE
from dispatcher.profiles.engine import USER_AGENT
from subscriptions.models import AuditEntry, Endpoint, Merchant
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of
from tests.ids import id_at
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import canary, hold, keep_alive, then

SECRET = "whsec_" + "QUJD" * 11
Receive = Callable[[Script], Receiver]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True, params=["curl", "requests"])
def network(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.HTTP_CLIENT = request.param
    settings.ALLOW_HTTP_TARGETS = True
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.1/32"),)
    settings.DELIVERY_TIMEOUT = 1.0


def path(endpoint: Endpoint) -> str:
    return f"/api/v2/webhooks/endpoints/{endpoint.public_id}/connectivity"


def entries() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(action=connectivity.ACTION).values_list("actor", "target"))


class TestReached:
    def test_one_harmless_question_and_who_answered(
        self, world: World, alice: Caller, make_endpoint: Make, receive: Receive
    ) -> None:
        receiver = receive(keep_alive(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"))
        endpoint = make_endpoint(
            world.alice, secret=SECRET, target=receiver.url("/in?key=1"), headers={"X-Tenant": "t"}, profile="paisr"
        )
        answer = alice.post(path(endpoint))
        assert answer.status_code == 200
        shown = answer.json()
        assert set(shown) == {"reachable", "reason", "detail", "status", "phases_ms", "peer"}
        assert (shown["reachable"], shown["reason"], shown["detail"], shown["status"]) == (True, None, None, 200)
        assert set(shown["phases_ms"]) == {"dns", "connect", "tls", "send", "wait", "total"}
        assert shown["phases_ms"]["total"] > 0
        assert shown["phases_ms"]["dns"] is None
        (received,) = receiver.requests
        assert received.line == "HEAD /in?key=1 HTTP/1.1"
        assert sorted(received.headers) == [("Host", f"127.0.0.1:{receiver.port}"), ("User-Agent", USER_AGENT)]
        assert received.body == b""
        (entry,) = entries()
        assert entry[0].startswith("key:key_")
        assert entry[1] == endpoint.public_id
        assert not Event.objects.exists()
        assert not Delivery.objects.exists()
        assert not Attempt.objects.exists()

    @pytest.mark.parametrize("status", [204, 301, 400, 401, 404, 405, 410, 429, 500, 503])
    def test_any_whole_answer_counts(
        self, world: World, alice: Caller, make_endpoint: Make, receive: Receive, status: int
    ) -> None:
        receiver = receive(then(b"HTTP/1.1 %d X\r\nContent-Length: 9\r\n\r\n" % status, hold))
        endpoint = make_endpoint(world.alice, target=receiver.url())
        shown = alice.post(path(endpoint), {}).json()
        assert (shown["reachable"], shown["reason"], shown["status"]) == (True, None, status)
        endpoint.refresh_from_db()
        assert endpoint.is_active

    def test_a_disabled_endpoint_may_be_tried(
        self, world: World, alice: Caller, make_endpoint: Make, receive: Receive
    ) -> None:
        receiver = receive(keep_alive())
        endpoint = make_endpoint(world.alice, target=receiver.url(), is_active=False, disabled_reason="paused")
        assert alice.post(path(endpoint)).json()["reachable"] is True

    def test_the_address_is_shown_as_attempts_show_it(
        self, world: World, alice: Caller, provider: Caller, make_endpoint: Make, receive: Receive
    ) -> None:
        receiver = receive(keep_alive())
        endpoint = make_endpoint(world.alice, target=receiver.url())
        assert alice.post(path(endpoint)).json()["peer"] == ""
        shown = provider.post(f"{path(endpoint)}?merchant=alice").json()
        assert shown["peer"] == f"127.0.0.1:{receiver.port}"

    def test_no_transaction_is_open_meanwhile(
        self, world: World, alice: Caller, make_endpoint: Make, receive: Receive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoint = make_endpoint(world.alice, target=receive(keep_alive()).url())
        seen = []

        def look() -> Any:
            seen.append((connection.in_atomic_block, len(entries())))
            return make()

        make = connectivity._client
        monkeypatch.setattr(connectivity, "_client", look)
        assert alice.post(path(endpoint)).json()["reachable"] is True
        assert seen == [(False, 1)]


class TestNotReached:
    def test_refused(self, world: World, alice: Caller, make_endpoint: Make) -> None:
        with Receiver(canary) as receiver:
            url = receiver.url()
        shown = alice.post(path(make_endpoint(world.alice, target=url))).json()
        assert (shown["reachable"], shown["reason"], shown["status"]) == (False, "connect_refused", None)
        assert shown["detail"]

    def test_silent(self, world: World, alice: Caller, make_endpoint: Make, receive: Receive) -> None:
        endpoint = make_endpoint(world.alice, target=receive(then(b"", hold)).url())
        shown = alice.post(path(endpoint)).json()
        assert (shown["reachable"], shown["reason"], shown["status"]) == (False, "response_timeout", None)
        assert 900 < shown["phases_ms"]["total"] < 1500

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.2:8000/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1:22/",
            "http://[::1]:5432/",
        ],
    )
    def test_a_refused_address_tells_one_sentence_and_sends_nothing(
        self, world: World, alice: Caller, make_endpoint: Make, url: str
    ) -> None:
        """Stored before the rules were stricter, or by a name that moved: the rules are asked again now."""
        shown = alice.post(path(make_endpoint(world.alice, target=url))).json()
        told = {name: shown[name] for name in ("reachable", "reason", "detail", "status", "peer")}
        other = alice.post(path(make_endpoint(world.alice, target="http://192.168.1.1/"))).json()
        assert told == {
            "reachable": False,
            "reason": "blocked_address",
            "detail": other["detail"],
            "status": None,
            "peer": "",
        }
        assert "192" not in other["detail"]

    def test_nothing_connects_to_a_refused_address(self, world: World, alice: Caller, make_endpoint: Make) -> None:
        with Receiver(canary, host="127.0.0.2") as receiver:
            shown = alice.post(path(make_endpoint(world.alice, target=receiver.url()))).json()
            assert receiver.connections == 0
        assert shown["reason"] == "blocked_address"


class TestRefused:
    @pytest.mark.parametrize("channel", ["email", "sms"])
    def test_what_has_no_url(self, world: World, alice: Caller, make_endpoint: Make, channel: str) -> None:
        endpoint = make_endpoint(world.alice, target="a@b.example", channel=channel)
        answer = alice.post(path(endpoint))
        assert code_of(answer) == (409, "not_a_webhook")
        assert answer.json()["detail"] == "Only a webhook has a URL that can be connected to."
        assert entries() == []

    def test_charlie(self, world: World, charlie: Caller, make_endpoint: Make) -> None:
        with Receiver(canary) as receiver:
            endpoint = make_endpoint(world.alice, target=receiver.url())
            assert code_of(charlie.post(path(endpoint))) == (404, "not_found")
            assert code_of(charlie.post(f"{path(endpoint)}?merchant=alice")) == (404, "not_found")
            assert receiver.connections == 0
        assert entries() == []

    def test_what_is_deleted_or_never_was(self, world: World, alice: Caller, make_endpoint: Make) -> None:
        gone = make_endpoint(world.alice, is_active=False, deleted_at=timezone.now())
        assert code_of(alice.post(path(gone))) == (404, "not_found")
        for text in ("x", "ep_00000000000000000000000000", "evt_00000000000000000000000000", "%00"):
            answer = alice.post(f"/api/v2/webhooks/endpoints/{text}/connectivity")
            assert code_of(answer) == (404, "not_found")
        assert code_of(alice.get(path(gone))) == (405, "method_not_allowed")

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"url": "https://x.example/"}, [("/url", "unknown_field")]),
            ([], [("", "wrong_type")]),
            (b"1", [("", "wrong_type")]),
        ],
    )
    def test_bodies_that_say_something(
        self, endpoint: Endpoint, alice: Caller, body: Any, told: list[tuple[str, str]]
    ) -> None:
        assert errors_of(alice.post(path(endpoint), body)) == told
        assert entries() == []

    @pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
    def test_bodies_that_cannot_be_read(self, endpoint: Endpoint, alice: Caller, body: bytes) -> None:
        assert alice.post(path(endpoint), body).status_code == 400
        assert entries() == []

    def test_a_merchant_cannot_look_around(
        self, world: World, alice: Caller, charlie: Caller, make_endpoint: Make, receive: Receive
    ) -> None:
        receiver = receive(keep_alive())
        endpoint = make_endpoint(world.alice, target=receiver.url())
        others = make_endpoint(world.charlie, target=receiver.url())
        write_entries(world.alice, connectivity.MOST - 1, ago=timedelta(seconds=30))
        write_entries(world.alice, connectivity.MOST, ago=timedelta(seconds=90))
        assert alice.post(path(endpoint)).status_code == 200
        refused = alice.post(path(endpoint))
        assert code_of(refused) == (429, "too_many_requests")
        assert refused.headers["Retry-After"] == "60"
        assert len(receiver.requests) == 1
        assert charlie.post(path(others)).status_code == 200

    def test_tests_that_wait_leave_threads_for_everybody_else(
        self, world: World, alice: Caller, caller_of: Any, make_endpoint: Make, receive: Receive
    ) -> None:
        endpoint = make_endpoint(world.alice, target=receive(then(b"", hold)).url())
        callers = [alice, *(caller_of(world.alice) for _ in range(MOST_AT_ONCE))]

        def ask(caller: Caller) -> Any:
            try:
                return caller.post(path(endpoint))
            finally:
                connection.close()

        with ThreadPoolExecutor(len(callers)) as pool:
            answers = sorted(pool.map(ask, callers), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [200] * MOST_AT_ONCE + [503]
        assert code_of(answers[-1]) == (503, "overloaded")
        assert answers[-1].headers["Retry-After"] == "1"
        # Who was sent away has used up none of the merchant's tests, and is welcome afterwards.
        assert len(entries()) == MOST_AT_ONCE
        assert alice.post(path(endpoint)).status_code == 200


def write_entries(merchant: Merchant, count: int, *, ago: timedelta) -> None:
    """As tests of a while ago left them; their ids are of that time, too."""
    at = timezone.now() - ago
    for _ in range(count):
        AuditEntry.objects.create(
            id=id_at(at), merchant=merchant, actor="key:x", action=connectivity.ACTION, target="ep_x", created_at=at
        )
