"""The pages behind the links in e-mails and SMS: a GET shows, the button acts, and a forged link says nothing."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.staticfiles import finders
from django.test import Client

from subscriptions.models import AddressCheck, AuditEntry, Endpoint, Merchant
from subscriptions.services import address_checks, address_tokens
from tests.subscriptions.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE = "https://webhooks.example"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture(autouse=True)
def clock(settings: Any, rung: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    settings.PUBLIC_URL = BASE
    monkeypatch.setattr("subscriptions.services.bell._send_code", lambda _: None)
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def browser() -> Client:
    """Somebody without a session, whose CSRF checks are real."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def asked(alice: Person) -> Endpoint:
    """Alice's endpoint, whose owner has not answered."""
    assert alice.api.post("/endpoints", {"url": "mailto:a@b.example"}).status_code == 201
    return Endpoint.objects.get()


@pytest.fixture
def subscribed(asked: Endpoint) -> Endpoint:
    address_checks.confirm_by_link(token_of(question(asked).link), now=START)
    asked.refresh_from_db()
    assert asked.is_active
    return asked


def question(endpoint: Endpoint) -> address_checks.Question:
    found = address_checks.find_open(endpoint.id, now=datetime.now(UTC))
    assert found is not None
    return found


def token_of(link: str) -> str:
    return link.rpartition("/")[2]


def path(link: str) -> str:
    assert link.startswith(BASE + "/")
    return link.removeprefix(BASE)


def way_out(endpoint: Endpoint) -> str:
    return path(address_tokens.unsubscribe_url(endpoint.id, endpoint.target))


def snapshot() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Endpoint, AddressCheck, AuditEntry)]


class TestUnsubscribing:
    def test_a_get_only_asks(self, browser: Client, subscribed: Endpoint) -> None:
        before = snapshot()
        answer = browser.get(way_out(subscribed))
        assert answer.status_code == 200
        assert "Stop messages from Alice?" in answer.content.decode()
        assert browser.head(way_out(subscribed)).status_code == 200
        assert snapshot() == before

    @pytest.mark.parametrize("body", [{}, ONE_CLICK], ids=["button", "one click"])
    def test_a_post_stops_everything(
        self, browser: Client, subscribed: Endpoint, body: dict[str, str], rung: list[list[str]]
    ) -> None:
        answer = browser.post(way_out(subscribed), body)
        assert (answer.status_code, "Messages stopped" in answer.content.decode()) == (200, True)
        subscribed.refresh_from_db()
        assert (subscribed.is_active, subscribed.disabled_reason, subscribed.verified_at) == (
            False,
            "unsubscribed",
            None,
        )
        entry = AuditEntry.objects.latest("id")
        assert (entry.action, entry.actor, entry.merchant_id) == (
            "endpoint.unsubscribed",
            "recipient",
            subscribed.owner_id,
        )
        assert rung[-1] == [str(subscribed.id)]

    def test_twice_is_once(self, browser: Client, subscribed: Endpoint) -> None:
        browser.post(way_out(subscribed), ONE_CLICK)
        before = snapshot()
        assert browser.post(way_out(subscribed), ONE_CLICK).status_code == 200
        assert "Messages stopped" in browser.get(way_out(subscribed)).content.decode()
        assert snapshot() == before

    def test_the_merchant_cannot_undo_it_without_a_new_yes(
        self, alice: Person, browser: Client, subscribed: Endpoint, clock: time_machine.Traveller
    ) -> None:
        browser.post(way_out(subscribed))
        mine = f"/endpoints/{subscribed.public_id}"
        assert alice.api.patch(mine, {"is_active": True}).status_code == 422
        assert alice.api.get(f"{mine}/verification").json()["status"] == "unsubscribed"
        clock.shift(timedelta(minutes=2))
        assert alice.api.post(f"{mine}/verification").status_code == 202
        assert Endpoint.objects.get().is_active is False
        code = question(subscribed).code
        assert alice.api.post(f"{mine}/verification/confirm", {"code": code}).json()["is_active"] is True

    def test_it_ends_an_open_question(self, browser: Client, asked: Endpoint) -> None:
        link = question(asked).link
        browser.post(way_out(asked))
        assert not AddressCheck.objects.exists()
        assert browser.post(path(link)).status_code == 404
        assert Endpoint.objects.get().disabled_reason == "unsubscribed"

    def test_old_links_mean_nothing_at_a_new_address(
        self, alice: Person, browser: Client, subscribed: Endpoint
    ) -> None:
        old = way_out(subscribed)
        alice.api.patch(f"/endpoints/{subscribed.public_id}", {"url": "mailto:new@b.example"})
        before = snapshot()
        assert browser.post(old).status_code == 404
        assert snapshot() == before

    def test_a_deleted_endpoint(self, alice: Person, browser: Client, subscribed: Endpoint) -> None:
        alice.api.delete(f"/endpoints/{subscribed.public_id}")
        assert browser.get(way_out(subscribed)).status_code == 404

    def test_a_token_fits_an_sms(self, subscribed: Endpoint) -> None:
        assert re.fullmatch(r"/u/[0-9A-Za-z]{29}", way_out(subscribed))


