"""What an endpoint may be: every rule of its fields, told all at once."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dispatcher.ack import AckRuleError, parse_ack
from dispatcher.profiles.secrets import SECRET_LENGTH, InvalidSecret
from dispatcher.profiles.secrets import check_secret as check_fit
from subscriptions.errors import FieldError, Invalid
from subscriptions.models import Endpoint, EventType
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.models.endpoints import MAX_IN_FLIGHT_CEILING
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.selectors import profiles
from subscriptions.services import endpoint_channels, shapes, signing_secrets
from subscriptions.services.endpoint_auth import SECRET_OF, check_auth
from subscriptions.services.endpoint_headers import check_headers
from subscriptions.services.endpoint_urls import check_url, is_same_place
from subscriptions.services.shapes import Shape, wrong

MOST_EVENT_TYPES = 500
MOST_ACCOUNTS = 1_000
# Bound the row: fan-out reads both lists for every event of the merchant.
MOST_RETRIES = 20
LONGEST_WAIT_S = 86_400
MOST_RATE = 10_000
# Deliveries a second; more than one lane can send.
MOST_METADATA = 50
METADATA_NAME_LENGTH = 64
METADATA_VALUE_LENGTH = 512

_WANTED_TYPE = re.compile(EVENT_TYPE_PATTERN.removesuffix("$") + r"(?:\.\*)?", re.ASCII)


def _check_wanted_type(value: Any) -> str:
    """A type's name, or `prefix.*`; a prefix may stand for types to come."""
    if not isinstance(value, str):
        raise wrong("wrong_type", "This must be a text.")
    if len(value.removesuffix(".*")) > EVENT_TYPE_LENGTH or not _WANTED_TYPE.fullmatch(value):
        raise wrong("invalid_event_type", "This must be the name of an event type, or a prefix such as invoice.*.")
    return value


def _check_wanted_types(value: Any) -> list[str] | None:
    """Null is all. An empty list would be none, which `is_active: false` says without doubt."""
    names = shapes.nullable(shapes.list_of(_check_wanted_type, least=1, most=MOST_EVENT_TYPES))(value)
    return None if names is None else list(dict.fromkeys(names))


def _check_accounts(value: Any) -> list[str]:
    references = shapes.list_of(shapes.line(most=REFERENCE_LENGTH), most=MOST_ACCOUNTS)(value)
    return list(dict.fromkeys(references))


def _check_ack(value: Any) -> dict[str, Any] | None:
    try:
        parse_ack(shapes.nullable(shapes.json_object)(value))
    except AckRuleError as trouble:
        raise wrong("invalid_ack", str(trouble)) from None
    return None if value is None else dict(value)


def _check_profile(value: Any) -> str:
    if isinstance(value, str) and profiles.find(value) is not None:
        return value
    return str(shapes.choice(profiles.names())(value))


check_secret = shapes.line(most=SECRET_LENGTH)

CONFIG: Shape = {
    "url": check_url,
    "event_types": _check_wanted_types,
    "is_active": shapes.boolean,
    "secret": shapes.nullable(check_secret),
}
CHANGES: Shape = {
    "url": check_url,
    "event_types": _check_wanted_types,
    "is_active": shapes.boolean,
    "description": shapes.prose(most=1024),
    "channel": shapes.choice(Endpoint.Channel.values),
    "profile": _check_profile,
    "accounts": _check_accounts,
    "auth": check_auth,
    "headers": check_headers,
    "ack": _check_ack,
    "retry_schedule": shapes.nullable(shapes.list_of(shapes.whole(least=1, most=LONGEST_WAIT_S), most=MOST_RETRIES)),
    "rate_limit": shapes.nullable(shapes.whole(least=1, most=MOST_RATE)),
    "max_in_flight": shapes.whole(least=1, most=MAX_IN_FLIGHT_CEILING),
    "ordered": shapes.boolean,
    "metadata": shapes.map_of(
        shapes.line(most=METADATA_NAME_LENGTH), shapes.line(least=0, most=METADATA_VALUE_LENGTH), most=MOST_METADATA
    ),
}
NEW: Shape = {**CHANGES, "secret": shapes.nullable(check_secret)}


def check(
    data: Mapping[str, Any], shape: Shape, *, required: Iterable[str] = (), present: Endpoint | None = None
) -> dict[str, Any]:
    """The checked fields. Raises Invalid with every fault. `present` is the endpoint that is about to change."""
    channel = endpoint_channels.channel_of(data, shape, present=present)
    narrowed = endpoint_channels.shape_for(shape, channel, present=present)
    values, faults = shapes.read(data, narrowed, required=required)
    faults += endpoint_channels.faults_of(values, channel, present=present)
    faults += unknown_types(values.get("event_types"), kept=present.event_types if present else None)
    faults += _missing_credential(values, present)
    faults += _unfit_secrets(values, present)
    if faults:
        raise Invalid(*faults)
    return values


def unknown_types(names: list[str] | None, *, kept: Collection[str] | None) -> list[FieldError]:
    """Archived types count as unknown, except where the endpoint had them before."""
    asked = [name for name in names or () if not name.endswith(".*")]
    known = {*EventType.objects.filter(name__in=asked, archived=False).values_list("name", flat=True), *(kept or ())}
    return [
        FieldError(f"/event_types/{position}", "unknown_event_type", "There is no such event type.")
        for position, name in enumerate(names or ())
        if not name.endswith(".*") and name not in known
    ]


def keeps_credentials(present: Endpoint, values: Mapping[str, Any]) -> bool:
    """Stored credentials never follow a URL to another host: who changes the one must know the other."""
    return "url" not in values or is_same_place(present.target, values["url"])


def _missing_credential(values: Mapping[str, Any], present: Endpoint | None) -> list[FieldError]:
    """A credential may be left out only where one of that type is stored and goes on being shown to the same place."""
    auth = values.get("auth")
    if auth is None or auth.type == Endpoint.Auth.NONE or auth.secret is not None:
        return []
    if present is not None and present.auth_type == auth.type and keeps_credentials(present, values):
        return []
    member = SECRET_OF[auth.type]
    return [FieldError(f"/auth/{member}", "required", "This field is required.")]


def _unfit_secrets(values: Mapping[str, Any], present: Endpoint | None) -> list[FieldError]:
    """Every secret that will sign must fit the profile: the given one; when the profile changes, those stored."""
    name = values.get("profile") or (present.profile if present else "default")
    profile = profiles.find(name)
    if profile is None:
        return []  # gone since; the endpoint's deliveries say so
    at, code, texts = "/secret", "invalid_secret", [values.get("secret")]
    if present is not None and profile.name != present.profile:
        at, code, texts = "/profile", "unfit_secret", list(signing_secrets.texts(present))
    try:
        for text in filter(None, texts):
            check_fit(profile, text)
    except InvalidSecret as trouble:
        return [FieldError(at, code, str(trouble))]
    return []
