"""What may be given when something is made or changed. The platform checks it all; these names are for editors and
type checkers."""

from datetime import datetime
from typing import Any, TypedDict

import msgspec


class EndpointFields(TypedDict, total=False):
    """Of an endpoint. `event_types` None: all. Credentials in `auth` are never shown again."""

    event_types: list[str] | None
    accounts: list[str]
    is_active: bool
    description: str
    channel: str
    profile: str
    auth: dict[str, Any]
    headers: dict[str, str]
    ack: dict[str, Any] | None
    retry_schedule: list[int] | None
    rate_limit: int | None
    max_in_flight: int
    ordered: bool
    metadata: dict[str, str]


class NewEndpointFields(EndpointFields, total=False):
    """`secret` None: unsigned; absent: one is made."""

    secret: str | None


class EndpointChanges(EndpointFields, total=False):
    url: str


class ConfigFields(TypedDict, total=False):
    """`secret` absent leaves the stored one, None removes it."""

    secret: str | None
    event_types: list[str] | None
    is_active: bool


class EventTypeFields(TypedDict, total=False):
    group: str
    description: str
    schema: Any
    example: Any
    strict: bool
    archived: bool


class NewMerchantFields(TypedDict, total=False):
    """`parent` is the id or reference of a portfolio or reseller."""

    reference: str | None
    kind: str
    mode: str
    parent: str | None
    retention_days: int | None
    hears_all_operations: bool


class MerchantChanges(NewMerchantFields, total=False):
    name: str


class LogFilter(TypedDict, total=False):
    """Which deliveries: `status` is pending, delivered, failed, held or cancelled."""

    status: str
    event_type: str
    endpoint: str
    account: str
    since: datetime
    until: datetime


class NewEvent(msgspec.Struct, kw_only=True, frozen=True):
    """One event of a batch. `payload` is a value, or bytes that are JSON already and go out as they are."""

    type: str
    payload: Any
    merchant: str | None = None
    account: str | None = None
    id: str | None = None
    occurred_at: datetime | None = None
    idempotency_key: str | None = None
