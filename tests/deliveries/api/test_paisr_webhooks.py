"""Paisr's webhook routes: its clients make, read, change, rotate and delete webhooks as they do there."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from subscriptions.services import endpoints
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of

URL = "https://93.184.215.14/in"
# A literal public address: nothing is looked up, nothing is sent.
SECOND = "https://93.184.215.15/in"
NEW = {"description": "Shop", "endpoint": URL, "events": ["invoice.paid", "invoice.*"]}
NOBODY = "ep_00000000000000000000000000"


@dataclass(frozen=True)
class Paisr:
    """A client of Paisr's API."""

    key: str
    header: str = "Authorization"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        value = f"Bearer {self.key}" if self.header == "Authorization" else self.key
        named = {self.header: value} | {name.replace("_", "-"): text for name, text in headers.items()}
        client = Client(raise_request_exception=False)
        return client.generic(method, f"/paisr/v1/webhooks{path}", raw, content_type="application/json", headers=named)

    def make(self, **values: Any) -> dict[str, Any]:
        made = self("POST", "", NEW | values)
        assert made.status_code == 201, made.content
        shown: dict[str, Any] = made.json()
        return shown


@pytest.fixture
def paisr(alice: Caller) -> Paisr:
    """Alice's."""
    return Paisr(alice.key)


@pytest.fixture
def stranger(charlie: Caller) -> Paisr:
    return Paisr(charlie.key)


def stored() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Endpoint, SigningSecret, AuditEntry)]


class TestMade:
    def test_as_paisr_answers(self, paisr: Paisr) -> None:
        made = paisr("POST", "", NEW)
        assert made.status_code == 201
        shown = made.json()
        assert set(shown) == {
            *("id", "description", "endpoint", "events", "version", "is_active", "disabled_reason", "secret"),
            *("created_at", "updated_at"),
        }
        assert {name: shown[name] for name in NEW} == NEW
        assert (shown["version"], shown["is_active"], shown["disabled_reason"]) == (1, True, None)
        assert shown["secret"].startswith("whsec_")
        assert shown["created_at"].endswith("Z")
        assert made.headers["Location"] == f"/paisr/v1/webhooks/{shown['id']}"
        assert made.headers["Cache-Control"] == "no-store"
        assert made.headers["ETag"] == '"1"'
        row = Endpoint.objects.get()
        assert (row.target, row.profile, row.event_types) == (URL, "paisr", NEW["events"])
        again = paisr("GET", f"/{shown['id']}")
        assert again.json() == {name: value for name, value in shown.items() if name != "secret"}

    def test_it_is_an_endpoint_like_any_other(self, paisr: Paisr, alice: Caller) -> None:
        shown = paisr.make()
        (row,) = alice.get("/api/v2/webhooks/endpoints").json()["data"]
        assert (row["id"], row["url"], row["profile"], row["secret_set"]) == (shown["id"], URL, "paisr", True)

    @pytest.mark.parametrize(("version", "profile"), [(1, "paisr"), (2, "paisr-v2")])
    def test_the_version_says_how_it_is_signed(self, paisr: Paisr, version: int, profile: str) -> None:
        assert paisr.make(version=version)["version"] == version
        assert Endpoint.objects.get().profile == profile

    def test_a_star_alone_is_all(self, paisr: Paisr) -> None:
        assert paisr.make(events=["*"])["events"] == ["*"]
        assert Endpoint.objects.get().event_types is None

    def test_a_secret_may_be_brought_along(self, paisr: Paisr, alice: Caller) -> None:
        shown = paisr.make(secret="from before")
        assert "secret" not in shown
        revealed = alice.get(f"/api/v2/webhooks/endpoints/{shown['id']}/secret").json()
        assert revealed["secret"] == "from before"

    def test_the_same_key_makes_one(self, paisr: Paisr) -> None:
        first, second = (paisr("POST", "", NEW, Idempotency_Key="k") for _ in range(2))
        assert first.json() == second.json()
        assert second.headers["Idempotent-Replayed"] == "true"
        assert Endpoint.objects.count() == 1

    def test_both_ways_to_send_the_key(self, alice: Caller) -> None:
        assert Paisr(alice.key, header="X-API-Token").make()["endpoint"] == URL

    def test_a_provider_names_the_merchant(self, world: World, provider: Caller) -> None:
        made = Paisr(provider.key)("POST", "?merchant=alice", NEW)
        assert made.status_code == 201
        assert Endpoint.objects.get().owner_id == world.alice.id
        assert errors_of(Paisr(provider.key)("POST", "", NEW)) == [("/merchant", "required")]


