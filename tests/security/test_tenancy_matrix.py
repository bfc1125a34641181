"""Every route, every method, every kind of caller, with Alice's objects in it: nobody but Alice reaches them.

The routes come from the resolver: one that is not classified here fails, and so does one without an object of Alice's
for its placeholders.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from config.api import docs_views
from deliveries.models import Attempt, Delivery
from deliveries.services import expunges, publish
from dispatcher.ids import Prefix, parse, show
from subscriptions.api import key_views
from subscriptions.api.base import MerchantView, ProviderView
from subscriptions.models import AuditEntry, Merchant, MessageTemplate
from subscriptions.pages import views as pages
from subscriptions.services import keys, members, merchants, message_templates, portal_links
from tests.security.routes import Route, every_route
from tests.security.tables import checksums, rows_about
from tests.subscriptions.conftest import NOW, URL, Person, make_person, make_type

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
PUBLIC = (docs_views.schema, docs_views.docs, key_views.key_set, key_views.key_file, pages.unsubscribe, pages.confirm)
REDIRECTS = {
    "/": "/portal/",
    "/admin": "/admin/",
    "/portal": "/portal/",
    "/favicon.ico": "/static/portal/mark.svg",
}
PORTAL = "/portal/<str:merchant>/"
# Where a merchant's pages begin; what else is below /portal/ is the way in, and tells nothing of anybody.
FOR_ANY_STAFF = {
    "admin:index",
    "admin:login",
    "admin:logout",
    "admin:password_change",
    "admin:password_change_done",
    "admin:jsi18n",
}
CATALOGUE = {"/api/v2/webhooks/event-types/<str:name>"}
# The same for all merchants.
IDS = {
    "endpoint": Prefix.ENDPOINT,
    "rule": Prefix.RULE,
    "replay": Prefix.REPLAY,
    "export": Prefix.EXPORT,
    "expunge": Prefix.EXPUNGE,
    "webhook": Prefix.ENDPOINT,
    "merchant": Prefix.MERCHANT,
    "key": Prefix.API_KEY,
    "template": Prefix.MESSAGE_TEMPLATE,
    "member": Prefix.MEMBERSHIP,
    "delivery": Prefix.DELIVERY,
}
BODIES = {
    "/webhooks/rules/<str:rule>": {"name": "mine now", "recipients": [{"url": URL}]},
    "/verification/confirm": {"code": "123456"},
    "/webhooks/exports": {"format": "csv"},
    "/expunge": {"account": "alices/card"},
    "/recover": {"since": "2026-01-01T00:00:00Z"},
    "/replay-missing": {"since": "2026-01-01T00:00:00Z"},
    "/paisr/v1/webhooks/<str:webhook>": {"endpoint": URL, "events": ["*"]},
}
# Where an empty object is refused before anything is looked up.


def kind_of(route: Route) -> str:  # noqa: PLR0911 - a table
    """Raises for a route that nobody has thought of."""
    if route.view_class is not None and issubclass(route.view_class, MerchantView):
        return "merchant"
    if route.view_class is not None and issubclass(route.view_class, ProviderView):
        return "provider"
    if route.path in REDIRECTS:
        return "redirect"
    if route.view in PUBLIC:
        return "public"
    if route.path.startswith("/admin/"):
        return "admin"
    if route.path.startswith(PORTAL):
        return "portal"
    if route.path.startswith("/portal/"):
        return "door"
    raise AssertionError(f"{route.path}: whose route is this?")


ROUTES = {kind: [r for r in every_route() if kind_of(r) == kind] for kind in map(kind_of, every_route())}


def test_every_route_is_classified() -> None:
    assert sum(map(len, ROUTES.values())) == len(every_route())
    assert set(ROUTES) == {"merchant", "provider", "redirect", "public", "admin", "portal", "door"}
    # No view of another kind can hide among those of the API.
    for route in ROUTES["admin"] + ROUTES["redirect"] + ROUTES["public"] + ROUTES["portal"] + ROUTES["door"]:
        assert not route.path.startswith(("/api/v2/", "/paisr/"))


@dataclass
class World:
    alice: Person
    objects: dict[str, list[str]]
    """By the name of a placeholder: what of Alice's can stand there."""
    words: list[str] = field(default_factory=list)
    """What tells a row of hers, or an answer about her."""


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.EMAIL_BACKEND, settings.HAS_EMAIL = "django.core.mail.backends.locmem.EmailBackend", True
    alice = make_person("Alice")
    make_type("invoice.paid", example={"a": 1})
    post = alice.api.post
    secret = post("/endpoints", {"url": f"{URL}/alices-own", "auth": {"type": "bearer", "token": "t"}}).json()
    paisr = post("/endpoints", {"url": f"{URL}/alices-paisr", "profile": "paisr-v2"}).json()
    letter = post("/endpoints", {"url": "mailto:alices@signet.example", "channel": "email"})
    rule = post("/rules", {"recipients": [{"url": f"{URL}/alices-rule"}]}).json()
    plain = publish("invoice.paid", b'{"whose": "alices-payload"}', merchant="alice")
    named = publish("invoice.paid", b"{}", merchant="alice", id="alices/order-7")
    for delivery in Delivery.objects.all():
        Attempt.objects.create(
            delivery_id=delivery.id, number=1, trigger="event", is_counted=True, reason="delivered",
            url=URL, request_headers="", started_at=NOW,
        )  # fmt: skip
    replay = post(f"/endpoints/{secret['id']}/recover", {"since": (NOW - timedelta(days=1)).isoformat()}).json()
    export = post("/exports", {"format": "csv", "include": ["payloads"]}).json()
    expunge = expunges.expunge_account(merchant=alice.merchant, account="alices/old", actor="system", now=NOW)
    message_templates.create(data={"channel": "email", "subject": "s", "body": "b"}, now=NOW, actor="system")
    merchants.put_account(merchant=alice.merchant, reference="alices/card", now=NOW, actor="system")
    user = User.objects.create_user("ann", "alices-ann@shop.example")
    member = members.add(merchant=alice.merchant, user=user, data={"role": "owner"}, actor="system", now=NOW)
    endpoints = [secret["id"], paisr["id"]] + ([letter.json()["id"]] if letter.status_code == 201 else [])
    merchant = alice.merchant
    objects = {
        "endpoint": endpoints,
        "webhook": [paisr["id"]],
        "rule": [rule["id"]],
        "replay": [replay["id"]],
        "export": [export["id"]],
        "expunge": [expunge.public_id],
        "event": [plain.id, named.id],
        "merchant": [merchant.public_id, "alice"],
        "key": [merchant.api_keys.get().public_id],
        "reference": ["alices/card"],
        "name": ["invoice.paid"],
        "template": [MessageTemplate.objects.all()[0].public_id],
        "member": [member.public_id],
        "delivery": [delivery.public_id for delivery in Delivery.objects.all()[:2]],
        "number": ["1"],
    }
    rows = [parse(IDS[name], text) for name, texts in objects.items() if name in IDS for text in texts if "_" in text]
    rows += [*Delivery.objects.values_list("id", flat=True), parse(Prefix.EVENT, plain.id)]
    words = [str(row) for row in rows] + ["alices", secret["secret"]]
    words += [text for name, texts in objects.items() if name not in {"name", "template", "number"} for text in texts]
    words.remove("alice")
    return World(alice, objects, words)


