"""A profile as data: what is declared is what is sent, and everything that could fail at a delivery is told before."""

import json
from typing import Any

import pytest

from dispatcher.ack import ANY_SUCCESS, AckRule, BodyContains, PointerEquals, StatusIn, parse_ack
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.declaration import (
    BODY_TEMPLATE_LENGTH,
    LONGEST_WAIT_S,
    MOST_FAULTS,
    MOST_HEADERS,
    MOST_SIGNATURES,
    TEMPLATE_LENGTH,
    DeclarationError,
    declare,
    declare_ack,
    parse_profile,
)
from dispatcher.profiles.model import Body, Profile, Retry, Signature
from tests.dispatcher.profile_samples import TEXT, headers, render

OWN: dict[str, Any] = {
    "source": "Acme's documentation",
    "body": {"kind": "envelope", "template": {"type": "{type}", "data": "{payload}", "a": ["{attempt}"]}},
    "signatures": [
        {"name": "Acme-Signature", "key": "utf8", "message": "{timestamp}.{body}", "item": "v1={signature}"}
    ],
    "headers": {"Acme-Id": "{id}", "Acme-Time": "{timestamp}"},
    "ack": {"type": "body_starts_with", "value": "OK"},
    "retry": {"schedule": [60, 600], "stop_statuses": [401]},
    "key_form": "hex",
}
HMAC = {"name": "Acme-Signature", "key": "utf8"}


def faults(data: Any) -> dict[str, str]:
    with pytest.raises(DeclarationError) as told:
        parse_profile("acme", data)
    pointers = [pointer for pointer, _ in told.value.faults]
    assert len(set(pointers)) == len(pointers)
    return dict(told.value.faults)


def signed(**members: Any) -> dict[str, Any]:
    return {"signatures": [HMAC | members]}


@pytest.mark.parametrize("name", PROFILES)
def test_every_built_in_profile_survives_being_declared(name: str) -> None:
    declared = json.loads(json.dumps(declare(PROFILES[name])))
    assert parse_profile(name, declared) == PROFILES[name]


@pytest.mark.parametrize("name", PROFILES)
def test_a_declared_profile_can_be_declared_again(name: str) -> None:
    declared = declare(PROFILES[name])
    assert declare(parse_profile(name, declared)) == declared


@pytest.mark.parametrize(
    "rule",
    [ANY_SUCCESS, StatusIn((200, 202)), BodyContains("OK"), PointerEquals("/a~1b", None), PointerEquals("", 1.5)],
)
def test_every_ack_rule_survives_being_declared(rule: AckRule) -> None:
    assert parse_ack(declare_ack(rule)) == rule


def test_nothing_declared_is_the_payload_unsigned() -> None:
    assert parse_profile("plain", {}) == Profile("plain", source="")


def test_every_member_reaches_the_wire() -> None:
    profile = parse_profile("acme", OWN)
    assert profile.retry == Retry((60, 600), frozenset({401}))
    rendered = render(profile, TEXT)
    assert rendered.body == b'{"type":"invoice.paid","data":{"id":"inv_123456","event":"invoice.paid"},"a":[3]}'
    sent = headers(rendered)
    assert (sent["Acme-Id"], sent["Acme-Time"]) == ("msg_1", "1700000000")
    assert sent["Acme-Signature"].startswith("v1=")


def test_a_template_is_json_or_its_text_and_its_members_keep_their_order() -> None:
    template = {"zz": "{type}", "a": {"y": 1, "x": "é"}}
    as_json = parse_profile("acme", {"body": {"kind": "thin", "template": template}})
    as_text = parse_profile("acme", {"body": {"kind": "thin", "template": json.dumps(template, ensure_ascii=False)}})
    assert as_json == as_text
    assert render(as_json).body == '{"zz":"invoice.paid","a":{"y":1,"x":"é"}}'.encode()


def test_headers_are_pairs_or_an_object() -> None:
    pairs = parse_profile("acme", {"headers": [["B", "{id}"], ["A", "1"]]})
    assert pairs == parse_profile("acme", {"headers": {"B": "{id}", "A": "1"}})
    assert pairs.headers == (("B", "{id}"), ("A", "1"))


