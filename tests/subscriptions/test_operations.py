"""What endpoints and secrets tell about themselves, written down with the change; and whose the types are."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from subscriptions.models import Endpoint, EventType, Merchant, Occurrence
from subscriptions.operational import TYPES, is_reserved
from subscriptions.services import endpoints, operational_types, signing_secrets
from subscriptions.services.notices import Failing
from tests.subscriptions.conftest import NOW, URL, Api, Person, faults, make_type


def told() -> list[str]:
    return list(Occurrence.objects.order_by("id").values_list("type", flat=True))


@pytest.fixture
def endpoint(alice: Person) -> Endpoint:
    made = alice.api.post("/endpoints", {"url": URL})
    assert made.status_code == 201
    return Endpoint.objects.get()


class TestDisabled:
    def test_by_failures(self, endpoint: Endpoint) -> None:
        failing = Failing(NOW - timedelta(days=5), "connect_timeout")
        assert endpoints.disable(endpoint_id=endpoint.id, reason="failing", now=NOW, failing=failing)
        row = Occurrence.objects.get()
        assert (row.type, row.merchant_id, row.endpoint_id, row.created_at) == (
            "signet.endpoint.disabled",
            endpoint.owner_id,
            endpoint.id,
            NOW,
        )
        assert row.detail == {
            "reason": "failing",
            "message": "It took nothing for days",
            "failing_since": "2026-01-26T12:00:00Z",
            "last_attempt": {
                "reason": "connect_timeout",
                "message": "No connection in time",
                "response_code": None,
            },
        }

    def test_once(self, endpoint: Endpoint) -> None:
        for _ in range(3):
            endpoints.disable(endpoint_id=endpoint.id, reason="http_gone", now=NOW)
        assert told() == ["signet.endpoint.disabled"]

    def test_by_its_owner(self, alice: Person, endpoint: Endpoint) -> None:
        for is_active in (False, False, True, False):
            alice.api.patch(f"/endpoints/{endpoint.public_id}", {"is_active": is_active})
        assert told() == ["signet.endpoint.disabled"] * 2
        detail = Occurrence.objects.all()[0].detail
        assert (detail["reason"], detail["message"]) == ("paused", "Switched off by its owner")
        assert (detail["failing_since"], detail["last_attempt"]) == (None, None)

    def test_a_deletion_a_new_one_and_any_other_change_are_none(self, alice: Person, endpoint: Endpoint) -> None:
        alice.api.post("/endpoints", {"url": URL, "is_active": False})
        alice.api.patch(f"/endpoints/{endpoint.public_id}", {"description": "x"})
        alice.api.delete(f"/endpoints/{endpoint.public_id}")
        assert Endpoint.objects.filter(is_active=False).count() == 2
        assert told() == []

    def test_with_the_change_or_not_at_all(self, endpoint: Endpoint) -> None:
        with transaction.atomic():
            assert endpoints.disable(endpoint_id=endpoint.id, reason="http_gone", now=NOW)
            transaction.set_rollback(True)
        assert told() == []
        assert Endpoint.objects.get().is_active


class TestRotated:
    def test_tells_which_and_until_when_the_one_before_signs(self, alice: Person, endpoint: Endpoint) -> None:
        answer = alice.api.post(f"/endpoints/{endpoint.public_id}/secret/rotate", {"overlap_seconds": 60})
        row = Occurrence.objects.get()
        secret = endpoint.secrets.get(expires_at=None)
        assert row.type == "signet.secret.rotated"
        assert row.detail == {
            "secret": secret.public_id,
            "previous_expires_at": answer.json()["previous_expires_at"],
        }
        assert answer.json()["secret"] not in str(row.detail)

    def test_a_refused_rotation_is_none(self, alice: Person, endpoint: Endpoint) -> None:
        answer = alice.api.post(f"/endpoints/{endpoint.public_id}/secret/rotate", {"overlap_seconds": -1})
        assert answer.status_code == 422
        assert told() == []

    def test_so_is_a_new_secret_of_the_configuration(self, alice: Person) -> None:
        body = {"url": URL, "secret": "one"}
        alice.api.put("/config", body)
        alice.api.put("/config", body)
        assert told() == []
        alice.api.put("/config", body | {"secret": "another"})
        assert told() == ["signet.secret.rotated"]
        assert signing_secrets.texts(Endpoint.objects.get()) == ["another"]
        alice.api.put("/config", body | {"secret": None})
        assert told() == ["signet.secret.rotated"]


class TestReservedTypes:
    @pytest.mark.parametrize("name", ["signet", "signet.x", "signet.endpoint.disabled"])
    def test_cannot_be_made(self, provider: Api, name: str) -> None:
        assert faults(provider.post("/event-types", {"name": name})) == {"/name": "reserved"}
        assert EventType.objects.count() == 0

    @pytest.mark.parametrize("name", ["signets", "signet-x", "Signet.x", "x.signet.y"])
    def test_names_that_only_look_like_it_are_free(self, provider: Api, name: str) -> None:
        assert provider.post("/event-types", {"name": name}).status_code == 201
        assert not is_reserved(name)

    def test_cannot_be_changed_or_deleted(self, provider: Api) -> None:
        operational_types.ensure(now=NOW)
        before = list(EventType.objects.order_by("name").values())
        path = "/event-types/signet.endpoint.disabled"
        assert faults(provider.patch(path, {"archived": True})) == {"/name": "reserved"}
        assert faults(provider.delete(path)) == {"/name": "reserved"}
        assert list(EventType.objects.order_by("name").values()) == before

    def test_stand_in_the_catalogue_with_schema_and_example(self, alice: Person) -> None:
        operational_types.ensure(now=NOW)
        shown = {row["name"]: row for row in alice.api.get("/event-types").json()["data"]}
        assert set(shown) == {
            "signet.endpoint.disabled",
            "signet.endpoint.failing",
            "signet.endpoint.recovered",
            "signet.delivery.failed",
            "signet.secret.rotated",
        }
        for wanted in TYPES:
            assert (shown[wanted.name]["schema"], shown[wanted.name]["example"]) == (wanted.schema, wanted.example)
            assert shown[wanted.name]["group"] == "signet"

    @pytest.mark.parametrize("types", [["signet.*"], ["signet.endpoint.*"], ["signet.delivery.failed"]])
    def test_merchants_can_name_them(self, alice: Person, types: list[str]) -> None:
        operational_types.ensure(now=NOW)
        assert alice.api.post("/endpoints", {"url": URL, "event_types": types}).status_code == 201


class TestTheCatalogueIsKept:
    def test_as_this_version_has_it(self, db: None) -> None:
        operational_types.ensure(now=NOW)
        row = EventType.objects.get(name="signet.secret.rotated")
        EventType.objects.filter(id=row.id).update(archived=True, description="x", strict=True)
        EventType.objects.get(name="signet.endpoint.failing").delete()
        before = EventType.objects.get(name="signet.delivery.failed")
        operational_types.ensure(now=NOW + timedelta(days=1))
        again = EventType.objects.get(id=row.id)
        assert (again.archived, again.strict, again.description) == (False, False, row.description)
        assert EventType.objects.count() == 5
        assert EventType.objects.get(id=before.id).updated_at == before.updated_at

    def test_migrate_keeps_it_and_leaves_the_others_alone(self, db: None) -> None:
        make_type("invoice.paid")
        call_command("migrate", verbosity=0)
        assert EventType.objects.count() == 6
        EventType.objects.all().delete()
        call_command("migrate", plan=True, verbosity=0)
        assert EventType.objects.count() == 0


class TestTheProvidersListener:
    def test_is_made_by_the_provider_only(self, provider: Api, alice: Person) -> None:
        assert provider.patch("/merchants/alice", {"hears_all_operations": True}).status_code == 200
        assert provider.get("/merchants/alice").json()["hears_all_operations"] is True
        assert provider.patch("/merchants/alice", {"hears_all_operations": False}).status_code == 200
        refused = alice.api.client.patch(
            "/api/v2/merchants/alice",
            b'{"hears_all_operations": true}',
            content_type="application/json",
            headers={"Authorization": f"Bearer {alice.api.key}"},
        )
        assert refused.status_code == 403
        assert not Merchant.objects.get().hears_all_operations


class TestRetentionDays:
    def test_may_only_be_shorter(self, provider: Api, alice: Person, settings: Any) -> None:
        settings.RETENTION_DAYS = 30
        for days in (1, 30, None):
            assert provider.patch("/merchants/alice", {"retention_days": days}).json()["retention_days"] == days
        assert faults(provider.patch("/merchants/alice", {"retention_days": 31})) == {"/retention_days": "too_long"}
        for wrong, code in ((0, "out_of_range"), (-1, "out_of_range"), ("1", "wrong_type"), (1.5, "wrong_type")):
            assert faults(provider.patch("/merchants/alice", {"retention_days": wrong})) == {"/retention_days": code}
        assert Merchant.objects.get().retention_days is None
        assert provider.post("/merchants", {"name": "B", "retention_days": 7}).json()["retention_days"] == 7
