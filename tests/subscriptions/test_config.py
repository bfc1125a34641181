"""PUT, GET and DELETE /config keep the promises of the merchant API v2."""

from typing import Any

import pytest

from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from subscriptions.services import endpoint_rules, signing_secrets
from tests.subscriptions.conftest import URL, Person, faults, problem


def current_secret(person: Person) -> str | None:
    row = SigningSecret.objects.filter(endpoint__owner=person.merchant, expires_at=None).first()
    return signing_secrets.open_text(row) if row else None


def test_nothing_is_set_at_first(alice: Person) -> None:
    problem(alice.api.get("/config"), 404, "not_found")
    problem(alice.api.delete("/config"), 404, "not_found")


def test_a_put_is_what_a_get_shows(alice: Person, types: list[str]) -> None:
    put = alice.api.put("/config", {"url": URL, "event_types": ["invoice.paid", "invoice.*"], "is_active": False})
    assert put.status_code == 200
    got = alice.api.get("/config")
    assert got.status_code == 200
    assert got.json() == put.json()
    assert got.headers["ETag"] == put.headers["ETag"] == '"1"'
    shown = got.json()
    assert shown["url"] == URL
    assert shown["secret_set"] is False
    assert shown["event_types"] == ["invoice.paid", "invoice.*"]
    assert shown["is_active"] is False
    assert "secret" not in shown


def test_a_put_replaces_types_and_activity_with_their_defaults(alice: Person, types: list[str]) -> None:
    alice.api.put("/config", {"url": URL, "event_types": ["invoice.paid"], "is_active": False})
    shown = alice.api.put("/config", {"url": URL}).json()
    assert shown["event_types"] is None
    assert shown["is_active"] is True
    assert Endpoint.objects.filter(owner=alice.merchant).count() == 1


def test_an_absent_secret_stays_null_removes_and_text_replaces(alice: Person) -> None:
    assert alice.api.put("/config", {"url": URL, "secret": "first secret"}).json()["secret_set"] is True
    assert alice.api.put("/config", {"url": URL}).json()["secret_set"] is True
    assert current_secret(alice) == "first secret"
    alice.api.put("/config", {"url": URL, "secret": "second secret"})
    assert current_secret(alice) == "second secret"
    assert SigningSecret.objects.count() == 1
    assert alice.api.put("/config", {"url": URL, "secret": None}).json()["secret_set"] is False
    assert current_secret(alice) is None


def test_the_same_secret_again_leaves_a_rotation_alone(alice: Person) -> None:
    shown = alice.api.put("/config", {"url": URL, "secret": "first"}).json()
    alice.api.post(f"/endpoints/{shown['endpoint_id']}/secret/rotate", {"secret": "second"})
    alice.api.put("/config", {"url": URL, "secret": "second"})
    assert SigningSecret.objects.count() == 2


def test_the_secret_is_never_shown_and_lies_sealed(alice: Person) -> None:
    texts = [alice.api.put("/config", {"url": URL, "secret": "plain text"}), alice.api.get("/config")]
    assert all(b"plain text" not in text.content for text in texts)
    assert b"plain text" not in bytes(SigningSecret.objects.get().ciphertext)
    assert "plain text" not in str(list(AuditEntry.objects.values()))


def test_delete_stops_and_forgets(
    alice: Person, rung: list[list[str]], django_capture_on_commit_callbacks: Any
) -> None:
    alice.api.put("/config", {"url": URL, "secret": "s"})
    endpoint = Endpoint.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        assert alice.api.delete("/config").status_code == 204
    assert rung == [[str(endpoint.id)]]
    problem(alice.api.get("/config"), 404, "not_found")
    endpoint.refresh_from_db()
    assert endpoint.is_active is False
    assert endpoint.deleted_at is not None
    assert SigningSecret.objects.count() == 0
    assert alice.api.put("/config", {"url": URL}).status_code == 200


def test_the_config_is_the_endpoint_marked_primary(alice: Person) -> None:
    config = alice.api.put("/config", {"url": URL}).json()
    other = alice.api.post("/endpoints", {"url": URL}).json()
    listed = {row["id"]: row["primary"] for row in alice.api.get("/endpoints").json()["data"]}
    assert listed == {config["endpoint_id"]: True, other["id"]: False}


@pytest.mark.parametrize(
    ("tag", "status"), [('"1"', 200), ("*", 200), ('"9", "1"', 200), ('"2"', 412), ('W/"1"', 412), ("1", 412)]
)
def test_put_honours_if_match(alice: Person, tag: str, status: int) -> None:
    alice.api.put("/config", {"url": URL})
    assert alice.api.put("/config", {"url": f"{URL}/2"}, If_Match=tag).status_code == status
    assert Endpoint.objects.get().target == (f"{URL}/2" if status == 200 else URL)


@pytest.mark.parametrize("tag", ['"1"', "*"])
def test_if_match_of_nothing_is_refused(alice: Person, tag: str) -> None:
    problem(alice.api.put("/config", {"url": URL}, If_Match=tag), 412, "version_mismatch")
    assert Endpoint.objects.count() == 0


def test_delete_honours_if_match(alice: Person) -> None:
    alice.api.put("/config", {"url": URL})
    problem(alice.api.delete("/config", If_Match='"7"'), 412, "version_mismatch")
    assert alice.api.get("/config").status_code == 200


def test_all_faults_are_told_at_once(alice: Person) -> None:
    sent = {"secret": 5, "event_types": ["no.such", 7], "is_active": "yes", "hook": True, "a/b~c": 1}
    assert faults(alice.api.put("/config", sent)) == {
        "/url": "required",
        "/secret": "wrong_type",
        "/event_types/1": "wrong_type",
        "/is_active": "wrong_type",
        "/hook": "unknown_field",
        "/a~1b~0c": "unknown_field",
    }
    assert Endpoint.objects.count() == 0


def test_a_secret_is_judged_by_the_profile_that_is_there_when_it_is_stored(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = alice.api.put("/config", {"url": URL, "secret": "first"}).json()
    alice.api.put("/config", {"url": URL, "secret": None})
    check = endpoint_rules.check

    def check_slowly(*args: Any, **kwargs: Any) -> dict[str, Any]:
        values = check(*args, **kwargs)
        monkeypatch.undo()
        assert alice.api.patch(f"/endpoints/{shown['endpoint_id']}", {"profile": "paysafe"}).status_code == 200
        return values

    monkeypatch.setattr(endpoint_rules, "check", check_slowly)
    # No base64, which is what Paysafe's receivers decode.
    put = alice.api.put("/config", {"url": URL, "secret": "no base64!"})
    assert faults(put) == {"/secret": "invalid_secret"}
    assert current_secret(alice) is None