@pytest.mark.parametrize(
    ("data", "pointers"),
    [
        ([], [""]),
        (None, [""]),
        ({"body": [], "signatures": {}, "headers": "x", "retry": 1}, ["/body", "/signatures", "/headers", "/retry"]),
        ({"sorce": "", "a/b~": 1, "body": {"tpl": ""}}, ["/a~1b~0", "/body/tpl", "/sorce"]),
        ({"source": "x" * 513}, ["/source"]),
        ({"source": "a\nb"}, ["/source"]),
        ({"source": "\ud800"}, ["/source"]),
        ({"key_form": None, "ack": {"type": "x"}}, ["/ack", "/key_form"]),
        ({"key_form": []}, ["/key_form"]),
        ({"body": {"kind": "xml"}}, ["/body/kind"]),
        ({"body": {"kind": "envelope"}}, ["/body/template"]),
        ({"body": {"kind": "envelope", "template": "x" * (BODY_TEMPLATE_LENGTH + 1)}}, ["/body/template"]),
        ({"body": {"kind": "envelope", "template": ["x" * BODY_TEMPLATE_LENGTH]}}, ["/body/template"]),
        ({"body": {"template": "{}", "field": "x"}}, ["/body/field", "/body/template"]),
        ({"body": {"kind": "form", "field": "x"}}, ["/body/field"]),
        ({"body": {"content_type": "json"}}, ["/body/content_type"]),
        ({"body": {"content_type": ""}}, ["/body/content_type"]),
        ({"signatures": [1]}, ["/signatures/0", "/signatures/0/key", "/signatures/0/name"]),
        ({"signatures": [{}]}, ["/signatures/0/key", "/signatures/0/name"]),
        ({"signatures": [HMAC] * (MOST_SIGNATURES + 1)}, ["/signatures"]),
        (signed(join=1, item=None, message="x" * (TEMPLATE_LENGTH + 1)), ["item", "join", "message"]),
        (
            signed(place="body", signer="me", algorithm="crc32", encoding=True),
            ["algorithm", "encoding", "place", "signer"],
        ),
        ({"headers": [["A"], ["A", 1], "AB", [1, "x"], ["A", ""]]}, [f"/headers/{n}" for n in range(5)]),
        ({"headers": {"A/": 1}}, ["/headers/A~1"]),
        ({"headers": [["A", "1"]] * (MOST_HEADERS + 1)}, ["/headers"]),
        ({"headers": {f"A{n}": "1" for n in range(MOST_HEADERS + 1)}}, ["/headers"]),
        (
            {"retry": {"schedule": [0, 1, True, LONGEST_WAIT_S + 1, 1.5]}},
            [f"/retry/schedule/{n}" for n in (0, 2, 3, 4)],
        ),
        ({"retry": {"schedule": [1] * 21}}, ["/retry/schedule"]),
        ({"retry": {"retries": 21}}, ["/retry/retries"]),
        ({"retry": {"retries": True}}, ["/retry/retries"]),
        ({"retry": {"retries": "10"}}, ["/retry/retries"]),
        ({"retry": {"schedule": [], "retries": 1}}, ["/retry/retries"]),
        ({"retry": {"stop_statuses": [200, 600]}}, ["/retry/stop_statuses/0", "/retry/stop_statuses/1"]),
    ],
)
def test_what_has_the_wrong_shape_is_told_all_at_once(data: Any, pointers: list[str]) -> None:
    expected = [pointer if pointer[:1] in {"", "/"} else f"/signatures/0/{pointer}" for pointer in pointers]
    assert sorted(faults(data)) == sorted(expected)


def test_a_million_wrong_members_are_not_all_told() -> None:
    assert len(faults({str(number): 1 for number in range(10_000)})) == MOST_FAULTS