class TestConfirming:
    def test_a_get_only_asks(self, browser: Client, asked: Endpoint) -> None:
        before = snapshot()
        answer = browser.get(path(question(asked).link))
        assert (answer.status_code, "Get messages from Alice?" in answer.content.decode()) == (200, True)
        assert snapshot() == before

    def test_the_button_says_yes_once(self, browser: Client, asked: Endpoint) -> None:
        link = path(question(asked).link)
        assert browser.post(link).status_code == 200
        asked.refresh_from_db()
        assert (asked.is_active, asked.verified_at) == (True, START)
        assert AuditEntry.objects.latest("id").actor == "recipient"
        assert browser.post(link).status_code == 404

    def test_too_old(self, browser: Client, asked: Endpoint, clock: time_machine.Traveller) -> None:
        link = path(question(asked).link)
        clock.shift(timedelta(hours=1))
        assert (browser.get(link).status_code, browser.post(link).status_code) == (404, 404)
        assert Endpoint.objects.get().is_active is False

    def test_a_newer_code_ends_the_link(
        self, alice: Person, browser: Client, asked: Endpoint, clock: time_machine.Traveller
    ) -> None:
        link = path(question(asked).link)
        clock.shift(timedelta(minutes=1))
        alice.api.post(f"/endpoints/{asked.public_id}/verification")
        assert browser.post(link).status_code == 404
        assert browser.post(path(question(asked).link)).status_code == 200

    def test_another_address_ends_the_link(self, alice: Person, browser: Client, asked: Endpoint) -> None:
        link = path(question(asked).link)
        alice.api.patch(f"/endpoints/{asked.public_id}", {"url": "mailto:victim@b.example"})
        assert browser.post(link).status_code == 404
        assert Endpoint.objects.get().verified_at is None


class TestForgeries:
    def forged(self, endpoint: Endpoint) -> list[str]:
        out, yes = token_of(way_out(endpoint)), token_of(question(endpoint).link)
        flipped = out[:-1] + ("0" if out[-1] != "0" else "1")
        return [
            *(f"/u/{text}" for text in (flipped, out[:-1], out + "0", "z" * 29, "0" * 29, "é" * 29, "%00" * 29, yes)),
            *(f"/confirm/{text}" for text in (yes[:-1], yes[:-1] + "!", "z" * len(yes), out, "x" * 5000)),
        ]

    def test_nothing_happens(self, browser: Client, asked: Endpoint) -> None:
        before = snapshot()
        for link in self.forged(asked):
            for answer in (browser.get(link), browser.post(link)):
                assert answer.status_code == 404, link
                assert "no longer good" in answer.content.decode()
                assert "a@b.example" not in answer.content.decode()
        assert snapshot() == before

    def test_tokens_of_another_key(self, browser: Client, asked: Endpoint, settings: Any) -> None:
        links = [way_out(asked), path(question(asked).link)]
        settings.SECRET_KEY = "another"
        for link in links:
            assert browser.post(link).status_code == 404

    def test_every_id_comes_back(self, alice: Person) -> None:
        for _ in range(50):
            endpoint = Endpoint(owner=alice.merchant, target="mailto:a@b.example")
            token = token_of(way_out(endpoint))
            assert address_tokens.unsubscribe_id(token) == endpoint.id
            assert address_tokens.is_unsubscribe(token, endpoint)


class TestPages:
    def test_headers(self, browser: Client, subscribed: Endpoint) -> None:
        for link, status in ((way_out(subscribed), 200), ("/u/x", 404)):
            answer = browser.get(link)
            assert answer.status_code == status
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
            assert not answer.cookies

    def test_names_are_escaped(self, browser: Client, subscribed: Endpoint) -> None:
        Merchant.objects.update(name="<script>alert(1)</script>")
        text = browser.get(way_out(subscribed)).content.decode()
        assert "<script" not in text
        assert "&lt;script&gt;" in text

    def test_other_verbs(self, browser: Client, subscribed: Endpoint) -> None:
        before = snapshot()
        assert browser.delete(way_out(subscribed)).status_code == 405
        assert browser.put(way_out(subscribed)).status_code == 405
        assert snapshot() == before

    def test_the_style_is_there(self, browser: Client, subscribed: Endpoint) -> None:
        found = finders.find("subscriptions/pages.css")
        assert found is not None
        assert "prefers-color-scheme: dark" in Path(str(found)).read_text()
        assert "subscriptions/pages.css" in browser.get(way_out(subscribed)).content.decode()
