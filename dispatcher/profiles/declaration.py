"""A profile as JSON data: the form in which a provider writes down a wire format of its own.

    {
      "source": "Acme's developer documentation, webhooks",
      "body": {"kind": "envelope", "template": {"type": "{type}", "data": "{payload}"}},
      "signatures": [{"name": "Acme-Signature", "key": "whsec", "message": "{timestamp}.{body}", "encoding": "base64"}],
      "headers": [["Acme-Id", "{id}"], ["Acme-Timestamp", "{timestamp}"]],
      "ack": {"type": "body_starts_with", "value": "OK"},
      "retry": {"schedule": [60, 600], "stop_statuses": [401]},
      "key_form": "whsec"
    }

Every member may be left out; `dispatcher.profiles.model` says what each means and what it is then. A body's template is
JSON or its text; headers are pairs, or an object from names to templates.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, TypeVar, get_args

from dispatcher.ack import (
    ANY_SUCCESS,
    AckRule,
    AckRuleError,
    BodyContains,
    BodyStartsWith,
    PointerEquals,
    StatusIn,
    parse_ack,
)
from dispatcher.profiles.headers import NAME_LENGTH
from dispatcher.profiles.model import (
    Algorithm,
    Body,
    BodyKind,
    Encoding,
    KeyDecoding,
    KeyForm,
    Profile,
    ProfileError,
    Retry,
    Signature,
)
from dispatcher.profiles.trial import Fault, find_faults

MOST_SIGNATURES = 5
# The formats that are known have up to three; each costs every attempt a signature, by RSA about a millisecond.
MOST_HEADERS = 20
# Receivers commonly take some hundred headers and 8 KiB of them in all.
TEMPLATE_LENGTH = 1_024
# Characters of a header, a signed message or a signature's value; those in use stay below a hundred.
JOIN_LENGTH = 16
BODY_TEMPLATE_LENGTH = 16_384
# Characters. It is written out for every attempt; the longest in use has 250.
SOURCE_LENGTH = 512
CONTENT_TYPE_LENGTH = 256
MOST_RETRIES = 20
LONGEST_WAIT_S = 259_200
# Three days: twenty such waits still end before the log forgets the event.
MOST_STOP_STATUSES = 50
MOST_FAULTS = 100
# Reading stops here: a declaration may hold a million wrong members.

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_WITH_TEMPLATE = frozenset({"envelope", "thin"})

_BODY, _SIGNATURE = Body(), Signature(name="", key="utf8")
# What the members are that are left out.

Chosen = TypeVar("Chosen")


class DeclarationError(ProfileError):
    """The data is no profile. `faults` says everything that is wrong: JSON pointers into it, and sentences."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults[0][1] if len(faults) == 1 else f"The profile has {len(faults)} faults.")
        self.faults = faults


def parse_profile(name: str, data: object) -> Profile:
    """The profile that `data` declares. Raises DeclarationError with every fault that can be found.

    1. Read the members: their types, counts and lengths; unknown ones are faults.
    2. When all can be read, look for what would fail at the first delivery, down to signing a sample.
    """
    faults: list[Fault] = []
    profile = _read(name, data, faults)
    if not faults and isinstance(data, dict):
        faults += [_as_given(fault, data) for fault in find_faults(profile)]
    if faults:
        raise DeclarationError(tuple(faults[:MOST_FAULTS]))
    return profile


def declare(profile: Profile) -> dict[str, Any]:
    """The data of a profile; `parse_profile` makes an equal one of it. A template is text: its members have an order,
    which not everything that stores JSON keeps."""
    return {
        "source": profile.source,
        "body": _declare_body(profile.body),
        "signatures": [_declare_signature(signature) for signature in profile.signatures],
        "headers": [list(header) for header in profile.headers],
        "ack": declare_ack(profile.ack),
        "retry": _declare_retry(profile.retry),
        "key_form": profile.key_form,
    }


def declare_ack(rule: AckRule) -> dict[str, Any]:
    """The data of a rule, as `parse_ack` reads it."""
    match rule:
        case StatusIn(statuses):
            return {"type": "status", "value": list(statuses)}
        case BodyStartsWith(text):
            return {"type": "body_starts_with", "value": text}
        case BodyContains(text):
            return {"type": "body_contains", "value": text}
        case PointerEquals(pointer, value):
            return {"type": "json_pointer", "pointer": pointer, "value": value}
    return {"type": "2xx"}


def _declare_body(body: Body) -> dict[str, Any]:
    declared: dict[str, Any] = {"kind": body.kind}
    if body.kind in _WITH_TEMPLATE:
        declared["template"] = body.template
    if body.kind == "b64url_form":
        declared["field"] = body.field
    if body.content_type:
        declared["content_type"] = body.content_type
    return declared


