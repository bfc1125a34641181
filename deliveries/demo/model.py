"""What a system of the demo is made of: who takes part, where they listen and what happens to them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Literal, Protocol
from uuid import UUID

Payload = dict[str, Any]
Trouble = Literal["", "fails", "silent"]
# `fails`: answers 500 or 503 now and then. `silent`: answers 200 now and then without the confirmation that its
# system asks for.

TROUBLED_SCHEDULE_S = [2, 4, 8, 15]
# Short, so that a failure, its retries and their success are all seen within a minute.
ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class PlannedMerchant:
    """A merchant, or the portfolio or reseller above some. `accounts` are accounts, cards or terminals."""

    reference: str
    name: str
    kind: str = "merchant"
    parent: str | None = None
    mode: str = "live"
    currency: str = "EUR"
    country: str = "LT"
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedEndpoint:
    """An endpoint of the demo, found again by its owner and its path at the receiver. None: every type of event."""

    owner: str
    path: str
    description: str
    event_types: tuple[str, ...] | None = None
    is_primary: bool = False
    trouble: Trouble = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """One choice of events for several recipients. It is found again by its name, they by their path or URL.

    `letters` are `mailto:` and `sms:` URLs, for installations whose letters stay on this machine.
    """

    owner: str
    name: str
    event_types: tuple[str, ...]
    accounts: tuple[str, ...]
    webhooks: tuple[PlannedEndpoint, ...]
    letters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What is published. `key` is how the receivers of its system tell this event from others.

    An event names its merchant, or an account or card whose merchant the platform finds, or both.
    """

    type: str
    payload: Payload
    key: str
    merchant: str | None = None
    account: str | None = None


class Source(Protocol):
    """Makes up events that are true to each other. One for each thread: it is not shared."""

    def __init__(self, random: Random) -> None: ...

    def draw(self, now: datetime) -> Event: ...


@dataclass(frozen=True, slots=True)
class System:
    """One of the five. `name` is that of its catalogue; parents stand before their children."""

    name: str
    title: str
    hierarchy: tuple[PlannedMerchant, ...]
    endpoints: tuple[PlannedEndpoint, ...]
    source: Callable[[Random], Source]
    rules: tuple[PlannedRule, ...] = ()

    @property
    def merchants(self) -> tuple[PlannedMerchant, ...]:
        return tuple(merchant for merchant in self.hierarchy if merchant.kind == "merchant")

    @property
    def webhooks(self) -> tuple[PlannedEndpoint, ...]:
        """Those of the rules included."""
        return (*self.endpoints, *(webhook for rule in self.rules for webhook in rule.webhooks))


def digits(*names: object) -> str:
    """Hexadecimal digits that are the same in every run: the world is found again by its references."""
    return hashlib.sha256(" ".join(map(str, names)).encode()).hexdigest()


def uuid_of(*names: object) -> str:
    return str(UUID(hex=digits(*names)[:32], version=4))


def new_uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def new_id(random: Random, prefix: str) -> str:
    return f"{prefix}_" + "".join(random.choices(ID_ALPHABET, k=16))


def moment(value: datetime) -> str:
    """RFC 3339 with offset Z, to the millisecond."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def amount(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
