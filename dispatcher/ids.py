"""Ids as the outside sees them: a prefix and a UUIDv7, in the TypeID text form.

`evt_01kfxwm9jceesrtq0733vx0g8y`: the prefix names the kind, the 26 characters are the 128 bits in Crockford's
base32, lower case, most significant first. Ids made later sort later, as text and as UUID.
Source: the TypeID specification, version 0.3.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from uuid_utils.compat import uuid7

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TEXT_LENGTH = 26
# 26 characters carry 130 bits, 128 are used: the first character holds three of them.
FIRST_CHARACTERS = frozenset("01234567")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
TIME_SHIFT = 80
# A UUIDv7 begins with the milliseconds since 1970, before 80 bits of others. Source: RFC 9562, section 5.7.

_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


class Prefix(StrEnum):
    """What an id may point at."""

    MERCHANT = "mer"
    ACCOUNT = "acc"
    API_KEY = "key"
    EVENT_TYPE = "typ"
    ENDPOINT = "ep"
    SECRET = "sec"  # noqa: S105 - the prefix of a secret's id, not a secret
    EVENT = "evt"
    DELIVERY = "del"
    ATTEMPT = "att"
    REPLAY = "rpl"
    AUDIT = "aud"
    RULE = "rul"
    PROVIDER_KEY = "pk"
    MESSAGE_TEMPLATE = "tpl"
    MEMBERSHIP = "mbr"
    EXPUNGE = "xpg"
    EXPORT = "exp"


class InvalidId(ValueError):
    """The text is not an id of the wanted kind."""


def new_id() -> UUID:
    """A fresh time-ordered UUIDv7; ids made by one process never go backwards."""
    made: UUID = uuid7()
    return made


def first_id(moment: datetime, *, slack: timedelta = timedelta()) -> UUID:
    """What sorts before every UUIDv7 of a moment's millisecond, and after all that were made earlier.

    `slack` moves the moment, also past either end of the calendar; before 1970 there is nothing.
    """
    return UUID(int=max(0, (moment - EPOCH + slack) // MILLISECOND) << TIME_SHIFT)


def time_of(value: UUID) -> datetime:
    """The millisecond in which a UUIDv7 was made."""
    return EPOCH + (value.int >> TIME_SHIFT) * MILLISECOND


def show(prefix: Prefix, value: UUID) -> str:
    """The id as text, e.g. `evt_01kfxwm9jceesrtq0733vx0g8y`."""
    number = value.int
    return f"{prefix.value}_" + "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def parse(prefix: Prefix, text: str) -> UUID:
    """The UUID behind an id. Raises InvalidId for another prefix, length or alphabet."""
    head, _, tail = text.rpartition("_")
    if head != prefix.value or len(tail) != TEXT_LENGTH or tail[0] not in FIRST_CHARACTERS:
        raise InvalidId(f"not an id that starts with {prefix.value}_")
    number = 0
    try:
        for character in tail:
            number = number << 5 | _VALUES[character]
    except KeyError:
        raise InvalidId(f"not an id that starts with {prefix.value}_") from None
    return UUID(int=number)
