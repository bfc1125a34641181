"""The admin takes contents out of the log when it was asked twice, and shows what was asked for."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from deliveries.models import Delivery, Event, Expunge
from deliveries.services import exports, publish
from subscriptions.models import AuditEntry, Endpoint, Merchant

Make = Callable[..., Any]
EVENTS = "/admin/deliveries/event/"
EXPUNGES = "/admin/deliveries/expunge/"


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(make_merchant("alice"))
    return made


@pytest.fixture
def event(endpoint: Endpoint) -> Event:
    publish("invoice.paid", b'{"card": "4711"}', merchant="alice")
    return Event.objects.get()


def ask(client: Client, event: Event, **more: str) -> Any:
    data = {"action": "expunge", "_selected_action": [str(event.id)]} | more
    return client.post(EVENTS, data)


def test_an_event_is_expunged_by_whoever_is_sure(root: Client, event: Event) -> None:
    asked = ask(root, event)
    assert asked.status_code == 200
    assert event.public_id in asked.content.decode()
    assert "This cannot be undone" in asked.content.decode()
    assert Event.objects.get().expunged_at is None
    assert Expunge.objects.count() == 0
    done = ask(root, event, is_sure="on", from_page="1")
    assert done.headers["Location"] == f"{EVENTS}{event.id}/change/"
    assert Event.objects.get().expunged_at is not None
    assert Delivery.objects.get().status == "cancelled"
    assert AuditEntry.objects.get(action="event.expunged").actor == "user:root"
    page = root.get(f"{EVENTS}{event.id}/change/").content.decode()
    assert "It was taken out of the log." in page
    assert "4711" not in page
    assert 'value="expunge"' not in page


def test_not_without_the_permission(event: Event) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_event", "view_expunge"]))
    client = Client()
    client.force_login(viewer)
    assert 'value="expunge"' not in client.get(f"{EVENTS}{event.id}/change/").content.decode()
    ask(client, event, is_sure="on")
    assert client.post(f"{EXPUNGES}add/", {"merchant": "alice", "account": "a", "is_sure": "on"}).status_code == 403
    assert Event.objects.get().expunged_at is None
    assert Expunge.objects.count() == 0


def test_an_account_is_expunged_from_the_list_of_expunges(root: Client, event: Event) -> None:
    path = f"{EXPUNGES}add/"
    assert root.post(path, {"merchant": "alice", "account": "card-1"}).status_code == 200
    assert Expunge.objects.count() == 0
    assert root.post(path, {"merchant": "alice", "account": "card-1", "is_sure": "on"}).status_code == 302
    made = Expunge.objects.get()
    assert (made.account, made.merchant_id, made.status, made.actor) == (
        "card-1",
        Merchant.objects.get().id,
        "running",
        "user:root",
    )
    page = root.get(f"{EXPUNGES}{made.id}/change/").content.decode()
    assert made.public_id in page
    assert "card-1" in root.get(EXPUNGES, {"q": "card-1"}).content.decode()
    assert root.post(f"{EXPUNGES}{made.id}/change/", {"account": "other"}).status_code == 403
    assert root.post(f"{EXPUNGES}{made.id}/delete/", {"post": "yes"}).status_code == 403
    assert Expunge.objects.get().account == "card-1"


def test_exports_are_shown(root: Client, endpoint: Endpoint) -> None:
    export = exports.begin(
        merchant=endpoint.owner, format="csv", since=None, until=None, include=["payloads"], actor="key:key_1",
        now=timezone.now(),
    )  # fmt: skip
    listed = root.get("/admin/deliveries/export/").content.decode()
    page = root.get(f"/admin/deliveries/export/{export.id}/change/").content.decode()
    for text in (listed, page):
        assert "payloads" in text
        assert "key:key_1" in text


def test_a_merchants_own_time_and_what_it_hears(root: Client, endpoint: Endpoint) -> None:
    merchant = endpoint.owner
    path = f"/admin/subscriptions/merchant/{merchant.id}/change/"
    fields = {"name": "Alice", "reference": "alice", "kind": "merchant", "mode": "live", "parent": ""}
    refused = root.post(path, fields | {"retention_days": "91"})
    assert "Nothing is kept for longer than 90 days here." in refused.content.decode()
    assert root.post(path, fields | {"retention_days": "30", "hears_all_operations": "on"}).status_code == 302
    merchant.refresh_from_db()
    assert (merchant.retention_days, merchant.hears_all_operations) == (30, True)
