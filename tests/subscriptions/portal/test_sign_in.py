"""Logging in by name or address, only to this host, and the choice of a merchant."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from subscriptions.models import AuditEntry
from subscriptions.services import merchants
from tests.subscriptions.conftest import NOW, Person
from tests.subscriptions.portal.conftest import PASSWORD, Browser, join, make_user

LOGIN = "/portal/login/"


def log_in(name: str, password: str = PASSWORD, *, client: Client | None = None, **more: str) -> Any:
    return (client or Client()).post(LOGIN, {"username": name, "password": password, **more})


@pytest.mark.parametrize("name", ["ann", "ann@shop.example", "Ann@Shop.example", " ann "])
def test_by_name_or_address(alice: Person, name: str) -> None:
    make_user("ann")
    client = Client()
    answer = log_in(name, client=client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/portal/")
    assert client.get("/portal/account/").status_code == 200
    assert AuditEntry.objects.get(action="login.succeeded").actor == "user:ann"


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("a\x00nn", "x"), ("ann", "a\x00")]
)
def test_a_wrong_one_says_the_same_for_every_name(alice: Person, name: str, password: str) -> None:
    make_user("ann")
    answer = log_in(name, password)
    assert answer.status_code == 200
    assert answer.context["error"] == "This name and password do not belong together. Mind upper and lower case."
    assert "_auth_user_id" not in answer.wsgi_request.session


def test_an_address_of_two_people_or_of_one_who_is_switched_off_is_nobodys(alice: Person) -> None:
    for name in ("ann", "eve"):
        User.objects.create_user(name, "both@shop.example", PASSWORD)
    User.objects.create_user("off", "off@shop.example", PASSWORD, is_active=False)
    for name in ("both@shop.example", "off@shop.example", "off"):
        assert log_in(name).status_code == 200


def test_a_name_that_is_somebody_elses_address_is_a_name(alice: Person) -> None:
    """Otherwise whoever takes such a name would lock its owner out, or get in."""
    make_user("ann")
    User.objects.create_user("ann@shop.example", "eve@shop.example", "the other password")
    assert log_in("ann@shop.example").status_code == 200
    assert log_in("ann@shop.example", "the other password").status_code == 302


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/portal/x/team/?a=b", "/portal/x/team/?a=b"),
        ("//evil.example/", "/portal/"),
        ("https://evil.example/", "/portal/"),
        ("/\\evil.example", "/portal/"),
        ("javascript:alert(1)", "/portal/"),
        ("", "/portal/"),
    ],
)
def test_next_is_kept_and_leads_nowhere_else(alice: Person, wanted: str, target: str) -> None:
    make_user("ann")
    shown = Client().get(LOGIN, {"next": wanted})
    assert shown.context["target"] == target
    assert log_in("ann", next=wanted).headers["Location"] == target
    assert log_in("ann", "wrong", next=wanted).context["target"] == target


def test_who_is_logged_in_goes_on(browser: Browser) -> None:
    assert browser().get(LOGIN).headers["Location"] == "/portal/"


def test_a_page_leads_to_the_login_and_back(page: Any) -> None:
    answer = Client().get(page("team/") + "?a=b")
    assert answer.headers["Location"] == f"{LOGIN}?next=%2Fportal%2F{page().split('/')[2]}%2Fteam%2F%3Fa%3Db"


def test_only_a_press_signs_out(browser: Browser, page: Any) -> None:
    client = browser()
    assert client.get("/portal/logout/").status_code == 405
    assert client.get(page("team/")).status_code == 200
    assert client.post("/portal/logout/").headers["Location"] == LOGIN
    assert client.get(page("team/")).status_code == 302


def test_too_many_tries_are_slowed_in_the_portals_look(alice: Person) -> None:
    make_user("ann")
    html = {"Accept": "text/html"}
    for _ in range(5):
        assert Client().post(LOGIN, {"username": "ann", "password": "x"}, headers=html).status_code == 200
    refused = Client().post(LOGIN, {"username": "ann", "password": PASSWORD}, headers=html)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) in {1, 2}
    assert "portal/slow_down.html" in [template.name for template in refused.templates]


def test_a_name_with_u0000_is_slowed_and_told_like_any_other(alice: Person) -> None:
    statuses = [log_in("a\x00b", "x").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


class TestChooser:
    def test_the_only_merchant_is_gone_to_straight(self, browser: Browser, page: Any) -> None:
        assert browser().get("/portal/").headers["Location"] == page()

    def test_of_several_the_list(self, browser: Browser, alice: Person, bob: Person, charlie: Person) -> None:
        client = browser("viewer", name="ann")
        join(bob.merchant, User.objects.get(username="ann"), "owner")
        alice.api.post("/endpoints", {"url": "https://93.184.215.14/in", "is_active": False})
        found = client.get("/portal/").context["found"].rows
        assert [(one.merchant.name, one.role, one.endpoints, one.off) for one in found] == [
            ("Alice", "viewer", 1, 1),
            ("Bob", "owner", 0, 0),
        ]

    def test_the_search_finds_names_and_references_of_ones_own(
        self, browser: Browser, bob: Person, charlie: Person
    ) -> None:
        client = browser(name="ann")
        join(bob.merchant, User.objects.get(username="ann"), "owner")
        for text, names in (("BO", ["Bob"]), ("li", ["Alice"]), ("charlie", []), ("\x00", ["Alice", "Bob"])):
            found = client.get("/portal/", {"q": text}).context["found"].rows
            assert [one.merchant.name for one in found] == names

    def test_without_any_it_says_what_to_do(self, db: None) -> None:
        client = Client()
        client.force_login(make_user("ann"))
        assert "Ask an owner to add you" in client.get("/portal/").content.decode()
        client.force_login(make_user("op", is_staff=True))
        assert 'href="/admin/"' in client.get("/portal/").content.decode()

    def test_a_deleted_merchant_is_gone(self, browser: Browser, alice: Person) -> None:
        client = browser()
        merchants.delete(merchant=alice.merchant, now=NOW, actor="system")
        assert "Ask an owner to add you" in client.get("/portal/").content.decode()

    def test_nobody_logs_in_first(self, db: None) -> None:
        assert Client().get("/portal/").headers["Location"] == LOGIN

    def test_four_statements_however_many(
        self, browser: Browser, bob: Person, charlie: Person, django_assert_num_queries: Any
    ) -> None:
        client = browser(name="ann")
        for person in (bob, charlie):
            join(person.merchant, User.objects.get(username="ann"), "owner")
        with django_assert_num_queries(4):
            assert client.get("/portal/").status_code == 200
