"""The provider's own wire formats: checked when they are written, and never pulled from under an endpoint."""

import json
import logging
import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.declaration import declare, parse_profile
from dispatcher.profiles.model import Profile
from subscriptions.errors import Conflict, Invalid, NotFound, Stale
from subscriptions.models import AuditEntry, Endpoint, ProviderKey, SigningSecret, WireProfile
from subscriptions.selectors import profiles as selectors
from subscriptions.selectors.sending import endpoints_to_send
from subscriptions.services import endpoints, profiles
from tests.subscriptions.conftest import NOW, URL, Person

ACTOR = "user:admin"
HEX: dict[str, Any] = {"signatures": [{"name": "Acme-Signature", "key": "hex"}], "key_form": "hex"}
TEXT: dict[str, Any] = {"signatures": [{"name": "Acme-Signature", "key": "utf8"}], "key_form": "hex"}
UNSIGNED: dict[str, Any] = {"key_form": "none"}


def make(definition: dict[str, Any] = HEX, *, name: str = "acme", **fields: Any) -> WireProfile:
    return profiles.create(data={"name": name, "definition": definition} | fields, now=NOW, actor=ACTOR)


def change(definition: dict[str, Any], **options: Any) -> WireProfile:
    return profiles.update(name="acme", data={"definition": definition}, now=NOW, actor=ACTOR, **options)


def make_endpoint(person: Person, **fields: Any) -> Endpoint:
    data = {"url": URL, "profile": "acme"} | fields
    return endpoints.create(merchant=person.merchant, data=data, now=NOW, actor="system").endpoint


def audited() -> list[tuple[str, str, dict[str, Any]]]:
    rows = AuditEntry.objects.filter(action__startswith="profile.").order_by("id")
    return list(rows.values_list("action", "target", "detail"))


