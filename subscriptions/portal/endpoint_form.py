"""The form of an endpoint: how its fields are read, told apart from what is wrong, and filled in again."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from subscriptions.errors import FieldError, Invalid
from subscriptions.models import Endpoint, EventType
from subscriptions.services.endpoint_channels import LETTERS, missing

SECRET_WAYS = ("generate", "own", "none")
ALL, CHOOSE = "all", "choose"
GENERAL = "Other"
# The group of types that have none.
UNITS_S = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DELAY = re.compile(r"([0-9]{1,7})\s*([a-z]*)")
CHANNELS = (("webhook", "Webhook"), ("email", "E-mail"), ("sms", "SMS"))
SCHEMES = {"email": "mailto:", "sms": "sms:"}
PLACES = {"profile", "auth", "headers", "accounts", "retry_schedule", "rate_limit", "max_in_flight", "ordered", "ack"}
# Behind "Advanced": the part stands open when one of them is wrong.


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, by the names of the inputs, and what is wrong with it, by the names of the fields."""

    values: Mapping[str, Any]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_advanced_wrong(self) -> bool:
        return not PLACES.isdisjoint(self.errors)


@dataclass(frozen=True, slots=True)
class Group:
    """Types of the catalogue that stand together, and the prefixes that take all of them, also those to come."""

    name: str
    types: Sequence[EventType]
    prefixes: Sequence[str]


def blank(channel: str) -> Form:
    values = {
        "channel": channel,
        "url": "",
        "description": "",
        "secret_way": "generate",
        "secret": "",
        "is_active": True,
        "events": ALL,
        "types": [],
        "profile": "default",
        "auth_type": "none",
        "auth_name": "",
        "auth_secret": "",
        "headers": "",
        "accounts": "",
        "retry_schedule": "",
        "rate_limit": "",
        "max_in_flight": "50",
        "ordered": False,
    }
    return Form(values)


def of(endpoint: Endpoint) -> Form:
    """What the endpoint is now. Credentials are never shown again: their input is empty, and keeps them so."""
    schedule = endpoint.retry_schedule
    values = {
        "channel": endpoint.channel,
        "url": endpoint.target.removeprefix(SCHEMES.get(endpoint.channel, "")),
        "description": endpoint.description,
        "is_active": endpoint.is_active,
        "events": ALL if endpoint.event_types is None else CHOOSE,
        "types": endpoint.event_types or [],
        "profile": endpoint.profile,
        "auth_type": endpoint.auth_type,
        "auth_name": endpoint.auth_name,
        "auth_secret": "",
        "headers": "\n".join(f"{name}: {value}" for name, value in endpoint.headers.items()),
        "accounts": "\n".join(endpoint.accounts),
        "retry_schedule": "" if schedule is None else ", ".join(f"{seconds} s" for seconds in schedule) or "none",
        "rate_limit": "" if endpoint.rate_limit is None else str(endpoint.rate_limit),
        "max_in_flight": str(endpoint.max_in_flight),
        "ordered": endpoint.ordered,
        "version": endpoint.version,
    }
    return Form(values)


def typed(post: QueryDict) -> Form:
    """The inputs as they came."""
    values: dict[str, Any] = {name: post.get(name, "").strip() for name in blank("webhook").values}
    values |= {"is_active": "is_active" in post, "ordered": "ordered" in post, "types": post.getlist("types")}
    return Form(values | {"version": post.get("version", "")})


def read(form: Form, *, is_new: bool, present: Endpoint | None = None) -> dict[str, Any]:
    """What the service takes. Raises Invalid for what has no meaning as it was typed."""
    values, faults = form.values, list[FieldError]()
    data: dict[str, Any] = {
        "url": SCHEMES.get(values["channel"], "") + values["url"],
        "description": values["description"],
        "is_active": values["is_active"],
    }
    if present is None or present.rule_id is None:
        data["event_types"] = None if values["events"] == ALL else values["types"]
        data["accounts"] = _lines(values["accounts"])
    data |= _numbers(values, faults)
    data["retry_schedule"] = _schedule(values["retry_schedule"], faults)
    if values["channel"] not in LETTERS:
        data |= _for_webhooks(values, faults)
        if is_new and values["secret_way"] != "generate":  # noqa: S105 - how, not what
            data["secret"] = values["secret"] if values["secret_way"] == "own" else None  # noqa: S105
    elif is_new:
        data["channel"] = values["channel"]
    if faults:
        raise Invalid(*faults)
    return data


