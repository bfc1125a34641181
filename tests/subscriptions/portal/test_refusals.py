"""What the portal says when something cannot be done: in its own look, with a way on."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from subscriptions.errors import Conflict, Overloaded, Refusal, TooMany
from subscriptions.portal import doors
from tests.subscriptions.conftest import Person
from tests.subscriptions.portal.conftest import Browser

HTML = {"Accept": "text/html"}


def names(answer: Any) -> list[str]:
    return [template.name for template in answer.templates]


@pytest.mark.parametrize("path", ["/portal/no/such/page", "/portal/login", "/portal/mer_x/team/"])
def test_an_unknown_page(browser: Browser, path: str) -> None:
    answer = browser().get(path, headers=HTML)
    assert answer.status_code == 404
    assert "portal/missing.html" in names(answer)


@pytest.mark.parametrize("path", ["audit/?actor=%00", "log/?account=a%00", "catalogue/%00/", "log/%00/"])
def test_what_holds_u0000_finds_nothing(browser: Browser, page: Any, path: str) -> None:
    assert browser().get(page(path)).status_code == 404


def test_elsewhere_an_unknown_page_is_not_the_portals(db: None) -> None:
    assert "portal/missing.html" not in names(Client().get("/nothing", headers=HTML))


def test_without_the_role(browser: Browser, page: Any) -> None:
    answer = browser("viewer").get(page("keys/new"))
    assert answer.status_code == 403
    assert "Your role here is viewer. Only developers and owners may do this." in answer.content.decode()
    assert "portal/refused.html" in names(answer)


def test_a_form_that_another_site_made(alice: Person, page: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/portal/login/", {"username": "a"}, headers=HTML)
    assert answer.status_code == 403
    assert "portal/csrf.html" in names(answer)
    for referer, back in (
        ("http://testserver/portal/login/", "http://testserver/portal/login/"),
        ("http://evil/", "/portal/"),
    ):
        answer = strict.post("/portal/login/", headers=HTML | {"Referer": referer})
        assert f'href="{back}"' in answer.content.decode()


@pytest.mark.parametrize(
    ("refusal", "status", "retry"),
    [
        (Conflict("The sentence."), 409, None),
        (TooMany("The sentence.", retry_after_s=7), 429, "7"),
        (Overloaded("The sentence.", retry_after_s=3), 503, "3"),
    ],
)
@pytest.mark.parametrize("is_fragment", [True, False])
def test_what_services_refuse(
    alice: Person, refusal: Refusal, status: int, retry: str | None, *, is_fragment: bool
) -> None:
    request: Any = RequestFactory().get("/portal/", headers={"HX-Request": "true"} if is_fragment else {})
    request.visitor = doors.Visitor(alice.merchant, "owner", "user:ann", "Ann", "member")
    answer: HttpResponse = doors.refuse(request, refusal)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry)
    assert "The sentence." in answer.content.decode()
    assert ("<html" in answer.content.decode()) is not is_fragment