def refusals(data: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as told:
        profiles.create(data=data, now=NOW, actor=ACTOR)
    return [(fault.pointer, fault.code) for fault in told.value.errors]


class TestCreate:
    def test_it_is_stored_in_one_form_and_found(self, db: None) -> None:
        given = {"headers": {"B": "{id}", "A": "1"}, "body": {"kind": "thin", "template": {"b": "{id}", "a": "{type}"}}}
        row = make(given, description="Ours")
        row.refresh_from_db()
        assert (row.name, row.description, row.version) == ("acme", "Ours", 1)
        assert row.definition == declare(parse_profile("acme", given))
        assert selectors.find("acme") == parse_profile("acme", given)
        assert selectors.names() == [*PROFILES, "acme"]
        assert audited() == [("profile.created", "acme", {"fields": ["definition", "description", "name"]})]

    @pytest.mark.parametrize("name", ["stripe", "default"])
    def test_a_built_in_name_is_not_free(self, name: str, db: None) -> None:
        assert refusals({"name": name, "definition": {}}) == [("/name", "name_taken")]
        assert not WireProfile.objects.exists()

    @pytest.mark.parametrize("name", ["", "Acme", "a b", "a--b", "-a", "a_b", "a" * 65, "é", 1])
    def test_a_name_has_its_form(self, name: Any, db: None) -> None:
        assert [pointer for pointer, _ in refusals({"name": name, "definition": {}})] == ["/name"]

    def test_every_fault_is_told_at_once(self, db: None) -> None:
        data = {"name": "A", "colour": 1, "definition": {"signatures": [{"key": "utf8"}], "headers": {"Host": 1}}}
        assert sorted(refusals(data)) == [
            ("/colour", "unknown_field"),
            ("/definition/headers/Host", "invalid_profile"),
            ("/definition/signatures/0/name", "invalid_profile"),
            ("/name", "invalid_name"),
        ]
        assert refusals({}) == [("/name", "required"), ("/definition", "required")]
        assert refusals({"name": "a", "definition": []}) == [("/definition", "wrong_type")]
        assert audited() == []

    def test_a_taken_name_is_a_conflict(self, db: None) -> None:
        make()
        with pytest.raises(Conflict) as told:
            make(TEXT)
        assert told.value.code == "name_taken"
        assert selectors.find("acme") == parse_profile("acme", HEX)


class TestFinding:
    def test_built_in_ones_cost_no_statement_and_own_ones_one(self, db: None) -> None:
        make()
        make(name="beta")
        with CaptureQueriesContext(connection) as captured:
            assert set(selectors.find_many(["stripe", "default"])) == {"stripe", "default"}
        assert len(captured) == 0
        with CaptureQueriesContext(connection) as captured:
            assert set(selectors.find_many(["stripe", "acme", "beta", "nobody"])) == {"stripe", "acme", "beta"}
        assert len(captured) == 1

    def test_one_that_cannot_be_read_is_logged_and_left_out(self, db: None, caplog: pytest.LogCaptureFixture) -> None:
        make(name="beta")
        row = make()
        WireProfile.objects.filter(id=row.id).update(definition={"body": {"kind": "xml"}})
        with caplog.at_level(logging.ERROR):
            assert set(selectors.find_many(["acme", "beta"])) == {"beta"}
        [record] = caplog.records
        assert "acme" in record.getMessage()
        assert "/body/kind" in record.getMessage()

    def test_a_profile_is_parsed_once_for_each_version(self, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        make()
        selectors.find("acme")
        parsed: list[str] = []
        honest = parse_profile

        def counting(name: str, data: object) -> Profile:
            parsed.append(name)
            return honest(name, data)

        monkeypatch.setattr(selectors, "parse_profile", counting)
        selectors.find("acme")
        assert parsed == []
        change(TEXT)
        assert selectors.find("acme") == selectors.find("acme") == parse_profile("acme", TEXT)
        assert parsed == ["acme"]


class TestUpdate:
    def test_its_endpoints_get_their_next_version_and_the_bell_rings(
        self, alice: Person, bob: Person, rung: list[list[str]], django_capture_on_commit_callbacks: Any
    ) -> None:
        make()
        make(name="beta")
        users = [make_endpoint(alice), make_endpoint(bob, is_active=False)]
        others = [make_endpoint(alice, profile="beta"), make_endpoint(alice, profile="default")]
        gone = make_endpoint(alice)
        endpoints.delete(merchant=alice.merchant, endpoint_id=gone.id, now=NOW, actor="system")
        before = dict(Endpoint.objects.values_list("id", "version"))
        with django_capture_on_commit_callbacks(execute=True):
            row = change(TEXT)
        after = dict(Endpoint.objects.values_list("id", "version"))
        assert {id_ for id_ in after if after[id_] != before[id_]} == {user.id for user in users}
        assert all(after[user.id] == before[user.id] + 1 for user in users)
        assert {other.id for other in others} <= set(after)
        assert rung == [sorted(str(user.id) for user in users)]
        assert row.version == 2
        assert audited()[-1] == ("profile.updated", "acme", {"fields": ["definition"], "endpoints": 2})

    def test_senders_get_the_new_form(self, alice: Person) -> None:
        make()
        endpoint = make_endpoint(alice)
        change(TEXT)
        [sending] = endpoints_to_send([endpoint.id])
        assert sending.format == parse_profile("acme", TEXT)
        assert sending.version == endpoint.version + 1

    def test_a_new_description_disturbs_no_endpoint(self, alice: Person) -> None:
        make()
        endpoint = make_endpoint(alice)
        profiles.update(name="acme", data={"description": "New", "definition": HEX}, now=NOW, actor=ACTOR)
        endpoint.refresh_from_db()
        assert endpoint.version == 1
        assert WireProfile.objects.get().description == "New"

    def test_statements_do_not_grow_with_the_endpoints(self, alice: Person, bob: Person) -> None:
        make()
        make_endpoint(alice)
        with CaptureQueriesContext(connection) as few:
            change(TEXT)
        for _ in range(5):
            make_endpoint(bob)
        with CaptureQueriesContext(connection) as many:
            change(HEX)
        assert len(many) <= len(few) + 1  # the secrets, which the other way need no look

    def test_a_format_that_stored_secrets_cannot_sign_is_refused(self, alice: Person, bob: Person) -> None:
        make(TEXT)
        unfit = make_endpoint(alice, secret="not hexadecimal")
        make_endpoint(bob)
        with pytest.raises(Invalid) as told:
            change(HEX)
        [fault] = told.value.errors
        assert (fault.pointer, fault.code) == ("/definition/signatures", "unfit_secrets")
        assert fault.message.startswith(f"1 endpoint uses this profile with other secrets ({unfit.public_id}).")
        assert "The secret is not hexadecimal." in fault.message
        assert selectors.find("acme") == parse_profile("acme", TEXT)
        assert set(Endpoint.objects.values_list("version", flat=True)) == {1}
        assert [action for action, _, _ in audited()] == ["profile.created"]

    def test_secrets_that_have_run_out_count_as_well(self, alice: Person) -> None:
        make(TEXT)
        endpoint = make_endpoint(alice, secret="not hexadecimal")
        SigningSecret.objects.filter(endpoint=endpoint).update(expires_at=NOW)
        with pytest.raises(Invalid):
            change(HEX)

    def test_secrets_of_deleted_endpoints_and_other_profiles_do_not_count(self, alice: Person) -> None:
        make(TEXT)
        make(TEXT, name="beta")
        make_endpoint(alice, profile="beta", secret="not hexadecimal")
        gone = make_endpoint(alice, secret="not hexadecimal")
        endpoints.delete(merchant=alice.merchant, endpoint_id=gone.id, now=NOW, actor="system")
        assert change(HEX).version == 2

    def test_more_secrets_than_the_bound_are_not_opened(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(profiles, "MOST_SECRETS", 1)
        make(TEXT)
        make_endpoint(alice)
        assert change(HEX).version == 2
        change(TEXT)
        make_endpoint(alice)
        with pytest.raises(Conflict) as told:
            change(HEX)
        assert told.value.code == "too_many_secrets"

    def test_endpoints_without_a_secret_do_not_go_unsigned_unseen(self, alice: Person) -> None:
        make(UNSIGNED)
        make_endpoint(alice)
        with pytest.raises(Invalid) as told:
            change(HEX)
        assert [fault.code for fault in told.value.errors] == ["unfit_secrets"]
        assert "no secret that could make" in told.value.errors[0].message

    def test_a_key_of_the_provider_is_there_when_a_format_comes_to_need_it(self, alice: Person) -> None:
        make(UNSIGNED)
        make_endpoint(alice)
        signature = {"name": "A", "algorithm": "jws-es256", "encoding": "text", "key": "pem", "signer": "provider"}
        change({"signatures": [signature], "key_form": "none"})
        assert ProviderKey.objects.get().family == "ec"

    def test_refused_like_a_new_one(self, db: None) -> None:
        make()
        with pytest.raises(Invalid) as told:
            profiles.update(name="acme", data={"name": "beta", "definition": {"x": 1}}, now=NOW, actor=ACTOR)
        assert [fault.pointer for fault in told.value.errors] == ["/name", "/definition/x"]
        with pytest.raises(Stale):
            change(TEXT, expected=[7])
        with pytest.raises(NotFound):
            profiles.update(name="stripe", data={"definition": {}}, now=NOW, actor=ACTOR)
        assert selectors.find("acme") == parse_profile("acme", HEX)


class TestDelete:
    def test_not_while_a_living_endpoint_uses_it(self, alice: Person) -> None:
        make()
        endpoint = make_endpoint(alice, is_active=False)
        with pytest.raises(Conflict) as told:
            profiles.delete(name="acme", now=NOW, actor=ACTOR)
        assert (told.value.code, told.value.detail[:33]) == ("in_use", "An endpoint still uses this profi")
        assert selectors.find("acme") is not None
        endpoints.delete(merchant=alice.merchant, endpoint_id=endpoint.id, now=NOW, actor="system")
        profiles.delete(name="acme", now=NOW, actor=ACTOR)
        assert selectors.find("acme") is None
        assert audited()[-1] == ("profile.deleted", "acme", {})

    def test_built_in_ones_cannot_be_deleted(self, db: None) -> None:
        with pytest.raises(NotFound):
            profiles.delete(name="stripe", now=NOW, actor=ACTOR)

    @pytest.mark.django_db(transaction=True)
    def test_an_endpoint_that_is_being_made_and_a_deletion_wait_for_each_other(self, alice: Person) -> None:
        make()
        outcome: list[str] = []

        def delete() -> None:
            try:
                profiles.delete(name="acme", now=NOW, actor=ACTOR)
                outcome.append("deleted")
            except Conflict as refusal:
                outcome.append(refusal.code)
            finally:
                connection.close()

        with transaction.atomic():
            make_endpoint(alice)
            other = threading.Thread(target=delete)
            other.start()
            other.join(0.5)
            assert outcome == []
        other.join(10)
        assert outcome == ["in_use"]

    def test_an_endpoint_does_not_get_a_profile_that_went_meanwhile(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make()
        seen = selectors.find("acme")
        profiles.delete(name="acme", now=NOW, actor=ACTOR)
        # As the checks before the transaction found it, twice.
        found = [None, seen, seen]
        monkeypatch.setattr(selectors, "find", lambda name: found.pop())
        with pytest.raises(Conflict) as told:
            make_endpoint(alice)
        assert told.value.code == "unknown_profile"
        assert not Endpoint.objects.exists()


def test_what_is_stored_is_readable_json_of_the_declared_form(db: None) -> None:
    make(json.loads(json.dumps(declare(PROFILES["stripe"]))))
    stored = WireProfile.objects.get().definition
    assert parse_profile("stripe", stored) == PROFILES["stripe"]
