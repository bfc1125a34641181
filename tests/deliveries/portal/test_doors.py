"""Who may do what on these pages: every route, each kind of visitor, and nothing happens where somebody may not."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from deliveries.models import Delivery, Replay
from deliveries.portal import urls as pages_here
from deliveries.services import exports, replays
from subscriptions.models import Endpoint
from subscriptions.portal import urls as pages_below
from tests.deliveries.portal.visitors import Visitor, sign_in
from tests.security.tables import checksums

Make = Callable[..., Any]
READ_BY_DEVELOPERS = {
    "portal-endpoint-new",
    "portal-endpoint-edit",
    "portal-endpoint-secret",
    "portal-endpoint-rotate",
    "portal-endpoint-delete",
    "portal-endpoint-sample",
    "portal-endpoint-check",
    "portal-export-delete",
    "portal-endpoint-connectivity",
    "portal-endpoint-test",
    "portal-endpoint-again",
}
# Which a viewer does not even see.
POSTED: dict[str, dict[str, str]] = {
    "portal-endpoint-again": {"kind": "recover", "since": "2026-01-01T00:00", "agreed": "1"},
    "portal-endpoint-new": {"url": "https://93.184.215.14/x", "secret_way": "generate"},
    "portal-endpoint-edit": {"url": "https://93.184.215.14/x"},
    "portal-endpoint-rotate": {"overlap": "0"},
    "portal-exports": {"format": "csv"},
}
NOT_HERE = {"portal-keys", "portal-key-new", "portal-key-revoke", "portal-team", "portal-member-role", "portal-type"}
NOT_HERE |= {"portal-member-remove", "portal-member-invite", "portal-audit", "portal-catalogue"}
# Have their own tests.


@dataclass
class World:
    """Alice's objects by the names of the placeholders."""

    delivery: Delivery
    endpoint: Endpoint
    replay: str
    export: str
    named: dict[str, str] = field(default_factory=dict)

    def path(self, route: str) -> str:
        for name, text in self.named.items():
            route = re.sub(rf"<(?:\w+:)?{name}>", text, route)
        assert "<" not in route, f"{route}: the world has nothing for it"
        return route


def routes() -> list[tuple[str, str]]:
    """Name and path below the merchant of every page of a merchant's."""
    found = [
        (pattern.name, str(pattern.pattern).removeprefix("<str:merchant>/"))
        for urls in (pages_here, pages_below)
        for pattern in urls.urlpatterns
        if str(pattern.pattern).startswith("<str:merchant>/")
    ]
    return [(name, path) for name, path in found if name not in NOT_HERE]


@pytest.fixture
def world(endpoint: Endpoint, owe: Make) -> World:
    now = timezone.now()
    row = owe(endpoint, status="failed", reasons=(("http_gone", 410),))
    shop = endpoint.owner
    replay = replays.begin(
        endpoint=endpoint, kind=Replay.Kind.MISSING, since=now - timedelta(days=1), until=None, actor="test", now=now
    )
    export = exports.begin(
        merchant=shop, format="csv", since=None, until=None, include=["payloads"], actor="test", now=now
    )
    exports.advance(clock=timezone.now)
    made = World(row, endpoint, replay.public_id, export.public_id)
    made.named = {
        "endpoint": endpoint.public_id,
        "delivery": row.public_id,
        "replay": made.replay,
        "export": made.export,
        "number": "1",
    }
    return made


def data_for(name: str, world: World) -> dict[str, str]:
    return {"delivery": world.delivery.public_id} if name == "portal-log-resend" else POSTED.get(name, {})


def test_the_routes_are_those_that_are_thought_of() -> None:
    assert len(routes()) == 26
    assert READ_BY_DEVELOPERS | POSTED.keys() <= {name for name, _ in routes()}


def test_a_viewer_reads_and_changes_nothing(world: World, viewer: Visitor) -> None:
    before = checksums(but_not=["django_session"])
    for name, path in routes():
        read = viewer.get(world.path(path))
        may_not_look = name in READ_BY_DEVELOPERS
        assert (read.status_code == 403) is may_not_look, (name, read.status_code)
        posted = viewer.post(world.path(path), data_for(name, world))
        assert posted.status_code == 403, (name, posted.status_code)
        assert "Only developers and owners may do this" in posted.content.decode(), name
    assert checksums(but_not=["django_session"]) == before


def test_a_viewer_sees_no_form_but_the_sign_out_and_the_filters(world: World, viewer: Visitor) -> None:
    for name, path in routes():
        if name in READ_BY_DEVELOPERS | {"portal-export-file"}:
            continue
        for tab in ("", "?tab=signing", "?tab=test", "?tab=again", "?tab=settings"):
            body = viewer.client.get(viewer.address(world.path(path)) + tab).content.decode()
            posting = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', body)
            allowed = {"/portal/logout/", viewer.address("log/resend")}
            assert set(posting) <= allowed, (name, tab, posting)


@pytest.mark.parametrize("is_htmx", [False, True])
def test_for_charlie_there_is_nothing(is_htmx: bool, world: World, charlie: Visitor) -> None:
    before = checksums(but_not=["django_session"])
    headers = {"HX-Request": "true"} if is_htmx else {}
    for name, path in routes():
        address = charlie.address(world.path(path))
        for answer in (
            charlie.client.get(address, headers=headers),
            charlie.client.head(address, headers=headers),
            charlie.client.post(address, data_for(name, world), headers=headers),
        ):
            assert answer.status_code == 404, (name, answer.status_code)
            told = answer.content.decode()
            assert "shop.example" not in told
            assert "Alice" not in told
    assert checksums(but_not=["django_session"]) == before


def test_alices_objects_are_not_on_charlies_own_pages(world: World, make_merchant: Make) -> None:
    own = sign_in(make_merchant("dave"))
    before = checksums(but_not=["django_session"])
    for name, path in routes():
        if "<" not in path:
            continue
        for answer in (own.get(world.path(path)), own.post(world.path(path), data_for(name, world))):
            assert answer.status_code == 404, (name, answer.status_code)
            assert "shop.example" not in answer.content.decode()
    # A filter and a picked delivery of another's are nothing, too.
    assert own.get("log/", endpoint=world.endpoint.public_id).context["rows"] == []
    assert own.get("log/", open=world.delivery.public_id).status_code == 200
    assert "invoice.paid" not in own.read("log/", open=world.delivery.public_id).partition("Last answer")[2]
    own.post("log/resend", {"delivery": world.delivery.public_id})
    assert checksums(but_not=["django_session"]) == before


def test_who_is_not_signed_in_is_led_to_the_login(world: World, alice: Visitor) -> None:
    before = checksums(but_not=["django_session"])
    nobody = Visitor(alice.merchant, Client())
    for name, path in routes():
        read = nobody.get(world.path(path))
        assert (read.status_code, read.headers["Location"].partition("?")[0]) == (302, "/portal/login/"), name
        assert nobody.post(world.path(path), data_for(name, world)).status_code == 302, name
        asked = nobody.part(world.path(path))
        assert (asked.status_code, asked.headers["HX-Redirect"].partition("?")[0]) == (204, "/portal/login/"), name
    assert checksums(but_not=["django_session"]) == before


def test_a_form_of_another_site_is_refused(world: World, alice: Visitor) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = alice.client.cookies
    for name, path in routes():
        answer = strict.post(alice.address(world.path(path)), data_for(name, world))
        assert answer.status_code == 403, name
    assert Delivery.objects.get().status == "failed"
