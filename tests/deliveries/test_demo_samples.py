"""The demo's events are true to their catalogues and to each other."""

from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any

import jsonschema_rs
import pytest

from deliveries.demo.model import Event, System
from deliveries.demo.systems import SHOWN_MERCHANT, SYSTEMS
from subscriptions.providers import PROVIDERS

NOW = datetime(2026, 3, 2, 9, 30, 0, 125_000, tzinfo=UTC)

by_system = pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)


def drawn(system: System, count: int = 2_000) -> list[Event]:
    source = system.source(Random(system.name))
    return [source.draw(NOW) for _ in range(count)]


def system_named(name: str) -> System:
    return next(system for system in SYSTEMS if system.name == name)


def test_all_five_systems_take_part() -> None:
    assert {system.name for system in SYSTEMS} == set(PROVIDERS)


@by_system
def test_every_sample_satisfies_the_schema_of_its_type(system: System) -> None:
    schemas = {type_.name: dict(type_.schema) for type_ in PROVIDERS[system.name].types}
    checks = {
        name: jsonschema_rs.Draft202012Validator(schema, validate_formats=True) for name, schema in schemas.items()
    }

    for event in drawn(system):
        checks[event.type].validate(event.payload)


@by_system
def test_no_two_events_have_the_same_key(system: System) -> None:
    keys = Counter(event.key for event in drawn(system) if event.type != "card_state")

    assert keys.most_common(1)[0][1] == 1


@by_system
def test_every_event_names_a_merchant_or_an_account_of_its_system(system: System) -> None:
    accounts = {account for merchant in system.merchants for account in merchant.accounts}
    merchants = {merchant.reference for merchant in system.merchants}

    for event in drawn(system, 500):
        assert event.merchant or event.account
        assert event.merchant in {None, *merchants}
        assert event.account in {None, *accounts}


@by_system
def test_every_endpoint_hears_something(system: System) -> None:
    """By its types; whose events it hears is the platform's to find."""
    types = {event.type for event in drawn(system)}
    wanted = [endpoint.event_types for endpoint in system.endpoints] + [rule.event_types for rule in system.rules]

    for names in filter(None, wanted):
        for name in names:
            assert any(type_ == name or type_.startswith(name.removesuffix("*")) for type_ in types), name


def test_the_platform_has_to_find_the_merchant_of_some_cards() -> None:
    named = Counter((event.merchant is not None, event.account is not None) for event in drawn(system_named("card")))

    assert set(named) == {(True, True), (False, True)}
    assert min(named.values()) > 200


def test_paysera_leaves_out_what_is_empty() -> None:
    events = drawn(system_named("paysera"))

    assert all(value not in {"", None} for event in events for value in event.payload.values())
    assert all(("credit" in event.payload) == (event.payload["type"] != "FX") for event in events)


def test_a_paysafe_payment_goes_from_step_to_step() -> None:
    steps: dict[Any, list[str]] = {}
    for event in drawn(system_named("paysafe")):
        steps.setdefault(event.payload["id"], []).append(event.type)
        assert event.payload["links"][0]["href"].endswith(event.payload["id"])

    whole = ["PAYMENT_HANDLE_PAYABLE", "PAYMENT_PROCESSING", "PAYMENT_COMPLETED", "SETTLEMENT_COMPLETED"]
    failed = [*whole[:2], "PAYMENT_FAILED"]
    assert all(taken in (whole[: len(taken)], failed) for taken in steps.values())
    assert whole in steps.values()
    assert failed in steps.values()


def test_a_paisr_event_tells_no_more_than_an_id() -> None:
    events = drawn(system_named("paisr"))

    assert {frozenset(event.payload) for event in events} == {frozenset({"id"})}
    created = [event.payload["id"] for event in events if event.type == "invoice.created"]
    paid = {event.payload["id"] for event in events if event.type == "invoice.paid"}
    assert paid < set(created)


def test_a_modified_object_of_the_gateway_names_what_it_changed() -> None:
    events = drawn(system_named("gateway"))

    assert {event.type for event in events} == {type_.name for type_ in PROVIDERS["gateway"].types}
    for event in events:
        changed = event.payload.get("changed")
        assert (changed is not None) == event.type.endswith("-modified")
        assert set(changed or ()) <= set(event.payload)


def test_systems_share_no_merchant_account_or_path() -> None:
    everybody = [merchant for system in SYSTEMS for merchant in system.hierarchy]
    accounts = [account for merchant in everybody for account in merchant.accounts]
    paths = [webhook.path for system in SYSTEMS for webhook in system.webhooks]

    assert len({merchant.reference for merchant in everybody}) == len(everybody)
    assert len(set(accounts)) == len(accounts) == 4 * (2 + 4) + 3 + 3
    assert len(set(paths)) == len(paths)
    assert SHOWN_MERCHANT in {merchant.reference for merchant in everybody}
