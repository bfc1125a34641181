"""The document and the routes are the same set of operations, whoever added which."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from config.api.openapi.document import AREAS, document
from config.api.openapi.routes import PREFIXES, routes
from tests.subscriptions.conftest import Api

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
VALUES = {"part": "pem", "merchant": "nobody", "name": "nothing"}


def documented() -> set[str]:
    return {f"{method.upper()} {path}" for path, item in document()["paths"].items() for method in item}


def test_every_route_is_documented_and_nothing_else_is() -> None:
    written = [key for area in AREAS for key in area.operations]
    assert sorted(written) == sorted(routes())
    assert documented() == set(written)
    assert len(written) >= 70


def test_no_pattern_below_the_prefixes_is_overlooked() -> None:
    """Counted by another hand than that of `routes`."""

    def count(resolver: URLResolver, above: str) -> int:
        found = 0
        for entry in resolver.url_patterns:
            path = above + str(entry.pattern)
            found += count(entry, path) if isinstance(entry, URLResolver) else path.startswith(PREFIXES)
            assert isinstance(entry, URLResolver | URLPattern)
        return found

    assert count(get_resolver(), "/") == len(document()["paths"])


@pytest.mark.django_db
@pytest.mark.parametrize("path", sorted({route.path for route in routes().values()}))
def test_a_documented_method_is_answered_and_every_other_is_told_which_there_are(provider: Api, path: str) -> None:
    """Even where nothing else is right: no such merchant, no CSRF token."""
    known = {method.upper() for method in document()["paths"][path]}
    asked = re.sub(r"{(\w+)}", lambda found: VALUES.get(found[1], "x"), path)
    client = Client(enforce_csrf_checks=True)
    told: dict[str, Any] = {
        method: client.generic(method, f"{asked}?merchant=nobody", headers={"Authorization": f"Bearer {provider.key}"})
        for method in METHODS
    }
    assert {method for method, answer in told.items() if answer.status_code != 405} == known
    for method in set(METHODS) - known:
        allowed = set(told[method].headers["Allow"].split(", "))
        assert allowed == known | ({"HEAD"} if "GET" in known else set()), method
        assert told[method].json()["code"] == "method_not_allowed"


@pytest.mark.django_db
def test_nothing_but_what_is_public_is_answered_without_a_key() -> None:
    client = Client()
    public = {key for key, route in routes().items() if route.audience == "public"}
    for key in sorted(set(routes()) - public):
        method, _, path = key.partition(" ")
        answer = client.generic(method, re.sub(r"{(\w+)}", "x", path))
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json"), key
    assert public == {
        "GET /.well-known/webhook-keys",
        "GET /.well-known/webhook-keys/{name}.{part}",
        "GET /api/schema/",
        "GET /api/docs/",
    }
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            is_public = f"{method.upper()} {path}" in public
            assert operation["security"] == ([] if is_public else [{"bearer": []}, {"token": []}])
