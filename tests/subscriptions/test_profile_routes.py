"""GET /profiles: the built-in formats and the provider's own, in pages, the same for every merchant."""

import json
import logging
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dispatcher.profiles.catalogue import PROFILES
from subscriptions.models import WireProfile
from subscriptions.services import profiles
from tests.subscriptions.conftest import NOW, Api, Person, problem

DEFINITION: dict[str, Any] = {
    "headers": [["Acme-Id", "{id}"]],
    "signatures": [{"name": "Acme-Signature", "key": "hex"}],
    "ack": {"type": "body_starts_with", "value": "OK"},
    "retry": {"schedule": [60, 600]},
    "key_form": "hex",
}


def make(name: str, **members: Any) -> WireProfile:
    data = {"name": name, "description": f"{name}'s", "definition": DEFINITION | members}
    return profiles.create(data=data, now=NOW, actor="system")


def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.get(f"/profiles{query}").json()["data"]
    return rows


def test_built_in_ones_come_first_and_own_ones_by_name(alice: Person) -> None:
    make("zebra")
    make("acme")
    shown = listed(alice.api)
    assert [row["name"] for row in shown] == [*PROFILES, "acme", "zebra"]
    assert [row["is_built_in"] for row in shown] == [True] * len(PROFILES) + [False] * 2


def test_what_is_shown_of_an_own_one(alice: Person) -> None:
    make("acme")
    assert listed(alice.api)[-1] == {
        "name": "acme",
        "description": "acme's",
        "is_built_in": False,
        "signed_by": "secret",
        "secret_form": "hex",
        "headers": ["Acme-Id", "Acme-Signature"],
        "ack": {"type": "body_starts_with", "value": "OK"},
        "retry_schedule": [60, 600],
    }


def test_what_is_shown_of_built_in_ones(alice: Person) -> None:
    shown = {row["name"]: row for row in listed(alice.api)}
    assert (shown["paysera"]["signed_by"], shown["paysera"]["secret_form"]) == ("provider", None)
    assert shown["gateway"]["signed_by"] is None
    assert shown["paysera-checkout-classic"]["signed_by"] == "secret"
    assert shown["paysera-checkout"]["retry_schedule"] == [3600, 18_000, 90_000]
    assert len(shown["paisr"]["retry_schedule"]) == 10
    assert (shown["github"]["retry_schedule"], shown["github"]["ack"]) == (None, {"type": "2xx"})
    assert shown["github"]["headers"] == ["X-GitHub-Event", "X-GitHub-Delivery", "X-Hub-Signature-256"]


@pytest.mark.parametrize("limit", [1, 3, len(PROFILES), len(PROFILES) + 1])
def test_pages_join_without_a_gap(limit: int, alice: Person) -> None:
    for name in ("acme", "beta", "gamma"):
        make(name)
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = alice.api.get(f"/profiles?limit={limit}&cursor={cursor}").json()
        assert 1 <= len(page["data"]) <= limit
        names += [row["name"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert names == [*PROFILES, "acme", "beta", "gamma"]


def test_one_that_cannot_be_read_is_left_out_and_the_list_goes_on(
    alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("acme", "beta", "gamma"):
        make(name)
    WireProfile.objects.filter(name="beta").update(definition={"signatures": "none of your business"})
    with caplog.at_level(logging.ERROR):
        first = alice.api.get(f"/profiles?limit={len(PROFILES) + 2}").json()
    assert [row["name"] for row in first["data"]] == [*PROFILES, "acme"]
    assert [record.name for record in caplog.records] == ["subscriptions.selectors.profiles"]
    rest = alice.api.get(f"/profiles?cursor={first['next_cursor']}").json()
    assert [row["name"] for row in rest["data"]] == ["gamma"]


def test_a_cursor_of_somebody_elses_list_is_refused(alice: Person, charlie: Person) -> None:
    cursor = alice.api.get("/profiles?limit=1").json()["next_cursor"]
    problem(charlie.api.get(f"/profiles?cursor={cursor}"), 422, "invalid")
    problem(alice.api.get("/profiles?limit=0"), 422, "invalid")


def test_a_page_is_one_statement_for_the_own_ones(alice: Person) -> None:
    alice.api.get("/profiles")
    with CaptureQueriesContext(connection) as few:
        alice.api.get("/profiles")
    for name in ("acme", "beta", "gamma"):
        make(name)
    with CaptureQueriesContext(connection) as many:
        alice.api.get("/profiles")
    assert len(many) == len(few)
    assert len([query for query in many if "wireprofile" in query["sql"]]) == 1


def test_nothing_shown_is_a_template_or_a_key(alice: Person) -> None:
    make("acme", headers=[["Acme-Token", "not-for-merchants"]])
    assert "not-for-merchants" not in json.dumps(listed(alice.api))
