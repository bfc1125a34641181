"""Every refusal and failure is an RFC 9457 problem, wherever it arises."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory

from config.api.problems import csrf_failure
from tests.subscriptions.conftest import URL, Api, Person, problem


@pytest.mark.parametrize(
    "path", ["/api/v2/nothing", "/api/", "/nothing", "/.well-known/nothing", "/api/v2/webhooks/config/"]
)
def test_an_unknown_route(client: Client, path: str) -> None:
    told = problem(client.get(path), 404, "not_found")
    assert told["instance"] == path
    assert told["type"] == "about:blank"
    assert told["title"] == "Not Found"


def test_a_browser_gets_a_page_outside_of_the_api(client: Client) -> None:
    for path, is_page in (("/nothing", True), ("/api/nothing", False)):
        answer = client.get(path, headers={"Accept": "text/html,*/*"})
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html") is is_page


def test_another_method_names_the_right_ones(alice: Person) -> None:
    answer = alice.api.post("/config", {})
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, PUT, DELETE"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "BREW"])
def test_an_odd_method(alice: Person, method: str) -> None:
    problem(alice.api(method, "/config"), 405, "method_not_allowed")


@pytest.mark.parametrize("host", ["evil.example", "a b", "[::1", "x" * 300])
def test_a_malformed_or_foreign_host(client: Client, host: str) -> None:
    problem(client.get("/api/v2/webhooks/config", headers={"Host": host}), 400, "bad_request")


@pytest.mark.parametrize("debug", [True, False])
def test_a_crash_tells_nothing(alice: Person, monkeypatch: pytest.MonkeyPatch, settings: Any, *, debug: bool) -> None:
    settings.DEBUG = debug
    monkeypatch.setattr("subscriptions.selectors.endpoints.find_primary", lambda merchant: 1 / 0)
    alice.api.client.raise_request_exception = False
    answer = alice.api.get("/config")
    problem(answer, 500, "internal_error")
    assert b"division" not in answer.content


def test_a_database_that_is_away_is_503(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("server closed the connection, password was hunter2")

    monkeypatch.setattr("subscriptions.services.keys.authenticate", fail)
    answer = alice.api.get("/config")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert b"hunter2" not in answer.content


def test_csrf() -> None:
    request = RequestFactory().post("/portal/", headers={"Accept": "application/json"})
    answer = csrf_failure(request, reason="no cookie")
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    page = csrf_failure(RequestFactory().post("/portal/", headers={"Accept": "text/html"}))
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [("abc-123_X.y", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("é", False), ("", False)],
)
def test_the_request_id(client: Client, given: str, *, is_kept: bool) -> None:
    shown = client.get("/api/nothing", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert (shown == given) is is_kept
    assert shown


def test_every_answer_has_a_request_id_of_its_own(alice: Person) -> None:
    ids = {alice.api.get("/endpoints").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    assert "" not in ids


@pytest.mark.parametrize("path", ["/endpoints/ep_%00", "/endpoints/%00/secret", "/%00"])
def test_nul_in_a_path_finds_nothing(alice: Person, path: str) -> None:
    problem(alice.api.get(path), 404, "not_found")


def test_nul_in_names_of_the_provider_finds_nothing(provider: Api, alice: Person) -> None:
    for path in ("/merchants/%00", "/event-types/a%00", "/merchants/alice/accounts/%00"):
        problem(provider.delete(path), 404, "not_found")
    problem(provider.put("/merchants/alice/accounts/a%00b"), 404, "not_found")
    problem(provider.get("/webhooks/config?merchant=a%00"), 400, "nul_character")


def test_accept_does_not_matter(alice: Person) -> None:
    answer = alice.api.get("/endpoints", Accept="application/xml")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"


def test_times_are_rfc_3339_in_utc(alice: Person) -> None:
    assert alice.api.put("/config", {"url": URL}).json()["created_at"].endswith("Z")
