"""The catalogue's schemas, samples for merchants, and whether a merchant is live."""

from typing import Any

import pytest

from subscriptions.models import AuditEntry, EventType, Merchant
from subscriptions.services import event_types
from tests.subscriptions.conftest import NOW, Api, Person, faults, make_type, problem

SCHEMA = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}


def tag(name: str = "a") -> Any:
    return EventType.objects.get(name=name).schema_tag


class TestSaving:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"schema": {"type": "strnig"}}, {"/schema/type": "invalid_schema"}),
            (
                {"schema": {"properties": {"a": {"$ref": "http://10.0.0.1/"}}}},
                {"/schema/properties/a/$ref": "remote_reference"},
            ),
            ({"schema": {"$ref": "file:///etc/hostname"}}, {"/schema/$ref": "remote_reference"}),
            ({"schema": {"$schema": "http://10.0.0.1/"}}, {"/schema/$schema": "unknown_dialect"}),
            ({"schema": {"pattern": "(?=a)"}}, {"/schema/pattern": "invalid_pattern"}),
            ({"schema": {"description": "x" * 70_000}}, {"/schema": "schema_too_large"}),
            ({"schema": []}, {"/schema": "wrong_type"}),
            ({"strict": True}, {"/strict": "schema_needed"}),
            ({"strict": True, "schema": None}, {"/strict": "schema_needed"}),
            ({"strict": 1, "schema": {}}, {"/strict": "wrong_type"}),
            ({"strict": True, "schema": SCHEMA, "example": {}}, {"/example/id": "schema_mismatch"}),
            ({"strict": True, "schema": SCHEMA, "example": [1]}, {"/example": "schema_mismatch"}),
        ],
    )
    def test_what_is_wrong_is_told_where(self, provider: Api, body: dict[str, Any], expected: dict[str, str]) -> None:
        assert faults(provider.post("/event-types", {"name": "b"} | body)) == expected
        make_type("a")
        before = tag()
        assert faults(provider.patch("/event-types/a", body)) == expected
        assert EventType.objects.values_list("name", "strict", "schema", "schema_tag").get() == (
            "a",
            False,
            None,
            before,
        )

    def test_a_strict_type(self, provider: Api) -> None:
        sent = {"name": "a", "schema": SCHEMA, "strict": True, "example": {"id": "1"}}
        shown = provider.post("/event-types", sent).json()
        assert {name: shown[name] for name in sent} == sent
        assert provider.get("/event-types/a").json() == shown
        # The one without the other is refused later too.
        assert faults(provider.patch("/event-types/a", {"schema": None})) == {"/strict": "schema_needed"}
        assert faults(provider.patch("/event-types/a", {"example": {}})) == {"/example/id": "schema_mismatch"}
        assert faults(provider.patch("/event-types/a", {"schema": {"type": "array"}})) == {
            "/example": "schema_mismatch"
        }
        assert provider.patch("/event-types/a", {"schema": None, "strict": False}).json()["strict"] is False

    def test_an_example_need_not_fit_where_nothing_is_strict(self, provider: Api) -> None:
        assert provider.post("/event-types", {"name": "a", "schema": SCHEMA, "example": 5}).status_code == 201

    def test_a_schema_that_was_stored_before_it_was_checked(self, provider: Api) -> None:
        make_type("a", schema={"$ref": "http://10.0.0.1/"})
        assert faults(provider.patch("/event-types/a", {"strict": True})) == {"/schema/$ref": "remote_reference"}
        assert provider.patch("/event-types/a", {"description": "x"}).status_code == 200

    def test_the_tag_is_new_with_every_change_of_the_schema_or_of_strict(self, provider: Api) -> None:
        make_type("a", schema={"const": 1})
        seen = [tag()]
        for body, is_new in (
            ({"description": "x", "archived": False, "example": 1}, False),
            ({"schema": {"const": 1}}, False),
            ({"schema": {"const": True}}, True),  # equal to 1 in Python
            ({"strict": True, "example": True}, True),
            ({"strict": True}, False),
            ({"strict": False}, True),
        ):
            assert provider.patch("/event-types/a", body).status_code == 200, body
            assert (tag() != seen[-1]) is is_new, body
            seen.append(tag())
        assert len(set(seen)) == 4

    def test_types_do_not_share_a_tag(self, db: None) -> None:
        for name in ("a", "b"):
            event_types.create(data={"name": name, "schema": {}}, now=NOW, actor="test")
        assert tag("a") != tag("b")


class TestSamples:
    @pytest.mark.parametrize(
        ("values", "sample", "source"),
        [
            ({"example": {"id": "x"}, "schema": SCHEMA}, {"id": "x"}, "example"),
            ({"schema": SCHEMA}, {"id": "text"}, "schema"),
            ({"schema": {"const": None}}, None, "schema"),
            ({}, {"id": "test-1", "type": "a", "test": "true", "text": "This is a test event."}, "default"),
            (
                {"schema": False},
                {"id": "test-1", "type": "a", "test": "true", "text": "This is a test event."},
                "default",
            ),
        ],
    )
    def test_one_type_with_its_sample(self, alice: Person, values: dict[str, Any], sample: Any, source: str) -> None:
        make_type("a", **values)
        shown = alice.api.get("/event-types/a").json()
        assert (shown.pop("sample"), shown.pop("sample_source")) == (sample, source)
        assert alice.api.get("/event-types").json()["data"] == [shown]
        assert shown["strict"] is False

    def test_archived_and_unknown_types_are_not_there(self, alice: Person, provider: Api) -> None:
        make_type("old", archived=True)
        for name in ("old", "none", "a%00"):
            problem(alice.api.get(f"/event-types/{name}"), 404, "not_found")

    def test_a_provider_names_the_merchant(self, alice: Person, provider: Api) -> None:
        make_type("a")
        assert faults(provider.get("/webhooks/event-types/a")) == {"/merchant": "required"}
        assert provider.get("/webhooks/event-types/a?merchant=alice").status_code == 200

    def test_not_without_a_key(self, db: None) -> None:
        make_type("a")
        problem(Api("nonsense").get("/event-types/a"), 401, "unauthenticated")


class TestMode:
    def test_made_changed_and_shown(self, provider: Api) -> None:
        made = provider.post("/merchants", {"name": "Shop", "reference": "s", "mode": "test"}).json()
        assert made["mode"] == "test"
        assert provider.post("/merchants", {"name": "Other"}).json()["mode"] == "live"
        assert provider.patch("/merchants/s", {"mode": "live"}).json()["mode"] == "live"
        assert provider.get("/merchants/s").json()["mode"] == "live"
        assert AuditEntry.objects.get(action="merchant.updated").detail == {"fields": ["mode"]}

    @pytest.mark.parametrize("mode", ["sandbox", "", None, True])
    def test_others_are_refused(self, provider: Api, mode: Any) -> None:
        assert set(faults(provider.post("/merchants", {"name": "Shop", "mode": mode}))) == {"/mode"}
        assert not Merchant.objects.exists()