def _declare_retry(retry: Retry) -> dict[str, Any]:
    declared: dict[str, Any] = {"schedule": None if retry.schedule is None else list(retry.schedule)}
    if retry.retries is not None:
        declared["retries"] = retry.retries
    return declared | {"stop_statuses": sorted(retry.stop_statuses)}


_ALWAYS = frozenset({"name", "key", "algorithm", "encoding", "message"})
# Of a signature. The other members are left out where they say what goes without saying.


def _declare_signature(signature: Signature) -> dict[str, Any]:
    return {
        member.name: value
        for member in fields(Signature)
        if (value := getattr(signature, member.name)) != member.default or member.name in _ALWAYS
    }


def _as_given(fault: Fault, data: dict[str, Any]) -> Fault:
    """The fault with its pointer into what was given, where that has another form than `declare` gives it."""
    pointer, message = fault
    headers, template = data.get("headers"), data.get("body", {}).get("template")
    if pointer.startswith("/headers/") and isinstance(headers, dict):
        name = list(headers)[int(pointer.removeprefix("/headers/"))]
        return f"/headers/{_escaped(name)}", message
    if pointer.startswith("/body/template/") and isinstance(template, str):
        return "/body/template", f"At {pointer.removeprefix('/body/template')}: {message}"
    return fault


class _Reader:
    """One object of the declaration. Gives values to go on with, and notes what is wrong with those that are there."""

    def __init__(self, value: object, pointer: str, faults: list[Fault], *, members: frozenset[str]) -> None:
        self._pointer, self._faults = pointer, faults
        self._members: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            faults.append((pointer, "This must be an object."))
        for name in self._members:
            if name not in members and len(faults) < MOST_FAULTS:
                self.tell(name, f"There is no such member. Known are: {', '.join(sorted(members))}.")

    def tell(self, name: str, message: str) -> None:
        self._faults.append((f"{self._pointer}/{_escaped(name)}", message))

    def has(self, name: str) -> bool:
        return name in self._members

    def part(self, name: str, *, members: frozenset[str]) -> "_Reader":
        return _Reader(self._members.get(name, {}), f"{self._pointer}/{name}", self._faults, members=members)

    def raw(self, name: str) -> Any:
        return self._members.get(name)

    def text(self, name: str, default: str | None, *, most: int, least: int = 0, has_lines: bool = False) -> str:
        """Without a `default` it has to be there."""
        if name not in self._members and default is not None:
            return default
        value = self._members.get(name)
        if value is None:
            self.tell(name, "This is required.")
        elif fault := _fault_of_text(value, least=least, most=most, has_lines=has_lines):
            self.tell(name, fault)
        else:
            return str(value)
        return default or ""

    def choice(self, name: str, default: Chosen | None, options: tuple[Chosen, ...]) -> Chosen:
        value = self._members.get(name, default)
        for option in options:
            if value == option and type(value) is type(option):
                return option
        self.tell(name, f"This must be one of: {', '.join(map(str, options))}.")
        return options[0]

    def items(self, name: str, *, most: int) -> Iterator[tuple[str, Any]]:
        """The pointer of each item, and the item."""
        found = self._members.get(name, [])
        if not isinstance(found, list):
            self.tell(name, "This must be a list.")
        elif len(found) > most:
            self.tell(name, f"This must have at most {most} items.")
        else:
            yield from ((f"{self._pointer}/{name}/{position}", item) for position, item in enumerate(found))

    def whole_numbers(self, name: str, *, most: int, lowest: int, highest: int) -> Iterator[int]:
        for pointer, number in self.items(name, most=most):
            if type(number) is int and lowest <= number <= highest:
                yield number
            else:
                self._faults.append((pointer, f"This must be a whole number from {lowest} to {highest}."))


_MEMBERS = frozenset({"source", "body", "signatures", "headers", "ack", "retry", "key_form"})
_BODY_MEMBERS = frozenset(member.name for member in fields(Body))
_SIGNATURE_MEMBERS = frozenset(member.name for member in fields(Signature))
_RETRY_MEMBERS = frozenset(member.name for member in fields(Retry))


def _read(name: str, data: object, faults: list[Fault]) -> Profile:
    whole = _Reader(data, "", faults, members=_MEMBERS)
    return Profile(
        name,
        source=whole.text("source", "", most=SOURCE_LENGTH),
        body=_read_body(whole.part("body", members=_BODY_MEMBERS)),
        signatures=tuple(
            _read_signature(_Reader(item, pointer, faults, members=_SIGNATURE_MEMBERS))
            for pointer, item in whole.items("signatures", most=MOST_SIGNATURES)
        ),
        headers=tuple(_read_headers(whole, faults)),
        ack=_read_ack(whole),
        retry=_read_retry(whole.part("retry", members=_RETRY_MEMBERS)),
        key_form=whole.choice("key_form", "whsec", get_args(KeyForm)),
    )


