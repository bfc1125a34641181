"""Acknowledgement rules: what they accept, and which data makes one."""

import json
from typing import Any

import pytest

from dispatcher.ack import (
    ANY_SUCCESS,
    AckRuleError,
    BodyContains,
    BodyStartsWith,
    PointerEquals,
    StatusIn,
    judge,
    parse_ack,
)
from dispatcher.outcomes import Outcome, Reason


def answer(body: bytes = b"", status: int = 200) -> Outcome:
    return Outcome(Reason.DELIVERED, status=status, body=body)


def is_received(data: Any, outcome: Outcome) -> bool:
    return judge(outcome, parse_ack(data)).received


@pytest.mark.parametrize("data", [None, {"type": "2xx"}])
def test_without_more_any_2xx_is_received(data: Any) -> None:
    assert parse_ack(data) is ANY_SUCCESS
    assert is_received(data, answer(b"whatever", 204))


def test_a_status_list_accepts_those_only() -> None:
    data = {"type": "status", "value": [202, 200, 200]}
    assert parse_ack(data) == StatusIn((200, 202))
    assert is_received(data, answer(status=202))
    assert not is_received(data, answer(status=204))


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"OK", True), (b"OK, thanks", True), (b"", False), (b"ok", False), (b" OK", False), (b"\xef\xbb\xbfOK", False)],
)
def test_a_body_that_must_start_with_a_text(body: bytes, expected: bool) -> None:
    data = {"type": "body_starts_with", "value": "OK"}
    assert parse_ack(data) == BodyStartsWith("OK")
    assert is_received(data, answer(body)) is expected


def test_a_body_that_must_contain_a_text() -> None:
    data = {"type": "body_contains", "value": "größe"}
    assert parse_ack(data) == BodyContains("größe")
    assert is_received(data, answer("die größe".encode()))
    assert not is_received(data, answer("die größe".encode("latin-1")))


@pytest.mark.parametrize(
    ("pointer", "value", "body", "expected"),
    [
        ("/status", "ok", b'{"status":"ok"}', True),
        ("/status", "ok", b'{"status":"no"}', False),
        ("/status", "ok", b'{"other":"ok"}', False),
        ("/status", "ok", b"", False),
        ("/status", "ok", b'{"status":"ok"', False),
        ("/status", "ok", b"\xff\xfe", False),
        ("/status", "ok", b'["ok"]', False),
        ("/status", "ok", b'"ok"', False),
        ("", "ok", b'"ok"', True),
        ("/a/1/b", 7, b'{"a":[0,{"b":7}]}', True),
        ("/a/01/b", 7, b'{"a":[0,{"b":7}]}', False),
        ("/a/-", 7, b'{"a":[7]}', False),
        ("/a/5", 7, b'{"a":[7]}', False),
        ("/a~1b/~0", 1, b'{"a/b":{"~":1}}', True),
        ("/~01", 1, b'{"~1":1}', True),
        ("/", 1, b'{"":1}', True),
        ("/n", 1, b'{"n":1.0}', True),
        ("/n", 1, b'{"n":true}', False),
        ("/n", True, b'{"n":1}', False),
        ("/n", True, b'{"n":true}', True),
        ("/n", None, b'{"n":null}', True),
        ("/n", None, b"{}", False),
        ("/n", 0, b'{"n":false}', False),
        ("/n", "x", b'{"n":' + b"[" * 100_000, False),
        ("/n", 1, b'{"n":' + b"1" * 5000 + b"}", False),
    ],
)
def test_a_json_pointer_that_must_equal(pointer: str, value: Any, body: bytes, expected: bool) -> None:
    data = {"type": "json_pointer", "pointer": pointer, "value": value}
    assert parse_ack(data) == PointerEquals(pointer, value)
    assert is_received(data, answer(body)) is expected


def test_an_unsatisfied_rule_turns_the_outcome_into_ack_missing_and_says_why() -> None:
    given = answer(b"thanks")
    judged = judge(given, BodyStartsWith("OK"))
    assert judged.reason is Reason.ACK_MISSING
    assert judged.detail == "The answer does not start with 'OK'."
    assert (judged.status, judged.body) == (200, b"thanks")


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (StatusIn((200, 202)), "The answer does not have one of the statuses 200, 202."),
        (BodyContains("yes"), "The answer does not contain 'yes'."),
        (PointerEquals("/a", True), "The answer does not have true at /a."),
        (PointerEquals("", "ok"), 'The answer does not have "ok" at its root.'),
    ],
)
def test_every_rule_can_say_what_it_missed(rule: Any, sentence: str) -> None:
    assert judge(answer(status=204), rule).detail == sentence


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.DELIVERED])
def test_a_rule_never_improves_or_renames_a_failure(reason: Reason) -> None:
    outcome = Outcome(reason, status=500, body=b"OK")
    assert judge(outcome, BodyStartsWith("OK")) is outcome
    assert judge(outcome, BodyStartsWith("no")) is outcome


@pytest.mark.parametrize(
    "data",
    [
        "2xx",
        [],
        7,
        {},
        {"type": None},
        {"type": ["2xx"]},
        {"type": "3xx"},
        {"type": "2xx", "value": 1},
        {"type": "status"},
        {"type": "status", "value": 200},
        {"type": "status", "value": []},
        {"type": "status", "value": [200] * 101},
        {"type": "status", "value": ["200"]},
        {"type": "status", "value": [True]},
        {"type": "status", "value": [199]},
        {"type": "status", "value": [302]},
        {"type": "body_starts_with"},
        {"type": "body_starts_with", "value": ""},
        {"type": "body_starts_with", "value": 7},
        {"type": "body_starts_with", "value": "x" * 257},
        {"type": "body_contains", "value": "\ud800"},
        {"type": "body_contains", "value": "x", "pointer": "/a"},
        {"type": "json_pointer", "value": 1},
        {"type": "json_pointer", "pointer": "status", "value": 1},
        {"type": "json_pointer", "pointer": "/~2", "value": 1},
        {"type": "json_pointer", "pointer": "/a\n", "value": 1, "more": 1},
        {"type": "json_pointer", "pointer": "/" + "a" * 256, "value": 1},
        {"type": "json_pointer", "pointer": "/a", "value": [1]},
        {"type": "json_pointer", "pointer": "/a", "value": {}},
        {"type": "json_pointer", "pointer": "/a", "value": "x" * 257},
    ],
)
def test_other_data_is_refused_with_a_sentence(data: Any) -> None:
    with pytest.raises(AckRuleError, match=r"^(An|The|A) .*\.$"):
        parse_ack(data)


def test_what_is_stored_as_json_reads_back() -> None:
    data = {"type": "json_pointer", "pointer": "/status", "value": "ok"}
    assert parse_ack(json.loads(json.dumps(data))) == parse_ack(data)