@dataclass(frozen=True)
class Caller:
    """How somebody calls: with which headers, or with which session; and what is asked for besides the path."""

    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    user: str = ""


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def made(world: World, **values: Any) -> keys.NewKey:
    return keys.create(name="x", now=NOW, actor="system", **values)


def _revoked(world: World) -> Caller:
    key = made(world, merchant=world.alice.merchant)
    keys.revoke(key_id=key.row.id, merchant=world.alice.merchant, now=NOW, actor="system")
    return Caller(bearer(key.text))


def _staff(world: World) -> Caller:
    User.objects.create_user("clerk", is_staff=True)
    return Caller(user="clerk")


def _customer(world: World) -> Caller:
    User.objects.create_user("customer")
    return Caller(user="customer")


def _naming_bob(world: World) -> Caller:
    make_person("Bob")
    return Caller(bearer(made(world, merchant=None).text), query="merchant=bob")


CALLERS: dict[str, Callable[[World], Caller]] = {
    "nobody": lambda world: Caller(),
    "garbage key": lambda world: Caller(bearer("sgn_mer_abcdefghijkm_" + "x" * 43)),
    "other scheme": lambda world: Caller({"Authorization": "Basic YWxpY2U6YWxpY2U="}),
    "revoked key": _revoked,
    "expired key": lambda world: Caller(bearer(made(world, merchant=world.alice.merchant, expires_at=NOW).text)),
    "session": _staff,
    "charlie": lambda world: Caller(bearer(make_person("Charlie").api.key)),
    "charlie naming alice": lambda world: Caller(bearer(make_person("Charlie").api.key), query="merchant=alice"),
    "provider": lambda world: Caller(bearer(made(world, merchant=None).text)),
    "provider naming bob": _naming_bob,
}
LOCKED_OUT = {"nobody", "garbage key", "other scheme", "revoked key", "expired key", "session"}