def with_errors(form: Form, refusal: Invalid) -> Form:
    """Each sentence at the field it is about, the first where there are several."""
    errors: dict[str, str] = {}
    for fault in refusal.errors:
        errors.setdefault(fault.pointer.strip("/").partition("/")[0] or "form", fault.message)
    return Form(form.values, errors)


def groups(types: Iterable[EventType]) -> list[Group]:
    """The catalogue as a tree of one level, by group and name."""
    by_name: dict[str, list[EventType]] = {}
    for one in sorted(types, key=lambda one: (one.group == "", one.group, one.name)):
        by_name.setdefault(one.group or GENERAL, []).append(one)
    return [Group(name, rows, _prefixes(rows)) for name, rows in by_name.items()]


def kept_prefixes(form: Form, tree: Sequence[Group]) -> list[str]:
    """Chosen names that the tree does not have: prefixes of others, archived types."""
    known = {one.name for group in tree for one in group.types} | {
        prefix for group in tree for prefix in group.prefixes
    }
    return [name for name in form.values["types"] if name not in known]


def channels() -> list[tuple[str, str]]:
    """Those that are set up here."""
    return [(value, name) for value, name in CHANNELS if not missing(value)]


def _prefixes(rows: Sequence[EventType]) -> list[str]:
    """`invoice.*` for the first parts that at least two names share."""
    heads = [row.name.partition(".")[0] for row in rows if "." in row.name]
    return [f"{head}.*" for head in dict.fromkeys(heads) if heads.count(head) > 1]


def _for_webhooks(values: Mapping[str, Any], faults: list[FieldError]) -> dict[str, Any]:
    return {"profile": values["profile"], "auth": _auth(values), "headers": _headers(values["headers"], faults)}


def _auth(values: Mapping[str, Any]) -> dict[str, str]:
    """An empty credential keeps the stored one."""
    kind, name, secret = values["auth_type"] or "none", values["auth_name"], values["auth_secret"]
    named = {"basic": ("username", "password"), "bearer": ("", "token"), "header": ("name", "value")}.get(kind)
    if named is None:
        return {"type": kind}
    members = {named[0]: name} if named[0] else {}
    return {"type": kind, **members, **({named[1]: secret} if secret else {})}


def _headers(text: str, faults: list[FieldError]) -> dict[str, str]:
    found = {}
    for line in _lines(text):
        name, colon, value = line.partition(":")
        if not colon:
            faults.append(FieldError("/headers", "invalid_header", f"Write each as Name: value, not {line[:40]!r}."))
        found[name.strip()] = value.strip()
    return found


def _numbers(values: Mapping[str, Any], faults: list[FieldError]) -> dict[str, Any]:
    """An empty rate is none; an empty number in flight is left as it is."""
    read: dict[str, Any] = {"rate_limit": None}
    for name in ("rate_limit", "max_in_flight"):
        text = values[name]
        if (text and not text.isascii()) or (text and not text.isdigit()):
            faults.append(FieldError(f"/{name}", "wrong_type", "This must be a whole number."))
        elif text:
            read[name] = int(text[:9])
    return read | {"ordered": values["ordered"]}


def _schedule(text: str, faults: list[FieldError]) -> list[int] | None:
    """`10 s, 1 min, 2 h`; a number alone is seconds. Empty is the default, `none` no retry at all."""
    if not text or text.lower() == "none":
        return None if not text else []
    delays = []
    for part in text.lower().replace(";", ",").split(","):
        found = _DELAY.fullmatch(part.strip())
        if found is None or found[2] not in UNITS_S:
            message = "Write the waits like 10 s, 1 min, 2 h."
            faults.append(FieldError("/retry_schedule", "invalid_delay", message))
            return None
        delays.append(int(found[1]) * UNITS_S[found[2]])
    return delays


def _lines(text: str) -> list[str]:
    return [line for part in text.splitlines() if (line := part.strip())]
