"""Acknowledgement rules: what an endpoint must answer, beyond a 2xx status, for a delivery to count as received.

A rule is data, as an endpoint or a profile stores it:

    {"type": "2xx"}
    {"type": "status", "value": [200, 202]}
    {"type": "body_starts_with", "value": "OK"}
    {"type": "body_contains", "value": "[accepted]"}
    {"type": "json_pointer", "pointer": "/status", "value": "ok"}        (RFC 6901)

A rule can only ask for more than 2xx, never for less. It sees the excerpt of the body that the outcome kept.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dispatcher.outcomes import Outcome, Reason

TEXT_LENGTH = 256
# Characters. Bounds what a rule may look for; a receiver's confirmation is a word or two.

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class AckRuleError(ValueError):
    """The data is no acknowledgement rule. The sentence says what is wrong and is meant for people."""


class AckRule(Protocol):
    """What counts as received, asked only of answers whose status is 2xx."""

    def accepts(self, outcome: Outcome) -> bool: ...

    def __str__(self) -> str:
        """What was asked for, as the end of the sentence `The answer does not …`."""


@dataclass(frozen=True, slots=True)
class AnySuccess:
    def accepts(self, outcome: Outcome) -> bool:  # noqa: ARG002 - a 2xx needs no second look
        return True

    def __str__(self) -> str:
        return "have a 2xx status"


@dataclass(frozen=True, slots=True)
class StatusIn:
    statuses: tuple[int, ...]

    def accepts(self, outcome: Outcome) -> bool:
        return outcome.status in self.statuses

    def __str__(self) -> str:
        return "have one of the statuses " + ", ".join(map(str, self.statuses))


@dataclass(frozen=True, slots=True)
class BodyStartsWith:
    text: str

    def accepts(self, outcome: Outcome) -> bool:
        return outcome.body.startswith(self.text.encode())

    def __str__(self) -> str:
        return f"start with {self.text!r}"


@dataclass(frozen=True, slots=True)
class BodyContains:
    text: str

    def accepts(self, outcome: Outcome) -> bool:
        return self.text.encode() in outcome.body

    def __str__(self) -> str:
        return f"contain {self.text!r}"


@dataclass(frozen=True, slots=True)
class PointerEquals:
    pointer: str
    value: str | int | float | bool | None

    def accepts(self, outcome: Outcome) -> bool:
        try:
            found = _at(json.loads(outcome.body), self.pointer)
        except (ValueError, LookupError, RecursionError):
            return False
        return isinstance(found, bool) is isinstance(self.value, bool) and bool(found == self.value)

    def __str__(self) -> str:
        return f"have {json.dumps(self.value)} at {self.pointer or 'its root'}"


ANY_SUCCESS = AnySuccess()


def judge(outcome: Outcome, rule: AckRule) -> Outcome:
    """The same outcome, or `ack_missing` with a sentence when the status was 2xx but the rule is not satisfied."""
    if outcome.reason is not Reason.DELIVERED or rule.accepts(outcome):
        return outcome
    return replace(outcome, reason=Reason.ACK_MISSING, detail=f"The answer does not {rule}.")


def parse_ack(data: object) -> AckRule:
    """The rule behind stored or submitted data; None means any 2xx. Raises AckRuleError (a ValueError)."""
    if data is None:
        return ANY_SUCCESS
    if not isinstance(data, Mapping) or not isinstance(data.get("type"), str):
        raise AckRuleError('An acknowledgement rule is an object with a "type".')
    kind = _KINDS.get(data["type"])
    if kind is None:
        raise AckRuleError(f"The type of an acknowledgement rule is one of {', '.join(_KINDS)}.")
    members, read = kind
    if set(data) != {"type", *members}:
        raise AckRuleError(f"A rule of type {data['type']} has exactly these members: {', '.join(('type', *members))}.")
    return read(data)


def _read_status(data: Mapping[str, Any]) -> AckRule:
    statuses = data["value"]
    if not isinstance(statuses, list) or not 1 <= len(statuses) <= 100 or not all(map(_is_success, statuses)):
        raise AckRuleError("The value of a status rule is a list of statuses from 200 to 299.")
    return StatusIn(tuple(sorted(set(statuses))))


def _is_success(status: object) -> bool:
    return type(status) is int and 200 <= status <= 299


def _text(data: Mapping[str, Any]) -> str:
    text = data["value"]
    if not isinstance(text, str) or not 1 <= len(text) <= TEXT_LENGTH:
        raise AckRuleError(f"The value of a body rule is a text of 1 to {TEXT_LENGTH} characters.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise AckRuleError("The value of a body rule must be valid Unicode text.")
    return text


def _read_pointer(data: Mapping[str, Any]) -> AckRule:
    pointer, value = data["pointer"], data["value"]
    if not isinstance(pointer, str) or len(pointer) > TEXT_LENGTH or not _POINTER.fullmatch(pointer):
        raise AckRuleError('The pointer of a rule is a JSON pointer, e.g. "/status".')
    if isinstance(value, str) and len(value) > TEXT_LENGTH:
        raise AckRuleError(f"The value of a rule has at most {TEXT_LENGTH} characters.")
    if not isinstance(value, str | int | float | bool | None):
        raise AckRuleError("The value of a json_pointer rule is a text, a number, true, false or null.")
    return PointerEquals(pointer, value)


def _at(document: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        match document:
            case list():
                document = document[_index(key)]
            case dict():
                document = document[key]
            case _:
                raise LookupError
    return document


def _index(key: str) -> int:
    if not _INDEX.fullmatch(key):
        raise LookupError
    return int(key)


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], AckRule]]] = {
    "2xx": ((), lambda data: ANY_SUCCESS),  # noqa: ARG005
    "status": (("value",), _read_status),
    "body_starts_with": (("value",), lambda data: BodyStartsWith(_text(data))),
    "body_contains": (("value",), lambda data: BodyContains(_text(data))),
    "json_pointer": (("pointer", "value"), _read_pointer),
}