def client_of(caller: Caller) -> Client:
    client = Client(headers=caller.headers, raise_request_exception=False)
    if caller.user:
        client.force_login(User.objects.get(username=caller.user))
    return client


def paths(route: Route, world: World) -> Iterator[str]:
    """The route with Alice's objects in it, one of each kind at a time."""
    names = re.findall(r"<(?:\w+:)?(\w+)>", route.path)
    for name in names:
        assert name in world.objects, f"{route.path}: the world has no {name}"
    most = max((len(world.objects[name]) for name in names), default=1)
    for number in range(most):
        path = route.path
        for name in names:
            choice = world.objects[name]
            path = re.sub(rf"<(?:\w+:)?{name}>", choice[number % len(choice)], path)
        yield path


def handled(route: Route, method: str) -> bool:
    view: Any = route.view_class
    return method.lower() in view.http_method_names and hasattr(view, "get" if method == "HEAD" else method.lower())


def body_of(route: Route) -> Any:
    return next((body for end, body in BODIES.items() if route.path.endswith(end)), {})


def expected(who: str, route: Route, method: str) -> set[int]:
    if who in LOCKED_OUT:
        return {401}
    if not handled(route, method):
        return {405}
    if kind_of(route) == "provider":
        # What the provider's own keys may do is told by the tests of each route.
        return {403}
    return {422} if who == "provider" else {404}


def ask(client: Client, method: str, path: str, body: Any, caller: Caller) -> Any:
    if caller.query:
        path += f"?{caller.query}"
    return client.generic(method, path, json.dumps(body).encode(), content_type="application/json")


@pytest.mark.parametrize("who", CALLERS)
def test_nobody_reaches_alices_objects(who: str, world: World) -> None:
    caller = CALLERS[who](world)
    client = client_of(caller)
    kinds = ("merchant",) if who.startswith("provider") else ("merchant", "provider")
    wrong: list[str] = []
    asked = 0
    for route in [route for kind in kinds for route in ROUTES[kind]]:
        is_about_alice = "<" in route.path and route.path not in CATALOGUE
        if not is_about_alice and who in {"charlie", "provider naming bob"} and kind_of(route) == "merchant":
            continue  # its own list: below
        for path in paths(route, world):
            before = checksums()
            for method in METHODS:
                answer = ask(client, method, path, body_of(route), caller)
                asked += 1
                if answer.status_code not in expected(who, route, method):
                    wrong.append(f"{method} {path}: {answer.status_code} {answer.content[:200]!r}")
            if checksums() != before:
                wrong.append(f"{path}: something was changed")
    assert wrong == []
    assert asked > 300


@pytest.mark.parametrize("who", ["charlie", "provider naming bob"])
def test_ones_own_lists_and_new_objects_have_nothing_of_alices(who: str, world: World) -> None:
    caller = CALLERS[who](world)
    client = client_of(caller)
    hers = rows_about(world.words)
    ids = world.objects
    bodies: list[Any] = [
        {},
        {"url": URL},
        {"endpoint": ids["endpoint"][0], "since": "2026-01-01T00:00:00Z"},
        {"url": URL, "events": ["*"], "endpoint": URL},
        {"url": URL, "rule": ids["rule"][0], "owner": "alice", "merchant": "alice", "id": ids["endpoint"][0]},
        {"recipients": [{"id": ids["endpoint"][0], "url": URL}]},
        {"recipients": [{"url": URL}]},
    ]
    told = [word for word in world.words if word != "invoice.paid"]
    wrong: list[str] = []
    for route in ROUTES["merchant"]:
        if "<" in route.path and route.path not in CATALOGUE:
            continue
        for path in paths(route, world):
            for method in METHODS:
                for body in bodies if method in {"POST", "PUT", "PATCH"} else [None]:
                    answer = ask(client, method, path, body, caller)
                    text = answer.content.decode()
                    echoed = str(body)
                    if answer.status_code >= 500 or any(word in text and word not in echoed for word in told):
                        wrong.append(f"{method} {path} {body}: {answer.status_code} {text[:300]}")
    assert wrong == []
    assert rows_about(world.words) == hers