def _read_body(body: _Reader) -> Body:
    kind: BodyKind = body.choice("kind", "raw", get_args(BodyKind))
    template, field = "", _BODY.field
    if kind in _WITH_TEMPLATE:
        template = _read_template(body)
    elif body.has("template"):
        body.tell("template", f"A body of the kind {kind} has no template.")
    if kind == "b64url_form":
        field = body.text("field", _BODY.field, least=1, most=NAME_LENGTH)
    elif body.has("field"):
        body.tell("field", f"A body of the kind {kind} has no such field.")
    return Body(kind, template, field, body.text("content_type", "", least=1, most=CONTENT_TYPE_LENGTH))


def _read_template(body: _Reader) -> str:
    """As text, in which the members keep their order."""
    if not body.has("template") or isinstance(body.raw("template"), str):
        return body.text("template", None, least=1, most=BODY_TEMPLATE_LENGTH, has_lines=True)
    try:
        text = json.dumps(body.raw("template"), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        body.tell("template", "This must be JSON.")
        return ""
    if fault := _fault_of_text(text, least=1, most=BODY_TEMPLATE_LENGTH, has_lines=True):
        body.tell("template", fault)
    return text


def _read_signature(given: _Reader) -> Signature:
    join = given.text("join", "", most=JOIN_LENGTH) if given.raw("join") is not None else None
    return Signature(
        name=given.text("name", None, least=1, most=NAME_LENGTH),
        key=given.choice("key", None, get_args(KeyDecoding)),
        algorithm=given.choice("algorithm", _SIGNATURE.algorithm, get_args(Algorithm)),
        encoding=given.choice("encoding", _SIGNATURE.encoding, get_args(Encoding)),
        message=given.text("message", _SIGNATURE.message, least=1, most=TEMPLATE_LENGTH, has_lines=True),
        item=given.text("item", _SIGNATURE.item, least=1, most=TEMPLATE_LENGTH),
        join=join,
        value=given.text("value", _SIGNATURE.value, least=1, most=TEMPLATE_LENGTH),
        place=given.choice("place", _SIGNATURE.place, ("header", "field")),
        signer=given.choice("signer", _SIGNATURE.signer, ("endpoint", "provider")),
    )


def _read_headers(whole: _Reader, faults: list[Fault]) -> Iterator[tuple[str, str]]:
    found = whole.raw("headers")
    if isinstance(found, dict):
        found = [[f"/headers/{_escaped(name)}", name, template] for name, template in found.items()]
        if len(found) > MOST_HEADERS:
            whole.tell("headers", f"This must have at most {MOST_HEADERS} members.")
            return
    else:
        found = [[pointer, *_pair(item)] for pointer, item in whole.items("headers", most=MOST_HEADERS)]
    for pointer, name, template in found:
        # The name's form is judged with those of the signatures, see `trial`.
        if not isinstance(name, str):
            faults.append((pointer, "A header is a pair of texts: its name and its template."))
        elif fault := _fault_of_text(template, least=1, most=TEMPLATE_LENGTH):
            faults.append((pointer, fault))
        else:
            yield name, template


def _pair(item: Any) -> tuple[Any, Any]:
    return (item[0], item[1]) if isinstance(item, list) and len(item) == 2 else (None, None)


def _read_ack(whole: _Reader) -> AckRule:
    try:
        return parse_ack(whole.raw("ack"))
    except AckRuleError as trouble:
        whole.tell("ack", str(trouble))
        return ANY_SUCCESS


def _read_retry(retry: _Reader) -> Retry:
    waits = retry.whole_numbers("schedule", most=MOST_RETRIES, lowest=1, highest=LONGEST_WAIT_S)
    stops = retry.whole_numbers("stop_statuses", most=MOST_STOP_STATUSES, lowest=300, highest=599)
    schedule = None if retry.raw("schedule") is None else tuple(waits)
    return Retry(schedule, frozenset(stops), _read_retries(retry, has_schedule=schedule is not None))


def _read_retries(retry: _Reader, *, has_schedule: bool) -> int | None:
    number = retry.raw("retries")
    if number is None:
        return None
    if has_schedule:
        retry.tell("retries", "The schedule says already how many there are.")
    elif type(number) is not int or not 0 <= number <= MOST_RETRIES:
        retry.tell("retries", f"This must be a whole number from 0 to {MOST_RETRIES}.")
    else:
        return number
    return None


def _fault_of_text(value: object, *, least: int, most: int, has_lines: bool = False) -> str:
    """What is wrong with it; empty for nothing."""
    if not isinstance(value, str):
        return "This must be a text."
    if not least <= len(value) <= most:
        return f"This must have {least} to {most} characters."
    if (_CONTROL_BUT_LINES if has_lines else _CONTROL).search(value):
        return "This must have no control characters."
    return ""


def _escaped(step: str) -> str:
    """One step of a JSON pointer. Source: RFC 6901, section 3."""
    return step.replace("~", "~0").replace("/", "~1")
