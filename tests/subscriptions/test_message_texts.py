"""The texts of e-mails and SMS: what templates may do, what the built-in ones say, and the provider's routes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.sms_text import segments
from subscriptions.models import AuditEntry, MessageTemplate
from subscriptions.services import message_texts
from subscriptions.services.message_texts import BUILT_IN, Facts, TextError, compile_one, compile_text
from tests.subscriptions.conftest import Api, Person, faults, make_type, problem

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
LINK = "https://w.example/u/0123456789ABCDEFGHIJKLMNOPQRS"
PAYLOAD = (
    b'{"id":"in_1","amount":1.10,"paid":true,"note":null,"customer":{"name":"Jane <Roe>","vip":false},'
    b'"tags":["a","b"],"lines":[{"sku":"x"}]}'
)


def facts(payload: bytes = PAYLOAD, **changed: Any) -> Facts:
    values: dict[str, Any] = {
        "type": "invoice.paid",
        "description": "An invoice was paid.\nMore about it.",
        "merchant": "Acme & Sons",
        "account": None,
        "id": "evt_1",
        "occurred_at": AT,
        "payload": payload,
        "unsubscribe_url": LINK,
    }
    return Facts(**values | changed)


def rendered(body: str, about: Facts | None = None) -> str:
    _, text = message_texts.email(compile_text(subject="", body=body), about or facts())
    return text.partition("\n\n-- \n")[0]


class TestTemplates:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ("{{ type }}|{{ title }}|{{ id }}|{{ merchant }}", "invoice.paid|An invoice was paid|evt_1|Acme & Sons"),
            ("{{ payload.amount }} {{ payload.customer.name }}", "1.10 Jane <Roe>"),
            ("{{ payload.lines.0.sku|upper }}", "X"),
            ("[{{ nothing }}][{{ payload.nothing.at.all }}][{{ account }}]", "[][][]"),
            ("{% if payload.paid %}yes{% else %}no{% endif %}", "yes"),
            ("{% for tag in payload.tags %}{{ forloop.counter }}{{ tag }}{% endfor %}", "1a2b"),
            ("{% with a=payload.id %}{{ a }}{% endwith %}{# hidden #}", "in_1"),
            ('{{ occurred_at|date:"Y-m-d H:i" }}', "2026-03-01 12:30"),
            ("{{ payload.amount|floatformat:1 }}", "1.1"),
            ("{% verbatim %}{{ type }}{% endverbatim %}", "{{ type }}"),
        ],
    )
    def test_what_they_can(self, body: str, text: str) -> None:
        assert rendered(body) == text

    @pytest.mark.parametrize(
        "source",
        [
            *("{% include 'x' %}", "{% extends 'x' %}", "{% load static %}", "{% debug %}", "{% url 'x' %}"),
            *("{% csrf_token %}", "{% now 'Y' %}", "{% lorem %}", "{% block x %}{% endblock %}", "{% autoescape on %}"),
            *("{{ type|safe }}", "{{ type|escape }}", "{{ type|ljust:'9999' }}", "{{ type|pprint }}"),
            *("{{ payload.__class__ }}", "{{ _type }}", "{% if %}", "{% for x in payload %}", "{{ }}", "{% endif %}"),
        ],
    )
    def test_what_they_cannot(self, source: str) -> None:
        with pytest.raises(TextError):
            compile_one(source)

    def test_a_template_that_fails_says_what_kind_and_no_value(self) -> None:
        with pytest.raises(TextError, match=r"^The template cannot take this event \(TypeError\)\.$"):
            rendered("{% for a, b in payload.amount %}{{ a }}{% endfor %}")

    def test_numbers_keep_their_digits(self) -> None:
        shown = rendered(
            "{{ payload.a }} {{ payload.b }} {{ payload.c }}", facts(b'{"a":0.10,"b":12345678901234567890,"c":5}')
        )
        assert shown == "0.10 12345678901234567890 5"

    def test_a_number_too_long_to_count_with_stays_text(self) -> None:
        digits = "7" * 4_300
        assert rendered("{{ payload.a }}", facts(b'{"a":%b}' % digits.encode())) == digits


class TestHeadersAndControls:
    def test_a_subject_is_one_line(self) -> None:
        text = compile_text(subject="{{ payload.id }}\n{{ merchant }}", body="x")
        about = facts(b'{"id":"a\\r\\nBcc: x@y.example\\u2028\\u0085b"}', merchant="M\r\nCc: z")
        subject, _ = message_texts.email(text, about)
        assert subject == "a Bcc: x@y.example b M Cc: z"

    def test_an_empty_subject_becomes_the_title(self) -> None:
        assert message_texts.email(compile_text(subject="{{ nothing }}", body="x"), facts())[0] == "An invoice was paid"

    def test_no_control_character_gets_through(self) -> None:
        shown = rendered("{{ payload.id }}", facts(b'{"id":"a\\u0000\\u001b[2J\\u0007\\ud800b\\r\\nc\\td"}'))
        assert shown == "a  [2J  b\nc\td"


class TestWayOut:
    def test_it_is_added_where_the_text_has_none(self) -> None:
        _, text = message_texts.email(compile_text(subject="", body="Hello"), facts())
        assert text == f"Hello\n\n-- \nNo more of these messages: {LINK}\n"

    def test_it_is_not_added_twice(self) -> None:
        _, text = message_texts.email(compile_text(subject="", body="Out: {{ unsubscribe_url }}."), facts())
        assert text == f"Out: {LINK}.\n"

    def test_in_an_sms(self) -> None:
        assert message_texts.sms(compile_text(subject="", body="Hi"), facts(), most_segments=1) == f"Hi Stop: {LINK}"

    def test_where_an_sms_has_it_already(self) -> None:
        text = compile_text(subject="", body="{{ unsubscribe_url }} Hi")
        assert message_texts.sms(text, facts(), most_segments=1) == f"{LINK} Hi"

    def test_a_long_sms_is_cut_and_keeps_it(self) -> None:
        text = compile_text(subject="", body="{{ unsubscribe_url }} {{ payload.id }}")
        sent = message_texts.sms(text, facts(b'{"id":"%b"}' % (b"word " * 400)), most_segments=2)
        assert sent.endswith(f"... Stop: {LINK}")
        assert (sent.count(LINK), segments(sent)) == (1, 2)


class TestBuiltIn:
    def test_an_email(self) -> None:
        subject, text = message_texts.email(BUILT_IN["email"], facts(account="ACC-7"))
        assert subject == "An invoice was paid (Acme & Sons)"
        assert text == (
            "An invoice was paid\n\n"
            "Merchant: Acme & Sons\nAccount: ACC-7\nEvent: invoice.paid, 2026-03-01 12:30:00 UTC\nReference: evt_1\n\n"
            "id: in_1\namount: 1.10\npaid: yes\ntags: a, b\ncustomer.name: Jane <Roe>\ncustomer.vip: no\n\n"
            f"-- \nNo more of these messages: {LINK}\n"
        )

    def test_an_sms(self) -> None:
        sent = message_texts.sms(BUILT_IN["sms"], facts(), most_segments=3)
        assert sent == f"Acme & Sons: An invoice was paid, id in_1, amount 1.10, paid yes Stop: {LINK}"

    def test_without_a_description_the_type_stands_for_it(self) -> None:
        assert message_texts.email(BUILT_IN["email"], facts(description=" \n"))[0] == "invoice.paid (Acme & Sons)"

    @pytest.mark.parametrize("payload", [b"null", b"[]", b"7", b'"text"', b"{}", b"[[[1]]]", b'{"a":{"b":{"c":1}}}'])
    def test_any_payload(self, payload: bytes) -> None:
        _, text = message_texts.email(BUILT_IN["email"], facts(payload))
        assert text.startswith("An invoice was paid\n\nMerchant:")
        assert message_texts.sms(BUILT_IN["sms"], facts(payload), most_segments=3).endswith(LINK)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=6),
            max_leaves=20,
        )
    )
    def test_whatever_is_published_can_be_written(self, value: Any) -> None:
        import json

        payload = json.dumps(value).encode()
        _, text = message_texts.email(BUILT_IN["email"], facts(payload))
        assert LINK in text
        text.encode()
        sent = message_texts.sms(BUILT_IN["sms"], facts(payload), most_segments=2)
        assert sent.endswith(LINK)
        assert segments(sent) <= 2


@pytest.mark.django_db
class TestRoutes:
    PATH = "/message-templates"

    def make(self, provider: Api, **fields: Any) -> Any:
        return provider.post(self.PATH, {"channel": "email", "body": "Hello {{ payload.id }}"} | fields)

    def test_made_shown_changed_deleted(self, provider: Api) -> None:
        make_type("invoice.paid", example={"id": "in_9"}, description="Paid.")
        answer = self.make(provider, event_type="invoice.paid", subject="{{ title }}!")
        made = answer.json()
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/api/v2/message-templates/{made['id']}"
        assert made["id"].startswith("tpl_")
        assert made["preview"]["subject"] == "Paid!"
        assert made["preview"]["text"].startswith("Hello in_9\n")
        path = f"{self.PATH}/{made['id']}"
        changed = provider.patch(path, {"body": "Bye {{ payload.id }}"}).json()
        assert (changed["subject"], changed["preview"]["text"].splitlines()[0]) == ("{{ title }}!", "Bye in_9")
        assert [row["id"] for row in provider.get(self.PATH).json()["data"]] == [made["id"]]
        assert provider.delete(path).status_code == 204
        problem(provider.get(path), 404, "not_found")
        actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
        assert actions[-3:] == [f"message_template.{what}" for what in ("created", "updated", "deleted")]

    def test_an_sms_tells_its_segments(self, provider: Api) -> None:
        made = self.make(provider, channel="sms", body="Žinia {{ payload.id }}").json()
        assert (made["preview"]["encoding"], made["preview"]["segments"]) == ("UCS-2", 2)

    def test_one_for_each_channel_and_type(self, provider: Api) -> None:
        make_type("invoice.paid")
        for fields in ({}, {"channel": "sms"}, {"event_type": "invoice.paid"}):
            assert self.make(provider, **fields).status_code == 201
        problem(self.make(provider), 409, "template_exists")
        problem(self.make(provider, event_type="invoice.paid"), 409, "template_exists")
        assert MessageTemplate.objects.count() == 3

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"body": "{% include 'x' %}"}, {"/body": "invalid_template"}),
            ({"body": "{% for a, b in payload.id %}{% endfor %}"}, {"/body": "invalid_template"}),
            (
                {"subject": "{{ x|nope }}", "body": "{% if %}"},
                {"/subject": "invalid_template", "/body": "invalid_template"},
            ),
            ({"subject": "a\nb"}, {"/subject": "control_character"}),
            ({"body": "   "}, {"/body": "wrong_length"}),
            ({"body": "x" * 20_001}, {"/body": "wrong_length"}),
            ({"channel": "sms", "subject": "x"}, {"/subject": "not_for_channel"}),
            ({"channel": "webhook"}, {"/channel": "unknown_choice"}),
            ({"event_type": "nope"}, {"/event_type": "unknown_event_type"}),
            ({"x": 1}, {"/x": "unknown_field"}),
        ],
    )
    def test_refused(self, provider: Api, fields: dict[str, Any], told: dict[str, str]) -> None:
        assert faults(self.make(provider, **fields)) == told
        assert not MessageTemplate.objects.exists()

    def test_channel_and_type_are_for_good(self, provider: Api) -> None:
        made = self.make(provider).json()["id"]
        told = faults(provider.patch(f"{self.PATH}/{made}", {"channel": "sms", "event_type": None}))
        assert told == {"/channel": "unknown_field", "/event_type": "unknown_field"}

    def test_a_broken_change_changes_nothing(self, provider: Api) -> None:
        made = self.make(provider).json()["id"]
        before = MessageTemplate.objects.values().get()
        assert faults(provider.patch(f"{self.PATH}/{made}", {"body": "{% if %}"})) == {"/body": "invalid_template"}
        assert MessageTemplate.objects.values().get() == before

    def test_the_same_idempotency_key_makes_one(self, provider: Api) -> None:
        body = {"channel": "sms", "body": "x"}
        first, again = (provider.post(self.PATH, body, Idempotency_Key="k") for _ in range(2))
        assert (again.status_code, again.json()) == (201, first.json())
        assert MessageTemplate.objects.count() == 1

    def test_pages(self, provider: Api) -> None:
        for fields in ({}, {"channel": "sms"}):
            self.make(provider, **fields)
        first = provider.get(f"{self.PATH}?limit=1").json()
        second = provider.get(f"{self.PATH}?limit=1&cursor={first['next_cursor']}").json()
        assert (len(first["data"]), len(second["data"]), second["next_cursor"]) == (1, 1, None)

    def test_merchants_have_no_say(self, provider: Api, charlie: Person) -> None:
        made = self.make(provider).json()["id"]
        before = MessageTemplate.objects.values().get()
        api = Api(charlie.api.key, base="/api/v2")
        for verb, path in (
            ("GET", ""),
            ("POST", ""),
            ("GET", f"/{made}"),
            ("PATCH", f"/{made}"),
            ("DELETE", f"/{made}"),
        ):
            problem(api(verb, f"{self.PATH}{path}", {"body": "mine"}), 403, "provider_key_needed")
        assert MessageTemplate.objects.values().get() == before