FILTERS = {
    "/api/v2/webhooks/events": ("endpoint", "event", "account", "merchant"),
    "/api/v2/webhooks/replays": ("endpoint", "merchant"),
    "/api/v2/webhooks/exports": ("merchant",),
    "/api/v2/webhooks/stats": ("endpoint", "account", "merchant"),
    "/api/v2/webhooks/endpoints": ("merchant",),
    "/api/v2/webhooks/rules": ("merchant", "endpoint"),
    "/paisr/v1/webhooks": ("merchant",),
}


@pytest.mark.parametrize("path", FILTERS)
def test_filters_find_nothing_of_alices(path: str, world: World) -> None:
    charlie = make_person("Charlie")
    client = client_of(Caller(bearer(charlie.api.key)))
    values = world.objects | {"account": ["alices/card"]}
    for name in FILTERS[path]:
        for value in values[name]:
            answer = client.get(path, {name: value})
            assert answer.status_code in {200, 404, 422}
            text = answer.content.decode().replace(value, "")
            assert not any(word in text for word in world.words)
            if answer.status_code == 200 and path.endswith("/events"):
                assert answer.json() == []


def test_alices_cursors_open_only_her_lists(world: World) -> None:
    charlie = make_person("Charlie")
    mine, theirs = (client_of(Caller(bearer(key))) for key in (world.alice.api.key, charlie.api.key))
    lists = ["/api/v2/webhooks/endpoints", "/api/v2/webhooks/events"]
    for path in lists:
        answer = mine.get(path, {"limit": 1})
        cursor = answer.json()["next_cursor"] if isinstance(answer.json(), dict) else None
        if cursor is None:
            cursor = re.search(r"cursor=([^&>]+)", answer.headers["Link"])[1]  # type: ignore[index]
        assert mine.get(path, {"cursor": cursor}).status_code == 200
        refused = theirs.get(path, {"cursor": cursor})
        rows = refused.json() if refused.status_code == 200 else []
        assert rows == [] or refused.status_code == 422
        assert not any(word in refused.content.decode() for word in world.words)


