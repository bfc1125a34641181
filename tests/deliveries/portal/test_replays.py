"""Sending again from an endpoint's page: a count to agree to, the deed, its progress, its end."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries.models import Delivery, Replay
from deliveries.services import publish, replays
from subscriptions.models import Endpoint
from tests.deliveries.portal.visitors import Visitor, words_of

Make = Callable[..., Any]
SINCE = "2026-01-01T00:00"


def two_days_ago() -> str:
    """As a field of the type datetime-local sends it."""
    return f"{timezone.now() - timedelta(days=2):%Y-%m-%dT%H:%M}"


@pytest.fixture
def again(alice: Visitor, endpoint: Endpoint) -> Callable[..., Any]:
    def ask(**data: str) -> Any:
        return alice.post(f"endpoints/{endpoint.public_id}/again", data)

    return ask


@pytest.fixture
def failed(endpoint: Endpoint, owe: Make) -> list[Delivery]:
    return [owe(endpoint, status="failed", reasons=(("http_gone", 410),)) for _ in range(3)]


class TestCount:
    def test_says_how_many_and_does_nothing(self, again: Callable[..., Any], failed: list[Delivery]) -> None:
        text = words_of(again(kind="recover", since=two_days_ago()))
        assert "Failed deliveries: 3. They are sent to https://shop.example/in" in text
        assert "Send 3 again" in text
        assert not Replay.objects.exists()
        assert {row.status for row in Delivery.objects.all()} == {"failed"}

    def test_for_htmx_the_question_alone(self, alice: Visitor, endpoint: Endpoint, failed: list[Delivery]) -> None:
        page = f"endpoints/{endpoint.public_id}/again"
        answer = alice.post(page, {"kind": "recover", "since": two_days_ago()}, HX_Request="true")
        assert answer.content.decode().lstrip().startswith('<div class="notice notice-accent">')

    def test_nothing_to_send_is_said(self, again: Callable[..., Any]) -> None:
        assert "There is nothing to send in that time." in words_of(again(kind="recover", since=two_days_ago()))

    def test_more_than_a_count_looks_through(
        self, again: Callable[..., Any], failed: list[Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replays, "COUNT_STEPS", 1)
        monkeypatch.setitem(replays.LOOK_MOST, Replay.Kind.RECOVER, 2)
        text = words_of(again(kind="recover", since=two_days_ago()))
        assert "Failed deliveries: 2 or more." in text
        assert "Send them again" in text

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({"kind": "recover"}, "Say since when."),
            ({"kind": "recover", "since": "yesterday"}, "Write a date and a time, such as 2026-05-01 14:30."),
            ({"kind": "recover", "since": "2999-01-01T00:00"}, "The window is empty"),
            ({"kind": "release", "until": "never"}, "Write a date and a time"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(
        self, again: Callable[..., Any], data: dict[str, str], sentence: str
    ) -> None:
        answer = again(**data)
        assert answer.status_code == 422
        assert sentence in words_of(answer)
        assert not Replay.objects.exists()

    def test_another_kind_is_not_there(self, again: Callable[..., Any]) -> None:
        assert again(kind="everything", since=SINCE).status_code == 404

    def test_held_needs_no_time(self, again: Callable[..., Any], endpoint: Endpoint, owe: Make) -> None:
        owe(endpoint, status="held")
        assert "Held deliveries: 1." in words_of(again(kind="release"))


class TestDone:
    def test_failed_ones_go_out_and_progress_is_shown(
        self, alice: Visitor, again: Callable[..., Any], failed: list[Delivery], endpoint: Endpoint
    ) -> None:
        answer = again(kind="recover", since=two_days_ago(), agreed="1")
        assert answer.status_code == 303
        assert answer.headers["Location"] == alice.address(f"endpoints/{endpoint.public_id}/?tab=again")
        replay = Replay.objects.get()
        assert replay.actor == "user:alice-owner"
        page = f"replays/{replay.public_id}"
        part = alice.part(page).content.decode()
        assert 'hx-trigger="every 1s"' in part
        assert "0 sent again" in part
        replays.advance(clock=timezone.now)
        part = alice.part(page).content.decode()
        assert "every 1s" not in part
        assert "3 sent again" in part
        assert "100 %" in part
        assert "Finished" in alice.read(page)
        assert {row.status for row in Delivery.objects.all()} == {"pending"}

    def test_a_second_one_meanwhile_is_refused(self, again: Callable[..., Any], failed: list[Delivery]) -> None:
        again(kind="recover", since=two_days_ago(), agreed="1")
        answer = again(kind="recover", since=two_days_ago(), agreed="1")
        assert answer.status_code == 409
        assert "A replay of this kind is running for this endpoint already." in words_of(answer)

    def test_stop_ends_it(self, alice: Visitor, again: Callable[..., Any], failed: list[Delivery]) -> None:
        again(kind="recover", since=two_days_ago(), agreed="1")
        replay = Replay.objects.get()
        answer = alice.post(f"replays/{replay.public_id}")
        assert "Stopped" in words_of(answer)
        assert "stopped by hand" in words_of(answer)
        replays.advance(clock=timezone.now)
        assert {row.status for row in Delivery.objects.all()} == {"failed"}

    def test_missing_ones_are_sent_to_a_new_endpoint(
        self, shop: Any, again: Callable[..., Any], make_type: Make
    ) -> None:
        publish("invoice.paid", b"{}", merchant="alice")
        Delivery.objects.all().delete()
        assert "Missing deliveries: 1." in words_of(again(kind="replay_missing", since=two_days_ago()))

    def test_a_paused_endpoint_gets_nothing(
        self, alice: Visitor, again: Callable[..., Any], failed: list[Delivery], endpoint: Endpoint
    ) -> None:
        Endpoint.objects.update(is_active=False, disabled_reason="paused")
        assert "Enable the endpoint first." in alice.read(f"endpoints/{endpoint.public_id}/", tab="again")
        assert again(kind="recover", since=two_days_ago(), agreed="1").status_code == 409
        assert not Replay.objects.exists()
