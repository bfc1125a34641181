"""The demo's payloads are what its catalogue says they are, and agree with each other."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from deliveries.demo.cast import ENDPOINTS, HIERARCHY, MERCHANTS
from deliveries.demo.catalogue import TYPES, PlannedType
from deliveries.demo.samples import Books
from deliveries.demo.stream import draw_event

NOW = datetime(2026, 3, 2, 9, 30, 0, 125_000, tzinfo=UTC)
JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "null": type(None),
}
CHECKED = {
    *("$schema", "type", "properties", "required", "additionalProperties", "items", "minItems", "minimum"),
    *("pattern", "format", "enum", "const", "anyOf"),
}
FORMATS = {"date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "date": r"\d{4}-\d\d-\d\d"}


def faults(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """What is wrong by the words of JSON Schema that the demo uses; an unknown word is wrong as well."""
    found = [f"{at}: unknown word {word}" for word in schema.keys() - CHECKED]
    if "anyOf" in schema:
        choices = [faults(value, choice, at) for choice in schema["anyOf"]]
        return found + ([] if not all(choices) else [f"{at}: none of {choices}"])
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if value not in schema.get("enum", [value]):
        found.append(f"{at}: {value!r} is not in {schema['enum']}")
    if "type" in schema and not isinstance(value, JSON_TYPES[schema["type"]]):
        return [*found, f"{at}: {value!r} is no {schema['type']}"]
    return found + _faults_inside(value, schema, at)


def _faults_inside(value: Any, schema: dict[str, Any], at: str) -> list[str]:
    found = []
    if isinstance(value, dict):
        names, known = set(value), set(schema["properties"])
        found += [f"{at}: member {name}" for name in (names - known) | (set(schema["required"]) - names)]
        for name in names & known:
            found += faults(value[name], schema["properties"][name], f"{at}/{name}")
    if isinstance(value, list):
        found += [f"{at}: too short"] if len(value) < schema.get("minItems", 0) else []
        for position, item in enumerate(value):
            found += faults(item, schema["items"], f"{at}/{position}")
    if isinstance(value, str):
        patterns = [schema.get("pattern", ""), FORMATS.get(schema.get("format", ""), "")]
        found += [f"{at}: {value!r} does not match {p}" for p in patterns if p and not re.search(p, value)]
    if isinstance(value, int) and value < schema.get("minimum", value):
        found.append(f"{at}: {value} is too small")
    return found


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_every_sample_satisfies_the_schema_of_its_type(kind: PlannedType) -> None:
    books = Books(Random(kind.name))

    for number in range(300):
        sample = kind.make(books, MERCHANTS[number % len(MERCHANTS)], NOW)

        assert faults(sample.payload, kind.schema) == []


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_the_example_satisfies_the_schema_and_is_always_the_same(kind: PlannedType) -> None:
    assert faults(kind.example, kind.schema) == []
    assert kind.example == kind.example
    assert json.loads(json.dumps(kind.schema)) == kind.schema


def test_the_check_finds_what_is_wrong() -> None:
    kind = TYPES[0]
    wrong = {**kind.example, "status": "lost", "id": 7, "more": True}
    del wrong["kind"]

    assert sorted(faults(wrong, kind.schema)) == [
        "/id: 7 is no string",
        "/status: 'lost' is not in ['authorised', 'cleared', 'declined', 'reversed']",
        ": member kind",
        ": member more",
    ]


def test_the_balance_follows_from_the_amounts() -> None:
    books = Books(Random(1))
    balances: dict[str, Decimal] = {}

    for _ in range(200):
        payload = books.account_transaction(MERCHANTS[0], NOW).payload
        balance, amount = Decimal(payload["balance_after"]["value"]), Decimal(payload["amount"]["value"])
        assert balances.get(payload["account_id"], balance - amount) + amount == balance
        balances[payload["account_id"]] = balance

    assert set(balances) == set(MERCHANTS[0].accounts)


def test_an_invoice_is_paid_after_it_was_created_and_only_once() -> None:
    books = Books(Random(2))
    created = [books.invoice_created(MERCHANTS[0], NOW).payload for _ in range(3)]
    failed = books.invoice_payment_failed(MERCHANTS[0], NOW).payload
    paid = [books.invoice_paid(MERCHANTS[0], NOW).payload for _ in range(3)]

    assert failed["id"] == created[0]["id"]
    assert [invoice["id"] for invoice in paid] == [created[1]["id"], created[2]["id"], created[0]["id"]]
    assert paid[2]["total"] == created[0]["total"]
    assert books.invoice_paid(MERCHANTS[0], NOW).payload["id"] not in {invoice["id"] for invoice in created}


def test_an_invoice_adds_up() -> None:
    payload = Books(Random(3)).invoice_created(MERCHANTS[1], NOW).payload

    assert sum(Decimal(line["amount"]) for line in payload["lines"]) == Decimal(payload["subtotal"])
    assert Decimal(payload["subtotal"]) + Decimal(payload["tax"]) == Decimal(payload["total"])


def test_merchants_share_no_account_card_or_reference() -> None:
    accounts = [account for merchant in MERCHANTS for account in merchant.accounts]
    cards = [card.reference for merchant in MERCHANTS for card in merchant.cards]

    assert len({*accounts, *cards}) == 4 * (2 + 4)
    assert len({merchant.reference for merchant in HIERARCHY}) == len(HIERARCHY)
    assert len({planned.path for planned in ENDPOINTS}) == len(ENDPOINTS)


def test_the_stream_names_account_or_merchant_or_both_and_every_type_comes() -> None:
    random = Random(4)
    books = Books(random)
    events = [draw_event(books, random, now=NOW) for _ in range(2_000)]
    named = Counter(("merchant" in event, "account" in event) for event in events)

    assert {event["type"] for event in events} == {planned.name for planned in TYPES}
    assert set(named) == {(True, False), (False, True), (True, True)}
    assert all("account" not in event for event in events if event["type"].startswith("invoice."))
    assert min(named.values()) > 200