def test_an_idempotency_key_repeats_only_ones_own_answer(world: World) -> None:
    charlie = make_person("Charlie")
    body = {"url": URL}
    first = world.alice.api.post("/endpoints", body, Idempotency_Key="same")
    other = charlie.api.post("/endpoints", body, Idempotency_Key="same")
    assert (first.status_code, other.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in other.headers
    assert first.json()["id"] != other.json()["id"]
    assert first.json()["secret"] != other.json()["secret"]
    again = world.alice.api.post("/endpoints", body, Idempotency_Key="same")
    assert again.json() == first.json()
    # The same provider for another merchant: another request, not another's answer.
    provider = made(world, merchant=None).text
    client = client_of(Caller(bearer(provider)))
    sent: dict[str, Any] = {"data": b'{"url": "%s"}' % URL.encode(), "content_type": "application/json"}
    headers = {"Idempotency-Key": "p"}
    of_alice = client.post("/api/v2/webhooks/endpoints?merchant=alice", **sent, headers=headers)
    of_charlie = client.post("/api/v2/webhooks/endpoints?merchant=charlie", **sent, headers=headers)
    assert (of_alice.status_code, of_charlie.status_code) == (201, 409)


def _portal_client(who: str, world: World) -> Client:
    """`charlie` is an owner of another merchant, `guest` came there by a link, `operator` looks at it for an hour."""
    charlie = make_person("Charlie")
    user = User.objects.create_user("charlie", is_staff=True)
    client = Client(raise_request_exception=False)
    if who == "charlie":
        members.add(merchant=charlie.merchant, user=user, data={"role": "owner"}, actor="system", now=NOW)
        client.force_login(user)
    elif who == "operator":
        user.user_permissions.add(Permission.objects.get(codename="enter_portal"))
        client.force_login(user)
        assert client.post(f"/admin/subscriptions/merchant/{charlie.merchant.pk}/portal/").status_code == 302
    elif who == "guest":
        link = portal_links.create(merchant=charlie.merchant, data={}, now=timezone.now(), actor="system")
        assert client.post(f"/portal/enter/{link.token}").status_code == 303
    elif who == "staff":
        client.force_login(user)
    if who in {"charlie", "operator", "guest"}:
        assert client.get(f"/portal/{charlie.merchant.public_id}/").status_code == 200
    return client


@pytest.mark.parametrize("who", ["nobody", "staff", "charlie", "guest", "operator"])
def test_alices_portal_is_hers(who: str, world: World) -> None:
    client = _portal_client(who, world)
    before = checksums(but_not=["django_session"])
    wrong: list[str] = []
    asked = 0
    for route in ROUTES["portal"]:
        for path in paths(route, world):
            for method, sent in [("GET", {}), ("POST", {"role": "viewer", "name": "x", "email": "charlie@x.example"})]:
                answer = client.get(path) if method == "GET" else client.post(path, sent)
                asked += 1
                if who == "nobody":
                    fine = answer.status_code == 302 and answer.headers["Location"].startswith("/portal/login/")
                else:
                    # A page that does not exist, or the framework's own for a method that it does not take.
                    fine = answer.status_code in {404, 405}
                if not fine or any(word in answer.content.decode() for word in world.words[:4]):
                    wrong.append(f"{method} {path}: {answer.status_code}")
    assert wrong == []
    assert asked > 60
    assert checksums(but_not=["django_session"]) == before


def test_in_ones_own_portal_alices_objects_are_not_there(world: World) -> None:
    client = _portal_client("charlie", world)
    mine = Merchant.objects.get(reference="charlie").public_id
    before = checksums(but_not=["django_session"])
    wrong: list[str] = []
    for route in ROUTES["portal"]:
        if route.path.count("<") == 1 or route.view_name == "portal-type":
            continue  # its own, or everybody's
        hers = Route(route.path.replace("<str:merchant>", mine), route.view, route.view_name)
        for path in paths(hers, world):
            shown, done = client.get(path), client.post(path, {"role": "viewer"})
            # What is only for forms leads whoever looks at it back to a page of one's own.
            is_back = shown.status_code == 303 and shown.headers["Location"].startswith(f"/portal/{mine}/")
            if (shown.status_code != 404 and not is_back) or done.status_code != 404:
                wrong.append(f"{path}: {shown.status_code}, {done.status_code}")
    assert wrong == []
    assert checksums(but_not=["django_session"]) == before


@pytest.mark.parametrize("who", ["nobody", "customer", "provider", "session"])
def test_the_admin_is_for_staff_with_the_permission(who: str, world: World) -> None:
    caller = _customer(world) if who == "customer" else CALLERS[who](world)
    client = client_of(caller)
    objects = {
        "object_id": [str(parse(IDS[name], world.objects[name][0])) for name in ("endpoint", "merchant", "key", "rule")]
        + [str(row.id) for row in (AuditEntry.objects.all()[0], Delivery.objects.all()[0], Attempt.objects.all()[0])],
        "id": [str(User.objects.create_superuser("root").id)],
        "content_type_id": ["1"],
        "url": ["x"],
    }
    wrong: list[str] = []
    before = checksums(but_not=["django_session"])
    for route in ROUTES["admin"]:
        path = re.sub(r"\^?\(\?P<app_label>(\w+)\|[^)]*\)/\$", r"\1/", route.path).replace("(?P<url>.*)$", "x")
        for number in range(7 if "object_id" in route.path else 1):
            address = path
            for name, choice in objects.items():
                address = re.sub(rf"<(?:\w+:)?{name}>", choice[number % len(choice)], address)
            for method in ("GET", "POST"):
                if route.view_name in {"admin:login", "admin:logout"}:
                    continue
                answer = client.generic(method, address)
                if who == "session":
                    fine = answer.status_code in {403, 404, 405} or route.view_name in FOR_ANY_STAFF
                    # Nothing is there, or the page that a short address stands for, which then refuses.
                    short = answer.status_code == 302 and not route.view_name
                    fine = fine or short or answer.headers.get("Location") == "/admin/"
                else:
                    fine = answer.status_code == 302 and answer.headers["Location"].startswith("/admin/login/")
                if not fine or any(word in answer.content.decode() for word in world.words[:4]):
                    wrong.append(f"{method} {address}: {answer.status_code} {answer.headers.get('Location')}")
    assert wrong == []
    assert checksums(but_not=["django_session"]) == before


def test_redirects_lead_where_they_shall_and_nowhere_else(db: None) -> None:
    for path, target in REDIRECTS.items():
        assert Client().get(path).headers["Location"] == target
        assert Client().get(f"{path}?next=//evil.example").headers["Location"] == target


def test_what_is_public_tells_nothing_of_merchants(world: World) -> None:
    for path in ("/api/schema/", "/api/docs/", "/.well-known/webhook-keys", "/.well-known/webhook-keys/x.pem"):
        text = Client().get(path).content.decode()
        assert not any(word in text for word in world.words)
    assert show(Prefix.MERCHANT, world.alice.merchant.id) == world.alice.merchant.public_id