WRONG: list[tuple[Any, list[tuple[str, str]]]] = [
    ({}, [("/endpoint", "required"), ("/events", "required")]),
    (NEW | {"endpoint": 1}, [("/endpoint", "wrong_type")]),
    (NEW | {"endpoint": "ftp://x"}, [("/endpoint", "invalid_url")]),
    (NEW | {"endpoint": "mailto:a@shop.example"}, [("/endpoint", "invalid_url")]),
    (NEW | {"endpoint": "sms:+37060000000"}, [("/endpoint", "invalid_url")]),
    (NEW | {"endpoint": "https://10.0.0.1/"}, [("/endpoint", "blocked_address")]),
    (NEW | {"endpoint": None, "description": 1}, [("/description", "wrong_type"), ("/endpoint", "wrong_type")]),
    (NEW | {"events": None}, [("/events", "wrong_type")]),
    (NEW | {"events": []}, [("/events", "wrong_length")]),
    (NEW | {"events": "*"}, [("/events", "wrong_type")]),
    (NEW | {"events": ["*", "invoice.paid"]}, [("/events/0", "invalid_event_type")]),
    (NEW | {"events": ["invoice.paid", "nope", 3]}, [("/events/2", "wrong_type")]),
    (NEW | {"events": ["invoice.paid", "nope"]}, [("/events/1", "unknown_event_type")]),
    (NEW | {"version": 3}, [("/version", "out_of_range")]),
    (NEW | {"version": "2"}, [("/version", "wrong_type")]),
    (NEW | {"version": True}, [("/version", "wrong_type")]),
    (NEW | {"is_active": "yes"}, [("/is_active", "wrong_type")]),
    (NEW | {"secret": ""}, [("/secret", "wrong_length")]),
    (NEW | {"url": URL, "profile": "stripe", "event_types": [], "id": "x"},
     [("/url", "unknown_field"), ("/profile", "unknown_field"), ("/event_types", "unknown_field"),
      ("/id", "unknown_field")]),
]  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("sent", "told"), WRONG)
    def test_faults_come_in_the_clients_own_words(self, paisr: Paisr, sent: Any, told: list[tuple[str, str]]) -> None:
        before = stored()
        assert errors_of(paisr("POST", "", sent)) == told
        assert stored() == before

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"1", b'{"a": NaN}', b'{"a": "\\u0000"}', b"\xff", b"[" * 100_000]
    )
    def test_bodies_that_are_no_object(self, paisr: Paisr, body: bytes) -> None:
        webhook = paisr.make()["id"]
        before = stored()
        for method, path in (("POST", ""), ("PUT", f"/{webhook}"), ("PATCH", f"/{webhook}")):
            answer = paisr(method, path, body)
            assert answer.status_code in {400, 422}
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert stored() == before

    @pytest.mark.parametrize("webhook", [NOBODY, "x", "evt_00000000000000000000000000", "%00", "a%2Fb", "%F0%9F%A6%86"])
    def test_what_never_was(self, paisr: Paisr, webhook: str) -> None:
        for method, path in (
            *(("GET", ""), ("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret")),
            *(("GET", "/events"), ("GET", "/stats"), ("POST", "/events/evt_x/retry")),
        ):
            assert code_of(paisr(method, f"/{webhook}{path}", NEW if method != "GET" else None)) == (404, "not_found")

    def test_everything_is_a_problem_document(self, paisr: Paisr) -> None:
        browser: Any = Client(headers={"Accept": "text/html"})
        assert code_of(browser.get("/paisr/v1/nothing")) == (404, "not_found")
        assert code_of(browser.get("/paisr/v1/webhooks")) == (401, "unauthenticated")
        assert code_of(paisr("DELETE", "")) == (405, "method_not_allowed")

    def test_endpoints_in_other_formats_are_no_webhooks_here(
        self, paisr: Paisr, world: World, make_endpoint: Make
    ) -> None:
        other = make_endpoint(world.alice, profile="stripe").public_id
        assert code_of(paisr("GET", f"/{other}")) == (404, "not_found")
        assert code_of(paisr("DELETE", f"/{other}")) == (404, "not_found")
        assert paisr("GET", "").json() == {"data": [], "next_cursor": None}
        assert Endpoint.objects.filter(deleted_at=None).count() == 1

    def test_too_many(self, paisr: Paisr, world: World, make_endpoint: Make) -> None:
        for _ in range(endpoints.MOST_ENDPOINTS):
            make_endpoint(world.alice)
        assert code_of(paisr("POST", "", NEW)) == (409, "too_many_endpoints")


