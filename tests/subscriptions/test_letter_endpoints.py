"""E-mail and SMS endpoints: what they may be, and that nothing happens before the owner of the address says yes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from subscriptions.models import AddressCheck, AuditEntry, Endpoint
from subscriptions.services import address_checks, endpoints
from subscriptions.services.address_checks import MOST_TO_ADDRESS, TRIES
from tests.subscriptions.conftest import URL, Person, faults, problem

pytestmark = pytest.mark.django_db(transaction=True)

MAIL = "mailto:events@shop.example"
PHONE = "sms:+37060000000"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(settings: Any, rung: list[list[str]]) -> Iterator[time_machine.Traveller]:
    settings.SMS_BACKEND = "console"
    settings.PUBLIC_URL = "https://webhooks.example"
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The endpoints for which a code was to be sent."""
    ids: list[str] = []
    monkeypatch.setattr("subscriptions.services.bell._send_code", ids.append)
    return ids


def make(person: Person, **fields: Any) -> dict[str, Any]:
    answer = person.api.post("/endpoints", {"url": MAIL} | fields)
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def code_of(endpoint: str) -> str:
    question = address_checks.find_open(row(endpoint).id, now=datetime.now(UTC))
    assert question is not None
    return question.code


def wrong_code(endpoint: str) -> str:
    return f"{(int(code_of(endpoint)) + 1) % 10**6:06}"


def row(endpoint: str) -> Endpoint:
    return next(one for one in Endpoint.objects.all() if one.public_id == endpoint)


def verify(person: Person, endpoint: str) -> Any:
    return person.api.post(f"/endpoints/{endpoint}/verification/confirm", {"code": code_of(endpoint)})


