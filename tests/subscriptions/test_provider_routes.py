"""What the provider keeps: merchants and who stands above whom, accounts, the catalogue; and lists by key."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from django.db import connection

from subscriptions.models import Account, ApiKey, AuditEntry, Endpoint, EventType, Merchant
from tests.subscriptions.conftest import URL, Api, Person, faults, make_provider, make_type, problem


def make(provider: Api, name: str, **values: Any) -> str:
    made = provider.post("/merchants", {"name": name} | values)
    assert made.status_code == 201, made.content
    return str(made.json()["id"])


def test_a_merchant_is_what_was_sent(provider: Api) -> None:
    top = make(provider, "Top", kind="reseller", reference="top")
    made = provider.post("/merchants", {"name": "Shop", "reference": "shop-1", "parent": "top"})
    shown = made.json()
    assert made.headers["Location"] == f"/api/v2/merchants/{shown['id']}"
    expected = {"name": "Shop", "reference": "shop-1", "kind": "merchant", "parent": top}
    assert {name: shown[name] for name in expected} == expected
    for named in (shown["id"], "shop-1"):
        assert provider.get(f"/merchants/{named}").json() == shown


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/name": "required"}),
        ({"name": ""}, {"/name": "wrong_length"}),
        (
            {"name": 5, "kind": "shop", "x": 1},
            {"/name": "wrong_type", "/kind": "unknown_choice", "/x": "unknown_field"},
        ),
        ({"name": "a", "reference": ""}, {"/reference": "wrong_length"}),
        ({"name": "a", "reference": "mer_x"}, {"/reference": "reserved_reference"}),
        ({"name": "a", "reference": "a\u0085b\n"}, {"/reference": "control_character"}),
        ({"name": "a", "parent": "nobody"}, {"/parent": "unknown_merchant"}),
        ({"name": "a", "parent": 5}, {"/parent": "wrong_type"}),
    ],
)
def test_wrong_merchants(provider: Api, body: dict[str, Any], expected: dict[str, str]) -> None:
    assert faults(provider.post("/merchants", body)) == expected
    assert Merchant.objects.count() == 0


def test_a_reference_is_taken_once(provider: Api) -> None:
    make(provider, "A", reference="r")
    other = make(provider, "B")
    problem(provider.post("/merchants", {"name": "C", "reference": "r"}), 409, "reference_taken")
    problem(provider.patch(f"/merchants/{other}", {"reference": "r"}), 409, "reference_taken")
    provider.delete("/merchants/r")
    make(provider, "D", reference="r")


def test_a_patch_of_a_merchant(provider: Api) -> None:
    top = make(provider, "Top", kind="portfolio")
    shop = make(provider, "Shop", reference="s", parent=top)
    shown = provider.patch(f"/merchants/{shop}", {"name": "New", "parent": None, "reference": None}).json()
    assert (shown["name"], shown["parent"], shown["reference"], shown["kind"]) == ("New", None, None, "merchant")


def test_no_circles(provider: Api) -> None:
    top = make(provider, "Top")
    middle = make(provider, "Middle", parent=top)
    low = make(provider, "Low", parent=middle)
    for child, parent in ((top, top), (top, middle), (top, low)):
        assert faults(provider.patch(f"/merchants/{child}", {"parent": parent})) == {"/parent": "circle"}
    assert provider.patch(f"/merchants/{low}", {"parent": top}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_racing_moves_make_no_circle() -> None:
    provider = make_provider()
    ids = [make(provider, name) for name in "ABCD"]

    def move(number: int) -> int:
        try:
            return int(provider.patch(f"/merchants/{ids[number]}", {"parent": ids[(number + 1) % 4]}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(move, range(4))) == [200, 200, 200, 422]


def test_a_deleted_merchant_takes_its_own_along(
    alice: Person, provider: Api, rung: list[list[str]], django_capture_on_commit_callbacks: Any
) -> None:
    for _ in range(2):
        alice.api.post("/endpoints", {"url": URL})
    provider.put("/merchants/alice/accounts/LT1")
    with django_capture_on_commit_callbacks(execute=True):
        assert provider.delete("/merchants/alice").status_code == 204
    assert sorted(chain(*rung)) == sorted(str(row.id) for row in Endpoint.objects.all())
    assert Endpoint.objects.filter(deleted_at=None).count() == 0
    assert ApiKey.objects.filter(merchant=alice.merchant, revoked_at=None).count() == 0
    assert Account.objects.count() == 0
    assert Merchant.objects.filter(id=alice.merchant.id).count() == 1
    problem(provider.get(f"/merchants/{alice.merchant.public_id}"), 404, "not_found")
    problem(provider.delete(f"/merchants/{alice.merchant.public_id}"), 404, "not_found")


def test_a_merchant_with_others_below_it_stays(provider: Api) -> None:
    top = make(provider, "Top")
    low = make(provider, "Low", parent=top)
    problem(provider.delete(f"/merchants/{top}"), 409, "has_children")
    assert provider.delete(f"/merchants/{low}").status_code == 204
    assert provider.delete(f"/merchants/{top}").status_code == 204


def test_accounts_are_put_and_deleted(alice: Person, bob: Person, provider: Api) -> None:
    path = "/merchants/alice/accounts/LT12%203"
    assert [provider.put(path).status_code for _ in range(2)] == [201, 200]
    assert provider.put(path, {}).json()["reference"] == "LT12 3"
    assert faults(provider.put(path, {"x": 1})) == {"/x": "unknown_field"}
    problem(provider.put("/merchants/bob/accounts/LT12 3"), 409, "account_of_another_merchant")
    problem(provider.delete("/merchants/bob/accounts/LT12 3"), 404, "not_found")
    assert Account.objects.get().merchant == alice.merchant
    assert provider.delete(path).status_code == 204
    problem(provider.delete(path), 404, "not_found")
    assert provider.put("/merchants/bob/accounts/LT12 3").status_code == 201
    assert faults(provider.put("/merchants/alice/accounts/" + "x" * 256)) == {"/reference": "wrong_length"}
    problem(provider.put("/merchants/nobody/accounts/a"), 404, "not_found")


def test_an_accounts_reference_may_hold_a_slash(alice: Person, provider: Api) -> None:
    path = "/merchants/alice/accounts/LT%2F1"
    assert provider.put(path).json()["reference"] == "LT/1"
    assert provider.delete(path).status_code == 204


@pytest.mark.parametrize("name", ["invoice.paid", "PAYMENT_COMPLETED", "processing.return-processed", "a", "x" * 128])
def test_a_provider_brings_its_own_names(provider: Api, name: str) -> None:
    sent = {"name": name, "group": "g", "description": "d\nd", "schema": {"type": "object"}, "example": [1.50, None]}
    made = provider.post("/event-types", sent)
    assert made.status_code == 201
    shown = provider.get(f"/event-types/{name}").json()
    assert shown == made.json()
    assert {field: shown[field] for field in sent} == sent
    problem(provider.post("/event-types", {"name": name}), 409, "name_taken")


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a b", "é", "a*", "a/b", "x" * 129, "a\n", 5, None])
def test_other_names_are_refused(provider: Api, name: Any) -> None:
    assert set(faults(provider.post("/event-types", {"name": name}))) == {"/name"}
    assert EventType.objects.count() == 0


def test_the_fields_of_a_type(provider: Api) -> None:
    make_type("a")
    wrong = {"name": "b", "group": 5, "description": None, "schema": "x", "archived": 0, "x": 1}
    assert faults(provider.patch("/event-types/a", wrong)) == {
        "/name": "unknown_field",
        "/group": "wrong_type",
        "/description": "wrong_type",
        "/schema": "wrong_type",
        "/archived": "wrong_type",
        "/x": "unknown_field",
    }
    assert (
        provider.patch("/event-types/a", {"schema": None, "example": None, "archived": True}).json()["archived"] is True
    )
    problem(provider.patch("/event-types/none", {}), 404, "not_found")


def test_archived_types_are_the_providers_to_see(alice: Person, provider: Api) -> None:
    make_type("a")
    make_type("b", archived=True)
    assert [row["name"] for row in provider.get("/event-types").json()["data"]] == ["a", "b"]
    offered = alice.api.get("/event-types").json()["data"]
    assert [row["name"] for row in offered] == ["a"]
    assert {"name", "group", "description", "schema", "example"} <= set(offered[0])


def test_a_deleted_type_is_gone_unless_an_endpoint_names_it(alice: Person, provider: Api) -> None:
    make_type("a")
    endpoint = alice.api.post("/endpoints", {"url": URL, "event_types": ["a"]}).json()["id"]
    problem(provider.delete("/event-types/a"), 409, "in_use")
    alice.api.delete(f"/endpoints/{endpoint}")
    alice.api.post("/endpoints", {"url": URL, "event_types": ["a.*"]})
    assert provider.delete("/event-types/a").status_code == 204
    problem(provider.get("/event-types/a"), 404, "not_found")
    problem(provider.delete("/event-types/a"), 404, "not_found")


def test_every_change_is_on_the_record(provider: Api) -> None:
    shop = make(provider, "Shop", reference="s")
    provider.patch(f"/merchants/{shop}", {"name": "New"})
    provider.put("/merchants/s/accounts/a")
    provider.delete("/merchants/s/accounts/a")
    provider.delete("/merchants/s")
    provider.post("/event-types", {"name": "a"})
    provider.patch("/event-types/a", {"archived": True})
    provider.delete("/event-types/a")
    actions = AuditEntry.objects.filter(actor__startswith="key:key_").order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        *("merchant.created", "merchant.updated", "account.registered", "account.removed", "merchant.deleted"),
        *("event_type.created", "event_type.updated", "event_type.deleted"),
    ]


def walk(api: Api, path: str, limit: int) -> list[list[Any]]:
    pages, cursor = [], ""
    while True:
        page = api.get(f"{path}?limit={limit}{cursor}").json()
        pages.append([row.get("id") or row["name"] for row in page["data"]])
        if page["next_cursor"] is None:
            return pages
        cursor = f"&cursor={page['next_cursor']}"


def test_lists_are_walked_by_key(alice: Person, provider: Api) -> None:
    made = [alice.api.post("/endpoints", {"url": URL}).json()["id"] for _ in range(5)]
    newest = made[::-1]
    assert walk(alice.api, "/endpoints", 2) == [newest[:2], newest[2:4], newest[4:]]
    assert walk(alice.api, "/endpoints", 5) == [newest]
    names = sorted(make_type(name).name for name in ("b", "a", "c", "a.b"))
    assert walk(provider, "/event-types", 3) == [["a", "a.b", "b"], ["c"]]
    assert walk(alice.api, "/event-types", 1) == [[name] for name in names]


def test_a_row_that_goes_meanwhile_breaks_no_walk(alice: Person) -> None:
    made = [alice.api.post("/endpoints", {"url": URL}).json()["id"] for _ in range(4)]
    cursor = alice.api.get("/endpoints?limit=2").json()["next_cursor"]
    alice.api.delete(f"/endpoints/{made[2]}")
    assert [row["id"] for row in alice.api.get(f"/endpoints?cursor={cursor}").json()["data"]] == [made[1], made[0]]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.0", "\uff11", "9999999"])
def test_bad_limits(alice: Person, limit: str) -> None:
    assert faults(alice.api.get(f"/endpoints?limit={limit}")) == {"/limit": "invalid_limit"}


@pytest.mark.parametrize("cursor", ["x", "é", "AAAA", "%00", "a" * 5_000, "=", "AAAAAAAAAAAAAAAAAAAAAAAA"])
def test_bad_cursors(alice: Person, cursor: str) -> None:
    answer = alice.api.get(f"/endpoints?cursor={cursor}")
    assert answer.status_code == (400 if cursor == "%00" else 422)


def test_a_cursor_of_another_list_or_tampered_with_is_refused(alice: Person, provider: Api) -> None:
    for name in ("a", "b"):
        make_type(name)
    cursor = provider.get("/event-types?limit=1").json()["next_cursor"]
    flipped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for api, path, text in (
        (alice.api, "/event-types", cursor),
        (provider, "/merchants", cursor),
        (provider, "/event-types", flipped),
    ):
        assert faults(api.get(f"{path}?cursor={text}")) == {"/cursor": "invalid_cursor"}
