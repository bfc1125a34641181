"""The catalogue: what merchants can hear of, its schema, its example, and which endpoints hear it."""

from typing import Any

import pytest
from django.test import Client

from tests.subscriptions.conftest import URL, Person, make_type
from tests.subscriptions.portal.conftest import Browser

SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string", "description": "Which <script>alert(1)</script> invoice."}},
    "required": ["id"],
}


@pytest.fixture
def viewer(browser: Browser) -> Client:
    return browser("viewer")


@pytest.fixture(autouse=True)
def types(db: None) -> None:
    make_type("invoice.paid", group="Invoices", description="An invoice was paid.", schema=SCHEMA, example={"id": "i1"})
    make_type("invoice.voided", group="Invoices")
    make_type("PAYMENT_COMPLETED", description="Money came.")
    make_type("old.type", archived=True)
    make_type("signet.endpoint.failing", group="signet")


def test_by_group_without_what_is_archived(viewer: Client, page: Any) -> None:
    groups = viewer.get(page("catalogue/")).context["groups"]
    assert {name: [row.type.name for row in rows] for name, rows in groups.items()} == {
        "Invoices": ["invoice.paid", "invoice.voided"],
        "signet": ["signet.endpoint.failing"],
        "Other": ["PAYMENT_COMPLETED"],
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("paid", ["invoice.paid"]),
        ("MONEY", ["PAYMENT_COMPLETED"]),
        ("old", []),
        ("inv", ["invoice.paid", "invoice.voided"]),
    ],
)
def test_the_search_reads_names_groups_and_descriptions(viewer: Client, page: Any, text: str, found: list[str]) -> None:
    groups = viewer.get(page("catalogue/"), {"q": text}).context["groups"]
    assert [row.type.name for rows in groups.values() for row in rows] == found


def test_how_many_of_ones_own_endpoints_hear_it(viewer: Client, alice: Person, charlie: Person, page: Any) -> None:
    for wanted in (None, ["invoice.*"], ["signet.*", "invoice.voided"]):
        alice.api.post("/endpoints", {"url": URL, "event_types": wanted})
    charlie.api.post("/endpoints", {"url": f"{URL}/charlies"})
    groups = viewer.get(page("catalogue/")).context["groups"]
    assert {row.type.name: row.hearing for rows in groups.values() for row in rows} == {
        "invoice.paid": 2,
        "invoice.voided": 3,
        "PAYMENT_COMPLETED": 1,
        # Not among "all": it has to be named.
        "signet.endpoint.failing": 1,
    }
    shown = viewer.get(page("catalogue/invoice.paid/"))
    assert len(shown.context["hearing"]) == 2
    assert "charlies" not in shown.content.decode()


def test_a_type_has_its_own_address(viewer: Client, page: Any) -> None:
    shown = viewer.get(page("catalogue/invoice.paid/"))
    text = shown.content.decode()
    [member] = shown.context["tree"].children
    assert (member.name, member.kind, member.is_required) == ("id", "string", True)
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    assert "&quot;id&quot;: &quot;i1&quot;" in text


def test_without_an_example_a_sample_is_shown_as_such(viewer: Client, page: Any) -> None:
    assert "what a test sends" in viewer.get(page("catalogue/invoice.voided/")).content.decode()


@pytest.mark.parametrize("name", ["old.type", "nothing", "invoice.paid%00"])
def test_what_is_archived_or_unknown_is_not_there(viewer: Client, page: Any, name: str) -> None:
    assert viewer.get(page(f"catalogue/{name}/")).status_code == 404


def test_five_statements_each(viewer: Client, alice: Person, page: Any, django_assert_num_queries: Any) -> None:
    for number in range(30):
        make_type(f"many.{number}", schema=SCHEMA)
    for path in ("catalogue/", "catalogue/invoice.paid/"):
        with django_assert_num_queries(5):
            assert viewer.get(page(path)).status_code == 200
