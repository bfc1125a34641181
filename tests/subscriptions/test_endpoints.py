"""Endpoints over their life: made, changed under If-Match, switched, moved, deleted."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from subscriptions.services import endpoints, vault
from tests.subscriptions.conftest import NOW, URL, Person, make_person, problem

ELSEWHERE = "https://93.184.215.15/in"
BASIC = {"type": "basic", "username": "shop", "password": "hunter2"}


def make(person: Person, **values: Any) -> str:
    made = person.api.post("/endpoints", {"url": URL} | values)
    assert made.status_code == 201, made.content
    return f"/endpoints/{made.json()['id']}"


def audit() -> list[str]:
    return list(AuditEntry.objects.exclude(action__startswith="key.").order_by("id").values_list("action", flat=True))


def test_a_secret_is_generated_unless_the_caller_decides(alice: Person) -> None:
    made = alice.api.post("/endpoints", {"url": URL})
    assert made.headers["Cache-Control"] == "no-store"
    assert made.headers["ETag"] == '"1"'
    assert made.headers["Location"] == f"/api/v2/webhooks/endpoints/{made.json()['id']}"
    generated = made.json()["secret"]
    assert generated.startswith("whsec_")
    assert alice.api.get(f"/endpoints/{made.json()['id']}/secret").json()["secret"] == generated
    for secret, is_set in ((None, False), ("mine", True)):
        other = alice.api.post("/endpoints", {"url": URL, "secret": secret}).json()
        assert "secret" not in other
        assert other["secret_set"] is is_set


def test_a_profile_that_the_provider_signs_gets_no_secret(alice: Person) -> None:
    made = alice.api.post("/endpoints", {"url": URL, "profile": "paysera"}).json()
    assert (made["secret_set"], "secret" in made) == (False, False)
    problem(alice.api.post(f"/endpoints/{made['id']}/secret/rotate"), 409, "no_secret")


def test_a_patch_changes_what_it_names(alice: Person) -> None:
    path = make(alice, description="before", metadata={"a": "b"})
    before = alice.api.get(path).json()
    patched = alice.api.patch(path, {"description": "after"})
    assert patched.headers["ETag"] == '"2"'
    after = alice.api.get(path).json()
    assert patched.json() == after
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"description", "version", "updated_at"}


def test_if_match(alice: Person) -> None:
    path = make(alice)
    assert alice.api.patch(path, {"description": "x"}, If_Match='"1"').status_code == 200
    problem(alice.api.patch(path, {"description": "y"}, If_Match='"1"'), 412, "version_mismatch")
    problem(alice.api.delete(path, If_Match='"1"'), 412, "version_mismatch")
    problem(alice.api.patch(path, {"url": "bad"}, If_Match='"1"'), 412, "version_mismatch")
    assert alice.api.get(path).json()["description"] == "x"
    assert alice.api.delete(path, If_Match='"2"').status_code == 204


def test_deleted_is_gone_but_kept(alice: Person) -> None:
    path = make(alice, auth=BASIC)
    assert alice.api.delete(path).status_code == 204
    for answer in (
        alice.api.get(path),
        alice.api.delete(path),
        alice.api.patch(path, {}),
        alice.api.get(f"{path}/secret"),
    ):
        problem(answer, 404, "not_found")
    row = Endpoint.objects.get()
    assert (row.is_active, row.disabled_reason, row.auth_ciphertext) == (False, "deleted", None)
    assert SigningSecret.objects.count() == 0
    assert audit() == ["endpoint.created", "endpoint.deleted"]


@pytest.mark.parametrize(
    "odd", ["ep_x", "x", "mer_00000000000000000000000000", "ep_zzzzzzzzzzzzzzzzzzzzzzzzzz", "..", "%2e"]
)
def test_odd_ids_are_not_found(alice: Person, odd: str) -> None:
    problem(alice.api.get(f"/endpoints/{odd}"), 404, "not_found")


def test_credentials_are_sealed_bound_and_write_only(alice: Person) -> None:
    path = make(alice, auth=BASIC)
    row = Endpoint.objects.get()
    assert row.auth_ciphertext is not None
    assert b"hunter2" not in bytes(row.auth_ciphertext)
    assert vault.open_sealed(vault.ENDPOINT_AUTH, row.id, row.auth_ciphertext) == b"hunter2"
    shown = alice.api.get(path)
    assert shown.json()["auth"] == {"type": "basic", "username": "shop", "password_set": True}
    assert b"hunter2" not in shown.content + str(list(AuditEntry.objects.values())).encode()


def test_a_password_may_stay_while_the_name_changes(alice: Person) -> None:
    path = make(alice, auth=BASIC)
    assert alice.api.patch(path, {"auth": {"type": "basic", "username": "other"}}).status_code == 200
    row = Endpoint.objects.get()
    assert row.auth_name == "other"
    assert vault.open_sealed(vault.ENDPOINT_AUTH, row.id, row.auth_ciphertext or b"") == b"hunter2"
    refused = alice.api.patch(path, {"auth": {"type": "bearer"}})
    assert refused.json()["errors"][0]["pointer"] == "/auth/token"
    for auth in (None, {"type": "none"}):
        assert alice.api.patch(path, {"auth": auth}).json()["auth"] == {"type": "none"}


def test_a_move_to_another_host_drops_the_credentials_and_says_so(alice: Person) -> None:
    path = make(alice, auth=BASIC)
    same = alice.api.patch(path, {"url": f"{URL}/deeper"}).json()
    assert (same["auth"]["type"], "auth_reset" in same) == ("basic", False)
    refused = alice.api.patch(path, {"url": ELSEWHERE, "auth": {"type": "basic", "username": "shop"}})
    assert refused.json()["errors"][0]["pointer"] == "/auth/password"
    moved = alice.api.patch(path, {"url": ELSEWHERE}).json()
    assert (moved["auth"], moved["auth_reset"]) == ({"type": "none"}, True)
    assert Endpoint.objects.get().auth_ciphertext is None
    again = alice.api.patch(path, {"url": URL, "auth": BASIC}).json()
    assert (again["auth"]["type"], "auth_reset" in again) == ("basic", False)


@pytest.mark.parametrize("url", [ELSEWHERE, URL.replace("/in", ":8443/in")])
def test_the_config_moves_by_the_same_rule(alice: Person, url: str) -> None:
    config = alice.api.put("/config", {"url": URL}).json()
    alice.api.patch(f"/endpoints/{config['endpoint_id']}", {"auth": BASIC})
    assert alice.api.put("/config", {"url": url}).json()["auth_reset"] is True
    assert Endpoint.objects.get().auth_type == "none"


def test_pausing_and_resuming(alice: Person) -> None:
    path = make(alice)
    paused = alice.api.patch(path, {"is_active": False}).json()
    assert (paused["is_active"], paused["disabled_reason"]) == (False, "paused")
    assert paused["disabled_at"] is not None
    resumed = alice.api.patch(path, {"is_active": True}).json()
    assert (resumed["is_active"], resumed["disabled_reason"], resumed["disabled_at"]) == (True, None, None)


def test_a_reason_is_kept_until_it_is_enabled(
    alice: Person, rung: list[list[str]], django_capture_on_commit_callbacks: Any
) -> None:
    path = make(alice)
    row = Endpoint.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        assert endpoints.disable(endpoint_id=row.id, reason="http_gone", now=NOW) is True
        assert endpoints.disable(endpoint_id=row.id, reason="slow", now=NOW) is False
    assert rung == [[str(row.id)]]
    assert alice.api.patch(path, {"is_active": False}).json()["disabled_reason"] == "http_gone"
    endpoints.enable(merchant=alice.merchant, endpoint_id=row.id, now=NOW, actor="system")
    assert alice.api.get(path).json()["is_active"] is True
    assert audit() == ["endpoint.created", "endpoint.disabled", "endpoint.updated", "endpoint.enabled"]


def test_every_change_rings_after_commit(
    alice: Person, rung: list[list[str]], django_capture_on_commit_callbacks: Any
) -> None:
    path = make(alice)
    ids = [str(Endpoint.objects.get().id)]
    changes = [("PATCH", path, {"url": ELSEWHERE}), ("POST", f"{path}/secret/rotate", None), ("DELETE", path, None)]
    for method, changed, body in changes:
        rung.clear()
        with django_capture_on_commit_callbacks(execute=True):
            assert alice.api(method, changed, body).status_code in {200, 204}
            assert rung == []
        assert rung == [ids]


def test_a_broker_that_is_away_fails_nobody(
    alice: Person, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("celery.app.base.Celery.send_task", fail)
    path = make(alice)
    with django_capture_on_commit_callbacks(execute=True):
        assert alice.api.patch(path, {"is_active": False}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_racing_changes_lose_nothing(rung: list[list[str]]) -> None:
    alice = make_person("Alice")
    path = make(alice)

    def change(number: int) -> int:
        try:
            return int(alice.api.patch(path, {"metadata": {"n": str(number)}}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(change, range(16))) == [200] * 16
    assert Endpoint.objects.get().version == 17


@pytest.mark.django_db(transaction=True)
def test_of_racing_changes_with_one_version_one_wins(rung: list[list[str]]) -> None:
    alice = make_person("Alice")
    path = make(alice)

    def change(number: int) -> int:
        try:
            return int(alice.api.patch(path, {"description": str(number)}, If_Match='"1"').status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200] + [412] * 7


@pytest.mark.django_db(transaction=True)
def test_racing_first_puts_make_one_config(rung: list[list[str]]) -> None:
    alice = make_person("Alice")

    def put(number: int) -> int:
        try:
            return int(alice.api.put("/config", {"url": f"{URL}/{number}"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put, range(8))) == [200] * 8
    assert Endpoint.objects.filter(is_primary=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_racing_creations_stop_at_twenty(rung: list[list[str]]) -> None:
    alice = make_person("Alice")
    for _ in range(16):
        make(alice, secret=None)

    def create(_: int) -> int:
        try:
            return int(alice.api.post("/endpoints", {"url": URL}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [201] * 4 + [409] * 4