class TestAddresses:
    @pytest.mark.parametrize(
        ("fields", "channel", "stored"),
        [
            ({"url": "mailto:a@b.example"}, "email", "mailto:a@b.example"),
            ({"url": "MAILTO:a@b.example"}, "email", "mailto:a@b.example"),
            ({"url": "a@b.example", "channel": "email"}, "email", "mailto:a@b.example"),
            ({"url": " a@b.example ", "channel": "email"}, "email", "mailto:a@b.example"),
            ({"url": "mailto:a%2Bb@c.example"}, "email", "mailto:a+b@c.example"),
            ({"url": "Big.Name+x=y@B.Example."}, None, None),
            ({"url": "Big.Name+x=y@B.Example", "channel": "email"}, "email", "mailto:Big.Name+x=y@b.example"),
            ({"url": "a@žalia.example", "channel": "email"}, "email", "mailto:a@xn--alia-kbb.example"),
            ({"url": "sms:+37060000000"}, "sms", "sms:+37060000000"),
            ({"url": "tel:+370-600-00000"}, "sms", "sms:+37060000000"),
            ({"url": "+370 (600) 00.000", "channel": "sms"}, "sms", "sms:+37060000000"),
            ({"url": "+1234567", "channel": "sms"}, "sms", "sms:+1234567"),
            ({"url": "+123456789012345", "channel": "sms"}, "sms", "sms:+123456789012345"),
        ],
    )
    def test_one_spelling(self, alice: Person, fields: dict[str, str], channel: str | None, stored: str | None) -> None:
        if channel is None:
            assert faults(alice.api.post("/endpoints", fields)) == {"/url": "invalid_url"}
            return
        shown = make(alice, **fields)
        assert (shown["channel"], shown["url"]) == (channel, stored)
        assert Endpoint.objects.get().target == stored

    @pytest.mark.parametrize(
        "url",
        [
            "mailto:",
            "mailto:a",
            "mailto:@b.example",
            "mailto:a@",
            "mailto:a@b",
            "mailto:a@localhost",
            "mailto:a@mail.internal",
            "mailto:a@127.0.0.1",
            "mailto:a@[127.0.0.1]",
            "mailto:a@b.example,c@d.example",
            "mailto:a@b.example;c@d.example",
            "mailto:a@b@c.example",
            "mailto:Joe <a@b.example>",
            "mailto:<a@b.example>",
            'mailto:"a b"@b.example',
            "mailto:a b@c.example",
            "mailto:.a@b.example",
            "mailto:a..b@c.example",
            "mailto:a@b.example?cc=x@y.example",
            "mailto:a@b.example?subject=x",
            "mailto:a@b.example\r\nBcc: x@y.example",
            "mailto:a@b.example%0d%0aBcc:%20x@y.example",
            "mailto:a%00@b.example",
            "mailto:a\u2028@b.example",
            "mailto:a\u202e@b.example",
            "mailto:ä@b.example",
            f"mailto:{'a' * 65}@b.example",
            f"mailto:a@{'b' * 63}.{'b' * 63}.{'b' * 63}.{'b' * 60}.example",
            f"mailto:{'a' * 100_000}@b.example",
        ],
    )
    def test_no_address(self, alice: Person, asked: list[str], url: str) -> None:
        assert faults(alice.api.post("/endpoints", {"url": url})) == {"/url": "invalid_address"}
        assert (Endpoint.objects.count(), asked) == (0, [])

    @pytest.mark.parametrize(
        "url",
        [
            *("sms:", "sms:37060000000", "sms:+0123456789", "sms:+123456", "sms:+1234567890123456", "sms:+370abc00000"),
            *("sms:+37060000000,+37060000001", "sms:+37060000000?body=x", "sms:+37060000000\n+37060000001"),
            *("sms:+٣٧٠٦٠٠٠٠٠٠٠", "tel:+37060000000;ext=5", "sms:++37060000000"),
        ],
    )
    def test_no_number(self, alice: Person, asked: list[str], url: str) -> None:
        assert faults(alice.api.post("/endpoints", {"url": url})) == {"/url": "invalid_address"}
        assert (Endpoint.objects.count(), asked) == (0, [])

    @pytest.mark.parametrize("value", [None, 7, [MAIL], {"to": MAIL}])
    def test_no_text(self, alice: Person, value: Any) -> None:
        told = faults(alice.api.post("/endpoints", {"url": value, "channel": "email"}))
        assert told == {"/url": "wrong_type"}