class TestChanged:
    def test_patch_changes_what_it_names(self, paisr: Paisr) -> None:
        before = paisr.make()
        secret = before.pop("secret")
        shown = paisr("PATCH", f"/{before['id']}", {"events": ["invoice.sent"], "version": 2, "is_active": False})
        assert shown.headers["ETag"] == '"2"'
        after = shown.json()
        assert {name for name in after if after[name] != before[name]} == {
            *("events", "version", "is_active", "disabled_reason", "updated_at")
        }
        assert (after["events"], after["version"], after["disabled_reason"]) == (["invoice.sent"], 2, "paused")
        assert secret not in json.dumps(after)

    def test_put_replaces(self, paisr: Paisr) -> None:
        before = paisr.make(version=2)
        shown = paisr("PUT", f"/{before['id']}", {"endpoint": SECOND, "events": ["*"]}).json()
        assert (shown["description"], shown["endpoint"], shown["events"], shown["version"]) == ("", SECOND, ["*"], 2)
        assert errors_of(paisr("PUT", f"/{before['id']}", {"endpoint": SECOND})) == [("/events", "required")]

    @pytest.mark.parametrize(
        ("sent", "told"),
        [
            ({"endpoint": "x"}, [("/endpoint", "invalid_url")]),
            ({"events": ["nope"]}, [("/events/0", "unknown_event_type")]),
            ({"secret": "x"}, [("/secret", "unknown_field")]),
        ],
    )
    def test_wrong_changes_change_nothing(self, paisr: Paisr, sent: Any, told: list[tuple[str, str]]) -> None:
        webhook = paisr.make()["id"]
        before = stored()
        assert errors_of(paisr("PATCH", f"/{webhook}", sent)) == told
        assert stored() == before

    def test_if_match(self, paisr: Paisr) -> None:
        webhook = paisr.make()["id"]
        assert paisr("PATCH", f"/{webhook}", {"description": "x"}, If_Match='"1"').status_code == 200
        for method, body in (("PATCH", {"description": "y"}), ("PUT", NEW), ("DELETE", None)):
            assert code_of(paisr(method, f"/{webhook}", body, If_Match='"1"')) == (412, "version_mismatch")
        assert Endpoint.objects.get().description == "x"

    def test_a_rules_recipient_keeps_what_the_rule_says(self, paisr: Paisr, alice: Caller) -> None:
        rule = alice.post("/api/v2/webhooks/rules", {"recipients": [{"url": URL, "profile": "paisr"}]}).json()
        webhook = rule["recipients"][0]["id"]
        assert code_of(paisr("PATCH", f"/{webhook}", {"events": ["invoice.paid"]})) == (409, "belongs_to_rule")
        assert paisr("PATCH", f"/{webhook}", {"description": "x"}).status_code == 200

    def test_a_secret_is_rotated_without_losing_events(self, paisr: Paisr) -> None:
        made = paisr.make()
        answer = paisr("POST", f"/{made['id']}/rotate-secret")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        shown = answer.json()
        assert set(shown) == {"id", "secret", "previous_expires_at"}
        assert shown["id"] == made["id"]
        assert shown["secret"] not in {None, made["secret"]}
        current, previous = SigningSecret.objects.order_by("-id")
        assert current.expires_at is None
        assert previous.expires_at is not None
        kept = previous.expires_at - current.created_at
        assert kept.total_seconds() == 86_400
        told = paisr("POST", f"/{made['id']}/rotate-secret", {"overlap_seconds": -1, "x": 1})
        assert errors_of(told) == [("/overlap_seconds", "out_of_range"), ("/x", "unknown_field")]
        own = paisr("POST", f"/{made['id']}/rotate-secret", {"secret": "mine", "overlap_seconds": 0}).json()
        assert own["secret"] == "mine"

    def test_deleted(self, paisr: Paisr) -> None:
        webhook = paisr.make()["id"]
        assert paisr("DELETE", f"/{webhook}").status_code == 204
        assert code_of(paisr("GET", f"/{webhook}")) == (404, "not_found")
        assert paisr("GET", "").json()["data"] == []
        assert Endpoint.objects.get().disabled_reason == "deleted"


class TestListed:
    def test_newest_first_in_pages(self, paisr: Paisr, stranger: Paisr) -> None:
        made = [paisr.make(version=1 + n % 2)["id"] for n in range(3)]
        first = paisr("GET", "?limit=2").json()
        second = paisr("GET", f"?limit=2&cursor={first['next_cursor']}").json()
        assert [row["id"] for row in first["data"] + second["data"]] == made[::-1]
        assert second["next_cursor"] is None
        assert errors_of(stranger("GET", f"?cursor={first['next_cursor']}")) == [("/cursor", "invalid_cursor")]
        assert errors_of(paisr("GET", "?limit=201")) == [("/limit", "invalid_limit")]


class TestStrangers:
    def test_charlie_reaches_nothing(self, paisr: Paisr, stranger: Paisr) -> None:
        webhook = paisr.make()["id"]
        before = stored()
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", NEW),
            ("PATCH", "", {"description": "mine"}),
            ("DELETE", "", None),
            ("POST", "/rotate-secret", {}),
            ("GET", "/events", None),
            ("GET", "/stats", None),
            ("POST", "/events/evt_00000000000000000000000000/retry", {}),
        ):
            assert code_of(stranger(method, f"/{webhook}{path}", body)) == (404, "not_found")
            assert code_of(stranger(method, f"/{webhook}{path}?merchant=alice", body)) == (404, "not_found")
            assert code_of(Paisr("wrong")(method, f"/{webhook}{path}", body)) == (401, "unauthenticated")
        assert stranger("GET", "").json() == {"data": [], "next_cursor": None}
        assert stored() == before
