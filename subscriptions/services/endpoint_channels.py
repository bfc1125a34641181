"""What a channel allows: which are set up on this installation, and which fields make no sense for one."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.conf import settings

from subscriptions.errors import FieldError
from subscriptions.models import Endpoint
from subscriptions.services import shapes
from subscriptions.services.endpoint_addresses import channel_in, check_email, check_number
from subscriptions.services.shapes import Check, Shape, wrong

LETTERS = frozenset({Endpoint.Channel.EMAIL.value, Endpoint.Channel.SMS.value})
# The channels that reach people, who have to agree first.

UNVERIFIED = "unverified"
UNSUBSCRIBED = "unsubscribed"
# Reasons of an endpoint that is off; only its owner's yes ends them.

NOT_CONFIRMED = "The owner of this address has not confirmed it yet, or wants nothing more: ask for a new code first."

NAMES = {Endpoint.Channel.EMAIL.value: "An e-mail", Endpoint.Channel.SMS.value: "An SMS"}
_ADDRESS_CHECKS: dict[str, Check] = {
    Endpoint.Channel.EMAIL.value: check_email,
    Endpoint.Channel.SMS.value: check_number,
}
_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "secret": (None,),
    "profile": ("default",),
    "auth": (None, {"type": Endpoint.Auth.NONE.value}),
    "headers": ({},),
    "ack": (None,),
}
# The values that say nothing: an endpoint as it is shown can be sent back as it is.


def is_letter(endpoint: Endpoint) -> bool:
    """Whether people get what is sent there, rather than a program."""
    return endpoint.channel in LETTERS


def may_be_sent_to(endpoint: Endpoint) -> bool:
    """Nothing ever goes to an address whose owner has not said yes."""
    return not is_letter(endpoint) or endpoint.verified_at is not None


def missing(channel: str) -> str:
    """Why nothing can be sent this way from this installation; empty when it can."""
    match channel:
        case Endpoint.Channel.EMAIL if not settings.HAS_EMAIL:
            return "E-mail is not set up on this installation."
        case Endpoint.Channel.SMS if settings.SMS_BACKEND == "none":
            return "SMS are not set up on this installation."
        case Endpoint.Channel.EMAIL | Endpoint.Channel.SMS if not settings.PUBLIC_URL:
            return "E-mail and SMS carry links, so this installation must know its own address (PUBLIC_URL) first."
    return ""


def channel_of(data: Mapping[str, Any], shape: Shape, *, present: Endpoint | None) -> str:
    """The channel that is meant: for good once there is an endpoint, else as named, else as the URL's scheme says."""
    if present is not None:
        return present.channel
    if "channel" not in shape:
        return Endpoint.Channel.WEBHOOK.value
    named = data.get("channel")
    if named in Endpoint.Channel.values:
        return str(named)
    return channel_in(data.get("url")) or Endpoint.Channel.WEBHOOK.value


def shape_for(shape: Shape, channel: str, *, present: Endpoint | None) -> Shape:
    """The checks of `shape` as the channel has them."""
    if "channel" not in shape:
        return shape
    narrowed: dict[str, Check] = {**shape, "channel": partial(_check_channel, present=present)}
    if channel in LETTERS:
        narrowed["url"] = _ADDRESS_CHECKS[channel]
        narrowed |= {name: _only_nothing(name, channel, shape[name]) for name in _NOTHING if name in shape}
    return narrowed


def faults_of(values: dict[str, Any], channel: str, *, present: Endpoint | None) -> list[FieldError]:
    """What is wrong with the fields taken together."""
    if channel not in LETTERS:
        return []
    if present is None:
        values["channel"] = channel
        why = missing(channel)
        return [FieldError("/channel", "channel_unavailable", why)] if why else []
    if values.get("is_active") and not may_be_sent_to(present):
        return [FieldError("/is_active", UNVERIFIED, NOT_CONFIRMED)]
    return []


def _check_channel(value: Any, *, present: Endpoint | None) -> str:
    channel: str = shapes.choice(Endpoint.Channel.values)(value)
    if present is not None and channel != present.channel:
        raise wrong("channel_is_for_good", "An endpoint keeps its channel: make a new endpoint instead.")
    return channel


def _only_nothing(name: str, channel: str, then: Check) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in _NOTHING[name]:
            raise wrong("not_for_channel", f"{NAMES[channel]} endpoint has no {name}.")
        return then(value)

    return check