class TestFields:
    @pytest.mark.parametrize("url", [MAIL, PHONE])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
            ("profile", "standard-webhooks"),
            ("auth", {"type": "bearer", "token": "x"}),
            ("headers", {"X-A": "1"}),
            ("ack", {"type": "2xx"}),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, alice: Person, url: str, name: str, value: Any) -> None:
        answer = alice.api.post("/endpoints", {"url": url, name: value})
        assert faults(answer) == {f"/{name}": "not_for_channel"}
        article = "An e-mail" if url == MAIL else "An SMS"
        assert answer.json()["errors"][0]["message"] == f"{article} endpoint has no {name}."
        assert not Endpoint.objects.exists()

    def test_an_endpoint_as_shown_can_be_sent_back(self, alice: Person) -> None:
        shown = make(alice)
        assert shown["secret_set"] is False
        assert "secret" not in shown
        sent = {
            name: shown[name]
            for name in ("url", "channel", "profile", "auth", "headers", "ack", "is_active", "ordered", "metadata")
        }
        assert alice.api.patch(f"/endpoints/{shown['id']}", sent).status_code == 200

    def test_the_channel_is_for_good(self, alice: Person) -> None:
        mail, web = make(alice)["id"], make(alice, url=URL)["id"]
        assert faults(alice.api.patch(f"/endpoints/{web}", {"channel": "email"})) == {"/channel": "channel_is_for_good"}
        assert faults(alice.api.patch(f"/endpoints/{web}", {"url": MAIL})) == {"/url": "invalid_url"}
        assert faults(alice.api.patch(f"/endpoints/{mail}", {"channel": "sms"})) == {"/channel": "channel_is_for_good"}
        assert faults(alice.api.patch(f"/endpoints/{mail}", {"url": URL})) == {"/url": "invalid_address"}

    def test_an_unknown_channel(self, alice: Person) -> None:
        answer = alice.api.post("/endpoints", {"url": URL, "channel": "pigeon"})
        assert faults(answer) == {"/channel": "unknown_choice"}

    def test_config_is_for_webhooks(self, alice: Person) -> None:
        assert faults(alice.api.put("/config", {"url": MAIL})) == {"/url": "invalid_url"}
        told = faults(alice.api.put("/config", {"url": MAIL, "channel": "email"}))
        assert told == {"/url": "invalid_url", "/channel": "unknown_field"}

    def test_letters_are_not_signed(self, alice: Person) -> None:
        mail = make(alice)["id"]
        problem(alice.api.post(f"/endpoints/{mail}/secret/rotate"), 409, "not_for_channel")

    @pytest.mark.parametrize(
        ("url", "setting", "value"),
        [
            (MAIL, "HAS_EMAIL", False),
            (PHONE, "SMS_BACKEND", "none"),
            (MAIL, "PUBLIC_URL", ""),
            (PHONE, "PUBLIC_URL", ""),
        ],
    )
    def test_a_channel_that_is_not_set_up(
        self, alice: Person, settings: Any, url: str, setting: str, value: Any, asked: list[str]
    ) -> None:
        setattr(settings, setting, value)
        assert faults(alice.api.post("/endpoints", {"url": url})) == {"/channel": "channel_unavailable"}
        assert (Endpoint.objects.count(), asked) == (0, [])