UNSOUND: list[tuple[dict[str, Any], str, str]] = [
    ({"body": {"kind": "thin", "template": "{"}}, "/body/template", "The template is not JSON"),
    ({"body": {"kind": "thin", "template": '{"a":1,"a":2}'}}, "/body/template", "same key twice"),
    ({"body": {"kind": "thin", "template": "[NaN]"}}, "/body/template", "NaN"),
    ({"body": {"kind": "thin", "template": {"a": {"b/c": "{nope}"}}}}, "/body/template/a/b~1c", "{nope}"),
    ({"body": {"kind": "thin", "template": '{"a":["{nope}"]}'}}, "/body/template", "At /a/0: There is no placeholder"),
    ({"body": {"kind": "thin", "template": {"a": "x {payload} y"}}}, "/body/template/a", "{payload}"),
    ({"body": {"kind": "thin", "template": {"a": "{Type}"}}}, "/body/template/a", "{Type} is no placeholder"),
    ({"headers": [["A", "{nope}"]]}, "/headers/0", "There is no placeholder {nope} here."),
    ({"headers": {"A": "1", "B": "{payload}"}}, "/headers/B", "{payload}"),
    ({"headers": [["A", "{ id }"]]}, "/headers/0", "{ id } is no placeholder"),
    ({"headers": [["no token", "x"]]}, "/headers/0", "A header's name"),
    ({"headers": [["A", "€"]]}, "/headers/0", "ISO 8859-1"),
    ({"headers": [["A", " x"]]}, "/headers/0", "white space"),
    ({"headers": [["A" * 121, "x"]]}, "/headers/0", "not too long"),
    (signed(name="a:b"), "/signatures/0/name", "A header's name"),
    (signed(message="{nope}"), "/signatures/0/message", "There is no placeholder {nope} here."),
    (signed(message="{Body}"), "/signatures/0/message", "{Body} is no placeholder"),
    (signed(message="{data}"), "/signatures/0/message", "b64url_form"),
    (signed(item="v1="), "/signatures/0/item", "{signature}"),
    (signed(item="{timestamp},{signature}"), "/signatures/0/item", "{timestamp} can be in the value"),
    (signed(item="é€{signature}"), "/signatures/0/item", "ISO 8859-1"),
    (signed(join="€"), "/signatures/0/join", "ISO 8859-1"),
    (signed(value="t={timestamp}"), "/signatures/0/value", "{items}"),
    (signed(value="{items}{items}"), "/signatures/0/value", "once"),
    (signed(value="{nope}{items}"), "/signatures/0/value", "There is no placeholder {nope} here."),
    (signed(place="field"), "/signatures/0/place", "Only a form"),
    (signed(place="field", message="{payload}") | {"body": {"kind": "raw"}}, "/signatures/0/place", "Only a form"),
    (signed(place="field") | {"body": {"kind": "form"}}, "/signatures/0/message", "cannot be made over the body"),
    (signed(algorithm="rsa-sha256"), "/signatures/0/signer", "Only the provider has keys"),
    (signed(algorithm="rsa-sha256", key="pem"), "/signatures/0/signer", "Only the provider has keys"),
    (signed(signer="provider"), "/signatures/0/signer", "no keys for hmac-sha256"),
    (signed(signer="provider", algorithm="rsa-sha1"), "/signatures/0/key", "pem"),
    (signed(key="pem"), "/signatures/0/key", "decoded as one of"),
    (signed(key="whsk"), "/signatures/0/key", "decoded as one of"),
    (signed(algorithm="ed25519"), "/signatures/0/key", "base64, hex, whsk"),
    (signed(encoding="text"), "/signatures/0/encoding", "jws-es256"),
    (signed(algorithm="jws-es256", signer="provider", key="pem"), "/signatures/0/encoding", "text already"),
    (signed() | {"key_form": "none"}, "/key_form", "there must be a form"),
    (signed(key="hex"), "/key_form", "The secret is not hexadecimal."),
    (signed(key="whsec") | {"key_form": "hex"}, "/key_form", "The secret does not start with whsec_."),
    (signed(key="whsk", algorithm="ed25519"), "/key_form", "does not start with whsk_"),
]


