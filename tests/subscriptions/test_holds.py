"""Holding: an operator stops what is sent; what was off before stays so; a release gives back what was held."""

from typing import Any

import pytest

from subscriptions.errors import Conflict, NotFound
from subscriptions.models import AuditEntry, Endpoint
from subscriptions.services import endpoints, holds, merchants
from tests.subscriptions.conftest import NOW, URL, Person

WHO: dict[str, Any] = {"now": NOW, "actor": "user:op"}


def make(person: Person) -> Endpoint:
    return endpoints.create(merchant=person.merchant, data={"url": URL}, **WHO).endpoint


def states(person: Person) -> list[tuple[bool, str]]:
    return list(
        Endpoint.objects.filter(owner=person.merchant).order_by("id").values_list("is_active", "disabled_reason")
    )


def actions() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(actor="user:op").exclude(action="endpoint.created").order_by("id")
    return list(rows.values_list("action", "target"))


@pytest.fixture(autouse=True)
def _quiet(rung: list[list[str]]) -> None:
    """Nobody is rung for."""


def test_a_merchant_is_held_and_released_as_it_was(alice: Person, charlie: Person) -> None:
    first, off, second, hers = make(alice), make(alice), make(alice), make(charlie)
    endpoints.disable(endpoint_id=off.id, reason="paused", **WHO)
    held = holds.hold_merchant(merchant=alice.merchant, reason="Fraud check", **WHO)
    assert held == [first.id, second.id]
    assert states(alice) == [(False, holds.HELD), (False, "paused"), (False, holds.HELD)]
    assert states(charlie) == [(True, "")]
    noted = AuditEntry.objects.get(action="merchant.held")
    assert (noted.merchant, noted.detail) == (alice.merchant, {"reason": "Fraud check", "endpoints": 2})
    released = holds.let_go(merchant=alice.merchant, **WHO)
    assert [endpoint.id for endpoint in released] == held
    assert states(alice) == [(True, ""), (False, "paused"), (True, "")]
    assert ("merchant.released", alice.merchant.public_id) in actions()
    assert hers.is_active


def test_one_endpoint_is_held_and_released(alice: Person) -> None:
    first, second = make(alice), make(alice)
    for endpoint in (first, second):
        holds.hold_endpoint(endpoint_id=endpoint.id, reason="Asked by phone", **WHO)
    holds.let_go(merchant=alice.merchant, endpoint_id=second.id, **WHO)
    assert states(alice) == [(False, holds.HELD), (True, "")]
    assert [action for action, target in actions() if target == second.public_id] == [
        "endpoint.disabled",
        "endpoint.held",
        "endpoint.enabled",
    ]
    assert AuditEntry.objects.filter(action="endpoint.held")[0].detail == {"reason": "Asked by phone"}


def test_what_is_off_is_not_held_and_what_is_not_held_not_released(alice: Person, charlie: Person) -> None:
    endpoint, hers = make(alice), make(charlie)
    endpoints.disable(endpoint_id=endpoint.id, reason="paused", **WHO)
    before = actions()
    for refused in (
        lambda: holds.hold_endpoint(endpoint_id=endpoint.id, reason="x", **WHO),
        lambda: holds.hold_merchant(merchant=alice.merchant, reason="x", **WHO),
        lambda: holds.let_go(merchant=alice.merchant, **WHO),
        lambda: holds.let_go(merchant=alice.merchant, endpoint_id=endpoint.id, **WHO),
    ):
        with pytest.raises(Conflict):
            refused()
    assert states(alice) == [(False, "paused")]
    assert actions() == before
    assert hers.is_active


def test_a_strangers_endpoint_is_not_released_through_another_merchant(alice: Person, charlie: Person) -> None:
    mine = make(alice)
    holds.hold_endpoint(endpoint_id=mine.id, reason="x", **WHO)
    with pytest.raises(Conflict):
        holds.let_go(merchant=charlie.merchant, endpoint_id=mine.id, **WHO)
    assert states(alice) == [(False, holds.HELD)]


def test_a_deleted_merchant_has_nothing_to_hold(alice: Person) -> None:
    make(alice)
    merchants.delete(merchant=alice.merchant, **WHO)
    with pytest.raises(NotFound):
        holds.hold_merchant(merchant=alice.merchant, reason="x", **WHO)


def test_one_that_its_merchant_enabled_itself_is_held_no_more(alice: Person) -> None:
    endpoint = make(alice)
    holds.hold_endpoint(endpoint_id=endpoint.id, reason="x", **WHO)
    endpoints.enable(merchant=alice.merchant, endpoint_id=endpoint.id, now=NOW, actor="key:1")
    with pytest.raises(Conflict):
        holds.let_go(merchant=alice.merchant, endpoint_id=endpoint.id, **WHO)
    assert states(alice) == [(True, "")]