class TestConfirming:
    def test_a_new_endpoint_waits_for_its_owner(self, alice: Person, asked: list[str]) -> None:
        shown = make(alice, is_active=True)
        assert (shown["is_active"], shown["disabled_reason"], shown["verified_at"]) == (False, "unverified", None)
        assert asked == [str(Endpoint.objects.get().id)]
        state = alice.api.get(f"/endpoints/{shown['id']}/verification").json()
        assert state == {
            "status": "unverified",
            "verified_at": None,
            "sent_at": "2026-03-01T12:00:00Z",
            "expires_at": "2026-03-01T13:00:00Z",
            "tries_left": TRIES,
        }

    def test_the_right_code_switches_it_on(self, alice: Person, rung: list[list[str]]) -> None:
        endpoint = make(alice)["id"]
        answer = verify(alice, endpoint)
        shown = answer.json()
        assert (answer.status_code, shown["is_active"], shown["disabled_reason"]) == (200, True, None)
        assert shown["verified_at"] == "2026-03-01T12:00:00Z"
        assert answer.headers["ETag"] == '"2"'
        assert rung[-1] == [str(row(endpoint).id)]
        assert not AddressCheck.objects.exists()
        assert AuditEntry.objects.latest("id").action == "endpoint.verified"
        problem(alice.api.post(f"/endpoints/{endpoint}/verification"), 409, "already_verified")

    def test_spaces_in_a_pasted_code(self, alice: Person) -> None:
        endpoint = make(alice)["id"]
        code = code_of(endpoint)
        pasted = {"code": f" {code[:3]} {code[3:]} "}
        assert alice.api.post(f"/endpoints/{endpoint}/verification/confirm", pasted).status_code == 200

    def test_codes_cannot_be_guessed(self, alice: Person) -> None:
        endpoint = make(alice)["id"]
        path, right, wrong = f"/endpoints/{endpoint}/verification/confirm", code_of(endpoint), wrong_code(endpoint)
        for left in range(TRIES - 1, -1, -1):
            answer = alice.api.post(path, {"code": wrong}, Idempotency_Key=f"guess-{left}")
            assert faults(answer) == {"/code": "wrong_code"}
            assert AddressCheck.objects.get().tries_left == left
        problem(alice.api.post(path, {"code": right}), 409, "no_tries_left")
        assert row(endpoint).verified_at is None

    def test_all_guesses_of_a_day_together(self, alice: Person, clock: time_machine.Traveller) -> None:
        """Fifty tries in a million codes, whoever asks how often, and by whichever endpoint."""
        endpoint = make(alice)["id"]
        tries = 0
        for _ in range(100):
            path = f"/endpoints/{endpoint}/verification"
            while alice.api.post(f"{path}/confirm", {"code": wrong_code(endpoint)}).status_code == 422:
                tries += 1
            clock.shift(timedelta(seconds=61))
            if alice.api.post(path).status_code == 429:
                break
        assert tries == MOST_TO_ADDRESS * TRIES
        problem(alice.api.post("/endpoints", {"url": MAIL}), 429, "too_many_codes")
        assert Endpoint.objects.count() == 1

    def test_a_code_runs_out(self, alice: Person, clock: time_machine.Traveller) -> None:
        endpoint = make(alice)["id"]
        code = code_of(endpoint)
        clock.shift(timedelta(hours=1))
        path = f"/endpoints/{endpoint}/verification/confirm"
        problem(alice.api.post(path, {"code": code}), 409, "code_expired")
        assert row(endpoint).is_active is False

    def test_a_new_code_ends_the_old_one(self, alice: Person, clock: time_machine.Traveller, asked: list[str]) -> None:
        endpoint = make(alice)["id"]
        old = code_of(endpoint)
        clock.shift(timedelta(seconds=60))
        answer = alice.api.post(f"/endpoints/{endpoint}/verification")
        assert (answer.status_code, answer.json()["tries_left"]) == (202, TRIES)
        assert code_of(endpoint) != old
        assert len(asked) == 2
        assert faults(alice.api.post(f"/endpoints/{endpoint}/verification/confirm", {"code": old})) == {
            "/code": "wrong_code"
        }

    def test_not_before_a_minute(self, alice: Person, clock: time_machine.Traveller, asked: list[str]) -> None:
        endpoint = make(alice)["id"]
        clock.shift(timedelta(seconds=59))
        answer = alice.api.post(f"/endpoints/{endpoint}/verification")
        problem(answer, 429, "too_many_requests")
        assert answer.headers["Retry-After"] == "1"
        assert len(asked) == 1

    def test_the_same_idempotency_key_sends_once(
        self, alice: Person, clock: time_machine.Traveller, asked: list[str]
    ) -> None:
        endpoint = make(alice)["id"]
        clock.shift(timedelta(seconds=60))
        path = f"/endpoints/{endpoint}/verification"
        first = alice.api.post(path, Idempotency_Key="k")
        again = alice.api.post(path, Idempotency_Key="k")
        assert (again.status_code, again.json(), len(asked)) == (202, first.json(), 2)

    def test_nobody_switches_an_unconfirmed_one_on(self, alice: Person) -> None:
        endpoint = make(alice)["id"]
        answer = alice.api.patch(f"/endpoints/{endpoint}", {"is_active": True})
        assert faults(answer) == {"/is_active": "unverified"}
        with pytest.raises(Exception, match="has not confirmed"):
            endpoints.enable(merchant=alice.merchant, endpoint_id=row(endpoint).id, now=START, actor="user:op")
        assert row(endpoint).is_active is False

    def test_a_confirmed_one_can_be_paused_and_switched_on(self, alice: Person) -> None:
        endpoint = make(alice)["id"]
        verify(alice, endpoint)
        paused = alice.api.patch(f"/endpoints/{endpoint}", {"is_active": False}).json()
        assert (paused["disabled_reason"], paused["verified_at"] is None) == ("paused", False)
        assert alice.api.patch(f"/endpoints/{endpoint}", {"is_active": True}).json()["is_active"] is True

    @pytest.mark.parametrize("is_paused", [False, True])
    def test_another_address_needs_another_yes(self, alice: Person, asked: list[str], *, is_paused: bool) -> None:
        endpoint = make(alice)["id"]
        verify(alice, endpoint)
        if is_paused:
            alice.api.patch(f"/endpoints/{endpoint}", {"is_active": False})
        shown = alice.api.patch(f"/endpoints/{endpoint}", {"url": "other@shop.example", "is_active": True}).json()
        assert (shown["url"], shown["is_active"], shown["disabled_reason"], shown["verified_at"]) == (
            *("mailto:other@shop.example", False),
            *("unverified", None),
        )
        assert len(asked) == 2

    def test_the_same_address_needs_none(self, alice: Person, asked: list[str]) -> None:
        endpoint = make(alice)["id"]
        verify(alice, endpoint)
        shown = alice.api.patch(f"/endpoints/{endpoint}", {"url": MAIL, "description": "x"}).json()
        assert (shown["is_active"], len(asked)) == (True, 1)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({}, {"/code": "required"}),
            ({"code": 123456}, {"/code": "wrong_type"}),
            ({"code": "1", "x": 1}, {"/x": "unknown_field"}),
            ({"code": ""}, {"/code": "wrong_length"}),
            ({"code": "9" * 33}, {"/code": "wrong_length"}),
        ],
    )
    def test_what_is_no_code_uses_up_no_try(self, alice: Person, body: Any, told: dict[str, str]) -> None:
        endpoint = make(alice)["id"]
        assert faults(alice.api.post(f"/endpoints/{endpoint}/verification/confirm", body)) == told
        assert AddressCheck.objects.get().tries_left == TRIES

    def test_a_webhook_has_nothing_to_confirm(self, alice: Person) -> None:
        endpoint = make(alice, url=URL)["id"]
        path = f"/endpoints/{endpoint}/verification"
        problem(alice.api.get(path), 404, "not_for_channel")
        problem(alice.api.post(path), 409, "not_for_channel")
        problem(alice.api.post(f"{path}/confirm", {"code": "123456"}), 409, "not_for_channel")

    def test_a_deleted_endpoint_has_no_question(self, alice: Person) -> None:
        endpoint = make(alice)["id"]
        assert alice.api.delete(f"/endpoints/{endpoint}").status_code == 204
        assert not AddressCheck.objects.exists()
        problem(alice.api.post(f"/endpoints/{endpoint}/verification"), 404, "not_found")

    def test_no_code_lies_in_the_database(self, alice: Person) -> None:
        endpoint = make(alice)["id"]
        code = code_of(endpoint)
        stored = [list(model.objects.values()) for model in (AddressCheck, AuditEntry, Endpoint)]
        assert code not in str(stored)
        assert bytes(AddressCheck.objects.get().digest) != b""

    def test_a_stranger_confirms_nothing(self, alice: Person, charlie: Person) -> None:
        endpoint = make(alice)["id"]
        path, code = f"/endpoints/{endpoint}/verification", code_of(endpoint)
        problem(charlie.api.get(path), 404, "not_found")
        problem(charlie.api.post(path), 404, "not_found")
        problem(charlie.api.post(f"{path}/confirm", {"code": code}), 404, "not_found")
        problem(charlie.api.post(f"{path}/confirm", {"code": wrong_code(endpoint)}), 404, "not_found")
        assert AddressCheck.objects.get().tries_left == TRIES
        assert row(endpoint).verified_at is None

    def test_a_code_is_good_for_its_own_endpoint_only(self, alice: Person) -> None:
        first, second = make(alice)["id"], make(alice, url="mailto:b@shop.example")["id"]
        path = f"/endpoints/{second}/verification/confirm"
        if code_of(first) != code_of(second):
            assert faults(alice.api.post(path, {"code": code_of(first)})) == {"/code": "wrong_code"}
        assert row(second).verified_at is None