@pytest.mark.parametrize(("data", "pointer", "sentence"), UNSOUND)
def test_what_would_fail_at_a_delivery_is_told_at_its_place(data: dict[str, Any], pointer: str, sentence: str) -> None:
    told = faults(data)
    assert sentence in told[pointer]
    others = {"/signatures/0/message"} if pointer.endswith("/place") else set()
    assert set(told) - others == {pointer}


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer_Encoding", "Content-Encoding", "Connection", "Authorization", "Cookie"),
        *("X-Forwarded-For", "Proxy-Authorization", "Metadata-Flavor", "X-aws-ec2-metadata-token", "Expect"),
    ],
)
def test_the_transports_headers_are_not_a_profiles_to_set(name: str) -> None:
    assert faults({"headers": [[name, "x"]]}) == {"/headers/0": f"The header {name} is not a profile's to set."}
    assert list(faults(signed(name=name))) == ["/signatures/0/name"]


def test_the_content_type_belongs_to_the_body() -> None:
    assert "content_type" in faults({"headers": {"Content-Type": "text/xml"}})["/headers/Content-Type"]


def test_a_profile_may_name_its_agent_and_use_the_standards_headers() -> None:
    profile = parse_profile("acme", {"headers": {"User-Agent": "Acme", "webhook-id": "{id}", "X-Webhook-Id": "{id}"}})
    sent = headers(render(profile))
    assert (sent["User-Agent"], sent["webhook-id"], sent["X-Webhook-Id"]) == ("Acme", "msg_1", "msg_1")


@pytest.mark.parametrize(
    ("data", "pointers"),
    [
        ({"headers": [["A", "1"], ["a", "2"]]}, ["/headers/0", "/headers/1"]),
        ({"headers": [["A-B", "1"], ["A_B", "2"]]}, ["/headers/0", "/headers/1"]),
        (signed() | {"headers": [["acme-signature", "1"]]}, ["/headers/0", "/signatures/0/name"]),
        (signed() | {"headers": [["Acme-Signature-Previous", "1"]]}, ["/headers/0", "/signatures/0/name"]),
        (
            {
                "body": {"kind": "b64url_form"},
                "signatures": [HMAC | {"name": "data", "place": "field", "message": "{data}"}],
            },
            ["/body/field", "/signatures/0/name"],
        ),
    ],
)
def test_nothing_is_sent_twice_under_one_name(data: dict[str, Any], pointers: list[str]) -> None:
    assert sorted(faults(data)) == pointers


def test_a_list_header_leaves_the_name_of_the_previous_free() -> None:
    parse_profile("acme", signed(join=",") | {"headers": [["Acme-Signature-Previous", "1"]]})


def test_faults_of_all_parts_come_together() -> None:
    data = {
        "body": {"kind": "thin", "template": {"a": "{a}", "b": "{b}"}},
        "headers": {"Host": "x", "B": "{nope}"},
        "signatures": [HMAC | {"key": "hex", "message": "{x}"}],
    }
    assert sorted(faults(data)) == [
        "/body/template/a",
        "/body/template/b",
        "/headers/B",
        "/headers/Host",
        "/key_form",
        "/signatures/0/message",
    ]


def test_a_signature_of_each_of_the_providers_keys_can_be_declared() -> None:
    made = [
        {"name": "A", "algorithm": "rsa-sha256", "encoding": "base64"},
        {"name": "B", "algorithm": "ed25519", "encoding": "base64url"},
        {"name": "C", "algorithm": "jws-es256", "encoding": "text"},
    ]
    data = {"signatures": [item | {"key": "pem", "signer": "provider"} for item in made], "key_form": "none"}
    assert [item.algorithm for item in parse_profile("acme", data).signatures] == ["rsa-sha256", "ed25519", "jws-es256"]


def test_an_event_that_does_not_fit_is_no_fault_of_the_profile() -> None:
    profile = parse_profile("acme", {"body": {"kind": "thin", "template": {"id": "{payload.order_id}"}}})
    assert profile.body == Body("thin", '{"id": "{payload.order_id}"}')


def test_a_message_may_have_lines() -> None:
    [signature] = parse_profile("acme", signed(message="{timestamp}\n{body}")).signatures
    assert signature == Signature("Acme-Signature", "utf8", message="{timestamp}\n{body}")
