"""Judges where an endpoint wants its e-mails or SMS: one address or number, in the one spelling that is stored."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from dispatcher.names import InvalidName, canonical_name, internal_reason, require_public_shape
from subscriptions.models import Endpoint
from subscriptions.services.shapes import wrong

ADDRESS_LENGTH = 254
# Characters of an address that a mail server must take. Source: RFC 5321, 4.5.3.1.3, less the angle brackets.
LOCAL_LENGTH = 64
# Source: RFC 5321, 4.5.3.1.1.

EMAIL_SCHEME = "mailto"
SMS_SCHEMES = ("sms", "tel")
CHANNEL_OF = {EMAIL_SCHEME: Endpoint.Channel.EMAIL} | dict.fromkeys(SMS_SCHEMES, Endpoint.Channel.SMS)

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# A dot-atom. Quoted and non-ASCII local parts are legal, but half of all mail servers refuse them.
# Source: RFC 5322, 3.2.3.
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
# Source: ITU-T E.164; country codes never start with 0.
_PUNCTUATION = re.compile(r"[ \u00a0().\-\u2010-\u2013/]")
# What people put between the digits of a number.

NO_EMAIL = "This must be one e-mail address, such as mailto:events@shop.example, without a name."
NO_NUMBER = "This must be one phone number in international form, such as sms:+37060000000."


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is what is stored and shown: `mailto:…` or `sms:…`."""

    url: str


def channel_in(value: Any) -> str | None:
    """The channel that a URL's scheme stands for; None for any other."""
    scheme = value.partition(":")[0].strip().lower() if isinstance(value, str) else ""
    return CHANNEL_OF.get(scheme)


def recipient(url: str) -> str:
    """The bare address or number behind a stored URL."""
    return url.partition(":")[2]


def check_email(value: Any) -> Address:
    """`mailto:a@b.example` or the bare address. Raises Wrong."""
    text = _without_scheme(value, (EMAIL_SCHEME,), NO_EMAIL)
    local, at, domain = text.rpartition("@")
    if not at or len(local) > LOCAL_LENGTH or not _LOCAL.fullmatch(local):
        raise wrong("invalid_address", NO_EMAIL)
    try:
        host = canonical_name(domain)
        require_public_shape(host)
    except (InvalidName, UnicodeError):
        raise wrong("invalid_address", NO_EMAIL) from None
    if internal_reason(host) or len(local) + 1 + len(host) > ADDRESS_LENGTH:
        raise wrong("invalid_address", NO_EMAIL)
    return Address(f"{EMAIL_SCHEME}:{local}@{host}")


def check_number(value: Any) -> Address:
    """`sms:`, `tel:` or the bare number, with whatever people put between digits. Raises Wrong."""
    text = _PUNCTUATION.sub("", _without_scheme(value, SMS_SCHEMES, NO_NUMBER))
    if not _NUMBER.fullmatch(text):
        raise wrong("invalid_address", NO_NUMBER)
    return Address(f"{SMS_SCHEMES[0]}:{text}")


def _without_scheme(value: Any, schemes: tuple[str, ...], sentence: str) -> str:
    """A URL may be percent-encoded, a bare address is itself. Raises Wrong for control characters in either."""
    if not isinstance(value, str):
        raise wrong("wrong_type", "This must be a text.")
    text = value.strip(" ")
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in schemes:
        text = unquote(rest, errors="replace")
    if len(text) > 2 * ADDRESS_LENGTH or not text.isprintable():
        raise wrong("invalid_address", sentence)
    return text
