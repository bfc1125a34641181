"""Rules: one choice of events for several recipients, made, changed and deleted as one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from subscriptions.models import AddressCheck, AuditEntry, Endpoint, Rule, SigningSecret
from subscriptions.services.endpoints import MOST_ENDPOINTS
from subscriptions.services.rules import MOST_RECIPIENTS, MOST_RULES
from tests.subscriptions.conftest import NOW, URL, Api, Person, faults, make_person, problem

SECOND = "https://93.184.215.15/in"
BASIC = {"type": "basic", "username": "shop", "password": "hunter2"}
NOBODY = "ep_00000000000000000000000000"


def make(person: Person, *recipients: dict[str, Any], **values: Any) -> dict[str, Any]:
    made = person.api.post("/rules", {"recipients": list(recipients) or [{"url": URL}]} | values)
    assert made.status_code == 201, made.content
    shown: dict[str, Any] = made.json()
    return shown


def path_of(rule: dict[str, Any]) -> str:
    return f"/rules/{rule['id']}"


def actions() -> list[str]:
    rows = AuditEntry.objects.exclude(action__contains="key.").order_by("id")
    return list(rows.values_list("action", flat=True))


def stored() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Rule, Endpoint, SigningSecret, AuditEntry)]


class TestMade:
    def test_with_several_recipients_each_an_endpoint_of_its_own(
        self, alice: Person, types: list[str], rung: list[list[str]]
    ) -> None:
        sent = {
            "name": "Incoming payments",
            "event_types": ["invoice.*", "PAYMENT_COMPLETED"],
            "accounts": ["LT12 3456", "not-known-yet"],
            "recipients": [
                {"url": URL, "description": "shop", "auth": BASIC, "headers": {"X-Team": "a"}},
                {"url": SECOND, "profile": "paysera"},
                {"url": URL, "secret": "mine"},
            ],
        }
        made = alice.api.post("/rules", sent)
        assert made.status_code == 201
        rule = made.json()
        assert set(rule) == {
            *("id", "name", "event_types", "accounts", "recipients", "version", "created_at", "updated_at")
        }
        assert rule["id"].startswith("rul_")
        assert {name: rule[name] for name in ("name", "event_types", "accounts")} == {
            name: sent[name] for name in ("name", "event_types", "accounts")
        }
        assert made.headers["Location"] == f"/api/v2/webhooks/rules/{rule['id']}"
        assert made.headers["ETag"] == f'"{rule["version"]}"'
        assert made.headers["Cache-Control"] == "no-store"
        first, second, third = rule["recipients"]
        assert [one["url"] for one in rule["recipients"]] == [URL, SECOND, URL]
        assert first["auth"] == {"type": "basic", "username": "shop", "password_set": True}
        assert [one["profile"] for one in rule["recipients"]] == ["default", "paysera", "default"]
        assert first["secret"].startswith("whsec_")
        assert "secret" not in second
        assert "secret" not in third
        assert [one["secret_set"] for one in rule["recipients"]] == [True, False, True]
        for one in rule["recipients"]:
            assert (one["rule"], one["event_types"], one["accounts"]) == (
                rule["id"],
                sent["event_types"],
                sent["accounts"],
            )
            seen = alice.api.get(f"/endpoints/{one['id']}").json()
            assert seen == {name: value for name, value in one.items() if name != "secret"}
        assert alice.api.get(f"/endpoints/{first['id']}/secret").json()["secret"] == first["secret"]
        assert actions()[:4] == ["rule.created", *["endpoint.created"] * 3]
        note = AuditEntry.objects.get(action="rule.created")
        assert (note.target, note.merchant_id) == (rule["id"], alice.merchant.id)
        assert note.detail == {"fields": ["accounts", "event_types", "name", "recipients"]}

    def test_says_all_events_of_all_accounts_when_nothing_is_named(self, alice: Person) -> None:
        rule = make(alice)
        assert (rule["name"], rule["event_types"], rule["accounts"]) == ("", None, [])
        assert alice.api.get("/endpoints").json()["data"][0]["event_types"] is None

    def test_a_plain_endpoint_belongs_to_no_rule(self, alice: Person) -> None:
        assert alice.api.post("/endpoints", {"url": URL}).json()["rule"] is None

    def test_secrets_are_shown_once(self, alice: Person) -> None:
        rule = make(alice)
        again = alice.api.get(path_of(rule))
        assert "secret" not in again.json()["recipients"][0]
        assert "secret" not in alice.api.get("/rules").json()["data"][0]["recipients"][0]
        secret = rule["recipients"][0].pop("secret")
        assert again.json() == rule
        assert secret not in again.content.decode()

    def test_the_same_key_makes_one_rule(self, alice: Person) -> None:
        body = {"recipients": [{"url": URL}, {"url": SECOND}]}
        first, second = (alice.api.post("/rules", body, Idempotency_Key="k") for _ in range(2))
        assert first.json() == second.json()
        assert second.headers["Idempotent-Replayed"] == "true"
        assert (Rule.objects.count(), Endpoint.objects.count()) == (1, 2)
        problem(
            alice.api.post("/rules", {"recipients": [{"url": URL}]}, Idempotency_Key="k"), 409, "idempotency_key_reused"
        )

    def test_all_recipients_or_none(self, alice: Person) -> None:
        for _ in range(MOST_ENDPOINTS - 1):
            assert alice.api.post("/endpoints", {"url": URL}).status_code == 201
        before = stored()
        told = alice.api.post("/rules", {"recipients": [{"url": URL}, {"url": SECOND}]})
        problem(told, 409, "too_many_endpoints")
        assert stored() == before

    def test_at_most_so_many(self, alice: Person) -> None:
        for _ in range(MOST_RULES):
            made = make(alice)
            assert alice.api.delete(f"/endpoints/{made['recipients'][0]['id']}").status_code == 204
        problem(alice.api.post("/rules", {"recipients": [{"url": URL}]}), 409, "too_many_rules")
        assert Rule.objects.count() == MOST_RULES


WRONG: list[tuple[Any, dict[str, str]]] = [
    ({}, {"/recipients": "required"}),
    ({"recipients": []}, {"/recipients": "wrong_length"}),
    ({"recipients": None}, {"/recipients": "wrong_type"}),
    ({"recipients": {"url": URL}}, {"/recipients": "wrong_type"}),
    ({"recipients": [{"url": URL}] * (MOST_RECIPIENTS + 1)}, {"/recipients": "wrong_length"}),
    ({"recipients": ["x", None, 1]}, {f"/recipients/{n}": "wrong_type" for n in range(3)}),
    ({"recipients": [{}]}, {"/recipients/0/url": "required"}),
    ({"recipients": [{"url": "ftp://x"}, {"url": URL, "auth": {"type": "basic"}}]},
     {"/recipients/0/url": "invalid_url", "/recipients/1/auth/username": "required"}),
    ({"recipients": [{"url": "https://10.0.0.1/"}]}, {"/recipients/0/url": "blocked_address"}),
    ({"recipients": [{"url": URL, "event_types": None, "accounts": []}]},
     {"/recipients/0/event_types": "unknown_field", "/recipients/0/accounts": "unknown_field"}),
    ({"recipients": [{"url": URL, "id": NOBODY}]}, {"/recipients/0/id": "unknown_field"}),
    ({"recipients": [{"url": URL, "profile": "nope", "rule": "x"}]},
     {"/recipients/0/profile": "unknown_choice", "/recipients/0/rule": "unknown_field"}),
    ({"recipients": [{"url": URL}], "event_types": []}, {"/event_types": "wrong_length"}),
    ({"recipients": [{"url": URL}], "event_types": ["nope", "a b", 1, "in.*"]},
     {"/event_types/1": "invalid_event_type", "/event_types/2": "wrong_type"}),
    ({"recipients": [{"url": URL}], "event_types": ["in.*", "nope"]}, {"/event_types/1": "unknown_event_type"}),
    ({"recipients": [{"url": URL}], "accounts": None}, {"/accounts": "wrong_type"}),
    ({"recipients": [{"url": URL}], "accounts": ["", "a\tb"]},
     {"/accounts/0": "wrong_length", "/accounts/1": "control_character"}),
    ({"recipients": [{"url": URL}], "name": "x" * 256}, {"/name": "wrong_length"}),
    ({"recipients": [{"url": URL}], "name": None}, {"/name": "wrong_type"}),
    ({"recipients": [{"url": URL}], "id": "rul_x", "version": 1},
     {"/id": "unknown_field", "/version": "unknown_field"}),
    ({"name": 1, "accounts": 2, "recipients": [{"url": 3}]},
     {"/name": "wrong_type", "/accounts": "wrong_type", "/recipients/0/url": "wrong_type"}),
]  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("sent", "told"), WRONG)
    def test_every_fault_is_told_and_nothing_is_made(self, alice: Person, sent: Any, told: dict[str, str]) -> None:
        before = stored()
        assert faults(alice.api.post("/rules", sent)) == told
        assert stored() == before

    @pytest.mark.parametrize("body", [b"", b"[", b"[]", b'"x"', b"null", b'{"a": NaN}', b"\xff", b"[" * 100_000])
    def test_a_body_that_is_no_object(self, alice: Person, body: bytes) -> None:
        rule = make(alice)
        before = stored()
        for answer in (alice.api.post("/rules", body), alice.api.patch(path_of(rule), body)):
            assert answer.status_code in {400, 422}
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert stored() == before

    @pytest.mark.parametrize("rule", ["x", "rul_", NOBODY, "rul_00000000000000000000000000", "%00", "a%2Fb"])
    def test_no_such_rule(self, alice: Person, rule: str) -> None:
        for verb in ("GET", "PATCH", "DELETE"):
            problem(alice.api(verb, f"/rules/{rule}", {} if verb == "PATCH" else None), 404, "not_found")

    @pytest.mark.parametrize(
        ("recipient", "told"),
        [
            ({"id": NOBODY}, {"/recipients/1/id": "unknown_recipient"}),
            ({"id": "x"}, {"/recipients/1/id": "invalid_id"}),
            ({"id": None}, {"/recipients/1/id": "invalid_id"}),
            ({"id": ["x"]}, {"/recipients/1/id": "invalid_id"}),
            ({"id": "same"}, {"/recipients/1/id": "duplicate_recipient"}),
            ({"id": "other"}, {"/recipients/1/id": "unknown_recipient"}),
            ({"description": "no url"}, {"/recipients/1/url": "required"}),
            ({"url": "https://127.0.0.1/"}, {"/recipients/1/url": "blocked_address"}),
        ],
    )
    def test_a_recipient_that_is_none(self, alice: Person, recipient: dict[str, Any], told: dict[str, str]) -> None:
        rule = make(alice)
        other = alice.api.post("/endpoints", {"url": URL}).json()["id"]
        own = rule["recipients"][0]["id"]
        named = {"same": own, "other": other}
        if isinstance(recipient.get("id"), str):
            recipient = {**recipient, "id": named.get(recipient["id"], recipient["id"])}
        before = stored()
        sent = {"name": "x", "recipients": [{"id": own, "description": "changed"}, recipient]}
        assert faults(alice.api.patch(path_of(rule), sent)) == told
        assert stored() == before

    def test_a_secret_is_rotated_and_not_patched(self, alice: Person) -> None:
        rule = make(alice)
        sent = {"recipients": [{"id": rule["recipients"][0]["id"], "secret": "x"}]}
        assert faults(alice.api.patch(path_of(rule), sent)) == {"/recipients/0/secret": "unknown_field"}


class TestChanged:
    def test_the_conditions_of_all_recipients_at_once(
        self, alice: Person, types: list[str], rung: list[list[str]],
        django_capture_on_commit_callbacks: Any,
    ) -> None:  # fmt: skip
        rule = make(alice, {"url": URL}, {"url": SECOND}, event_types=["invoice.paid"])
        with django_capture_on_commit_callbacks(execute=True):
            changed = alice.api.patch(path_of(rule), {"event_types": ["PAYMENT_COMPLETED"], "accounts": ["A"]})
        assert changed.status_code == 200
        shown = changed.json()
        ids = [one["id"] for one in rule["recipients"]]
        assert [one["id"] for one in shown["recipients"]] == ids
        for one in (shown, *shown["recipients"]):
            assert (one["event_types"], one["accounts"]) == (["PAYMENT_COMPLETED"], ["A"])
        assert [one["version"] for one in shown["recipients"]] == [2, 2]
        assert len(rung) == 2
        assert actions()[-3:] == ["rule.updated", "endpoint.updated", "endpoint.updated"]
        assert alice.api.get(path_of(rule)).json() == shown

    def test_a_name_leaves_the_recipients_alone(self, alice: Person) -> None:
        rule = make(alice)
        shown = alice.api.patch(path_of(rule), {"name": "after"}).json()
        assert shown["name"] == "after"
        assert shown["version"] > rule["version"]
        assert shown["recipients"][0]["version"] == 1
        assert actions()[-1] == "rule.updated"

    def test_recipients_are_changed_added_and_deleted(self, alice: Person, types: list[str]) -> None:
        rule = make(alice, {"url": URL}, {"url": URL, "auth": BASIC}, {"url": SECOND}, event_types=["invoice.paid"])
        stays, changes, leaves = (one["id"] for one in rule["recipients"])
        sent = {
            "recipients": [
                {"url": SECOND, "description": "new", "profile": "stripe"},
                {"id": changes, "url": SECOND, "description": "moved"},
                {"id": stays},
            ]
        }
        shown = alice.api.patch(path_of(rule), sent).json()
        first, second, third = shown["recipients"]
        assert [first["id"], second["id"]] == [stays, changes]
        assert first["version"] == 1
        assert (second["url"], second["description"], second["version"]) == (SECOND, "moved", 2)
        assert (second["auth"], second["auth_reset"]) == ({"type": "none"}, True)
        assert (third["description"], third["profile"], third["rule"]) == ("new", "stripe", rule["id"])
        assert third["event_types"] == ["invoice.paid"]
        assert third["secret"].startswith("whsec_")
        problem(alice.api.get(f"/endpoints/{leaves}"), 404, "not_found")
        assert Endpoint.objects.filter(deleted_at=None).count() == 3

    def test_new_recipients_get_the_new_conditions(self, alice: Person, types: list[str]) -> None:
        rule = make(alice, event_types=["invoice.paid"])
        kept = {"id": rule["recipients"][0]["id"]}
        shown = alice.api.patch(
            path_of(rule), {"event_types": None, "accounts": ["B"], "recipients": [kept, {"url": SECOND}]}
        ).json()
        assert [(one["event_types"], one["accounts"]) for one in shown["recipients"]] == [(None, ["B"])] * 2

    def test_who_leaves_makes_room(self, alice: Person) -> None:
        for _ in range(MOST_ENDPOINTS - 1):
            alice.api.post("/endpoints", {"url": URL})
        rule = make(alice)
        answer = alice.api.patch(path_of(rule), {"recipients": [{"url": SECOND}]})
        assert answer.status_code == 200
        before = stored()
        kept = {"id": answer.json()["recipients"][0]["id"], "description": "x"}
        problem(alice.api.patch(path_of(rule), {"recipients": [kept, {"url": URL}]}), 409, "too_many_endpoints")
        assert stored() == before

    def test_archived_types_may_stay(self, alice: Person, types: list[str], provider: Api) -> None:
        rule = make(alice, event_types=["invoice.paid"])
        provider.patch("/event-types/invoice.paid", {"archived": True})
        assert alice.api.patch(path_of(rule), {"event_types": ["invoice.paid"], "name": "x"}).status_code == 200
        told = alice.api.post("/rules", {"event_types": ["invoice.paid"], "recipients": [{"url": URL}]})
        assert faults(told) == {"/event_types/0": "unknown_event_type"}

    def test_if_match(self, alice: Person) -> None:
        rule = make(alice)
        etag = f'"{rule["version"]}"'
        answer = alice.api.patch(path_of(rule), {"name": "x"}, If_Match=etag)
        assert answer.status_code == 200
        before = stored()
        problem(alice.api.patch(path_of(rule), {"name": "y"}, If_Match=etag), 412, "version_mismatch")
        problem(alice.api.delete(path_of(rule), If_Match=etag), 412, "version_mismatch")
        problem(alice.api.patch(path_of(rule), {"name": "y"}, If_Match="W/x"), 412, "version_mismatch")
        assert stored() == before
        assert alice.api.delete(path_of(rule), If_Match=answer.headers["ETag"]).status_code == 204

    def test_the_version_follows_its_recipients_too(self, alice: Person) -> None:
        """Whichever way one of them changes, a caller who saw the rule before is told so."""
        rule = make(alice, {"url": URL}, {"url": SECOND})
        first, second = (f"/endpoints/{one['id']}" for one in rule["recipients"])
        seen = [rule["version"]]
        for verb, path, body in (
            ("PATCH", first, {"description": "x"}),
            ("POST", f"{first}/secret/rotate", None),
            ("DELETE", first, None),
            ("PATCH", second, {"is_active": False}),
        ):
            assert alice.api(verb, path, body).status_code in {200, 204}
            answer = alice.api.get(path_of(rule))
            assert answer.headers["ETag"] == f'"{answer.json()["version"]}"'
            seen.append(answer.json()["version"])
            problem(alice.api.patch(path_of(rule), {"name": "y"}, If_Match=f'"{seen[-2]}"'), 412, "version_mismatch")
        assert seen == sorted(set(seen))


class TestRecipientAsEndpoint:
    @pytest.mark.parametrize(
        "change", [{"event_types": None}, {"accounts": ["A"]}, {"description": "x", "accounts": []}]
    )
    def test_what_it_gets_is_the_rules_to_say(self, alice: Person, change: dict[str, Any]) -> None:
        rule = make(alice)
        before = stored()
        told = problem(alice.api.patch(f"/endpoints/{rule['recipients'][0]['id']}", change), 409, "belongs_to_rule")
        assert told["detail"] == "This endpoint is a recipient of a rule, which says what it gets: change the rule."
        assert stored() == before

    def test_everything_else_is_its_own(self, alice: Person) -> None:
        rule = make(alice)
        path = f"/endpoints/{rule['recipients'][0]['id']}"
        assert alice.api.patch(path, {"description": "x", "is_active": False}).status_code == 200
        shown = alice.api.get(path_of(rule)).json()["recipients"][0]
        assert (shown["description"], shown["is_active"], shown["disabled_reason"]) == ("x", False, "paused")

    def test_deleting_it_takes_it_off_the_rule(self, alice: Person) -> None:
        rule = make(alice, {"url": URL}, {"url": SECOND})
        first, second = (one["id"] for one in rule["recipients"])
        assert alice.api.delete(f"/endpoints/{first}").status_code == 204
        assert [one["id"] for one in alice.api.get(path_of(rule)).json()["recipients"]] == [second]
        assert alice.api.delete(f"/endpoints/{second}").status_code == 204
        assert alice.api.get(path_of(rule)).json()["recipients"] == []
        shown = alice.api.patch(path_of(rule), {"recipients": [{"url": URL}]}).json()
        assert len(shown["recipients"]) == 1


class TestDeleted:
    def test_with_all_its_recipients(self, alice: Person) -> None:
        other = make(alice)
        rule = make(alice, {"url": URL, "auth": BASIC}, {"url": SECOND})
        assert alice.api.delete(path_of(rule)).status_code == 204
        problem(alice.api.get(path_of(rule)), 404, "not_found")
        for one in rule["recipients"]:
            problem(alice.api.get(f"/endpoints/{one['id']}"), 404, "not_found")
        gone = Endpoint.objects.exclude(deleted_at=None)
        assert (
            list(gone.values_list("is_active", "disabled_reason", "auth_ciphertext")) == [(False, "deleted", None)] * 2
        )
        assert SigningSecret.objects.filter(endpoint__in=gone).count() == 0
        assert actions()[-3:] == ["endpoint.deleted", "endpoint.deleted", "rule.deleted"]
        assert [row["id"] for row in alice.api.get("/rules").json()["data"]] == [other["id"]]

    def test_with_its_merchant(self, alice: Person, provider: Api) -> None:
        make(alice)
        assert provider.delete("/merchants/alice").status_code == 204
        assert Rule.objects.count() == 0
        assert Endpoint.objects.filter(deleted_at=None).count() == 0


class TestListed:
    def test_newest_first_in_pages(self, alice: Person, bob: Person, django_assert_num_queries: Any) -> None:
        made = [make(alice, {"url": URL}, {"url": SECOND})["id"] for _ in range(3)]
        make(bob)
        first = alice.api.get("/rules?limit=2").json()
        second = alice.api.get(f"/rules?limit=2&cursor={first['next_cursor']}").json()
        assert [row["id"] for row in first["data"] + second["data"]] == made[::-1]
        assert second["next_cursor"] is None
        assert [len(row["recipients"]) for row in first["data"]] == [2, 2]
        assert faults(bob.api.get(f"/rules?cursor={first['next_cursor']}")) == {"/cursor": "invalid_cursor"}
        assert faults(alice.api.get("/rules?limit=0")) == {"/limit": "invalid_limit"}


class TestStrangers:
    def test_charlie_sees_and_changes_nothing(self, alice: Person, charlie: Person) -> None:
        rule = make(alice)
        before = stored()
        for verb, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
            problem(charlie.api(verb, path_of(rule), body), 404, "not_found")
        assert charlie.api.get("/rules").json() == {"data": [], "next_cursor": None}
        assert stored() == before

    def test_charlie_cannot_take_a_recipient_over(self, alice: Person, charlie: Person) -> None:
        rule = make(alice)
        own = make(charlie)
        before = stored()
        sent = {"recipients": [{"id": rule["recipients"][0]["id"], "url": SECOND}]}
        assert faults(charlie.api.patch(path_of(own), sent)) == {"/recipients/0/id": "unknown_recipient"}
        assert stored() == before

    def test_a_provider_acts_for_a_merchant(self, alice: Person, provider: Api) -> None:
        caller = Api(provider.key)
        made = caller.post("/rules?merchant=alice", {"recipients": [{"url": URL}]})
        assert made.status_code == 201
        assert [row["id"] for row in alice.api.get("/rules").json()["data"]] == [made.json()["id"]]
        problem(caller.post("/rules", {"recipients": [{"url": URL}]}), 422, "invalid")


class TestPeople:
    @pytest.fixture(autouse=True)
    def channels(self, settings: Any) -> None:
        settings.HAS_EMAIL, settings.SMS_BACKEND, settings.PUBLIC_URL = True, "console", "https://signet.example"

    def test_get_what_programs_get_once_they_said_yes(self, alice: Person, types: list[str]) -> None:
        email, number = {"url": "mailto:events@shop.example"}, {"channel": "sms", "url": "+37060000000"}
        rule = make(alice, {"url": URL}, email, number, event_types=["invoice.paid"], accounts=["LT1"])
        webhook, letter, text = rule["recipients"]
        assert [one["channel"] for one in rule["recipients"]] == ["webhook", "email", "sms"]
        assert [one["url"] for one in rule["recipients"]] == [URL, "mailto:events@shop.example", "sms:+37060000000"]
        assert [one["is_active"] for one in rule["recipients"]] == [True, False, False]
        assert ("secret" in webhook, "secret" in letter, "secret" in text) == (True, False, False)
        for one in rule["recipients"]:
            assert (one["rule"], one["event_types"], one["accounts"]) == (rule["id"], ["invoice.paid"], ["LT1"])
        assert set(AddressCheck.objects.values_list("endpoint__channel", flat=True)) == {"email", "sms"}

    def test_change_with_the_rule_and_are_asked_anew_at_another_address(self, alice: Person, types: list[str]) -> None:
        rule = make(alice, {"url": "mailto:events@shop.example"}, {"url": URL})
        letter, webhook = rule["recipients"]
        Endpoint.objects.filter(channel="email").update(is_active=True, disabled_reason="", verified_at=NOW)
        AddressCheck.objects.all().delete()
        shown = alice.api.patch(path_of(rule), {"event_types": ["invoice.paid"]}).json()
        assert [(one["event_types"], one["is_active"]) for one in shown["recipients"]] == [(["invoice.paid"], True)] * 2
        moved = {"id": letter["id"], "url": "mailto:other@shop.example"}
        shown = alice.api.patch(path_of(rule), {"recipients": [moved, {"id": webhook["id"]}]}).json()
        assert [one["is_active"] for one in shown["recipients"]] == [False, True]
        assert AddressCheck.objects.get().endpoint.public_id == letter["id"]

    def test_are_refused_where_the_channel_is_not_set_up(self, alice: Person, settings: Any) -> None:
        settings.HAS_EMAIL = False
        before = stored()
        sent = {"recipients": [{"url": URL}, {"url": "mailto:events@shop.example"}, {"url": "sms:12"}]}
        assert faults(alice.api.post("/rules", sent)) == {
            "/recipients/1/channel": "channel_unavailable",
            "/recipients/2/url": "invalid_address",
        }
        assert stored() == before


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_changes_of_rule_and_recipients_wait_for_each_other(self, rung: list[list[str]]) -> None:
        alice = make_person("Alice")
        rule = make(alice, {"url": URL}, {"url": SECOND})
        paths = [f"/endpoints/{one['id']}" for one in rule["recipients"]]

        def change(number: int) -> int:
            kept = [{"id": one["id"], "metadata": {"rule": str(number)}} for one in rule["recipients"]]
            try:
                if number % 2:
                    answer = alice.api.patch(paths[number // 2 % 2], {"description": str(number)})
                else:
                    answer = alice.api.patch(path_of(rule), {"accounts": [f"A{number}"], "recipients": kept})
                return int(answer.status_code)
            finally:
                connection.close()

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(change, range(18))) == [200] * 18
        shown = alice.api.get(path_of(rule)).json()
        for one in shown["recipients"]:
            assert one["accounts"] == shown["accounts"]
            assert one["metadata"] == {"rule": shown["accounts"][0][1:]}
        # One for the rule and one for each of its two recipients, nine times; and nine changes of a recipient.
        assert shown["version"] == rule["version"] + 9 * 3 + 9

    def test_of_racing_changes_with_one_version_one_wins(self, rung: list[list[str]]) -> None:
        alice = make_person("Alice")
        rule = make(alice)

        def change(number: int) -> int:
            try:
                etag = f'"{rule["version"]}"'
                return int(alice.api.patch(path_of(rule), {"name": str(number)}, If_Match=etag).status_code)
            finally:
                connection.close()

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(change, range(6))) == [200] + [412] * 5
        assert Rule.objects.get().version == 2
