"""What the API answers, as typed values. Members that a newer platform adds are passed over."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all: frozen, compared by value."""

    def to_json(self) -> bytes:
        """As one line of JSON, payloads byte for byte."""
        return msgspec.json.encode(self)


class Page(Result, Generic[T], frozen=True, kw_only=True):
    data: list[T]
    next_cursor: str | None = None


class WithPayload:
    """`payload` is the value, `payload_bytes` are the very bytes that were published; null once it was expunged."""

    __slots__ = ()
    raw_payload: msgspec.Raw

    @property
    def payload(self) -> Any:
        return msgspec.json.decode(self.raw_payload)

    @property
    def payload_bytes(self) -> bytes:
        return bytes(self.raw_payload)


class Accepted(Result, frozen=True, kw_only=True):
    """An event that will be delivered. `is_duplicate`: it was published before, with the same key or id."""

    id: str
    is_duplicate: bool = msgspec.field(name="duplicate")
    deliveries: int


class AcceptedBatch(Result, frozen=True, kw_only=True):
    events: list[Accepted]


class LogRow(Result, WithPayload, frozen=True, kw_only=True):
    """One delivery of the log; `id` is the event's."""

    id: str
    delivery_id: str
    endpoint_id: str
    event_type: str
    account: str | None
    delivery_status: str
    delivery_attempts: int
    delivery_response_code: int | None
    delivery_error: str | None
    next_attempt_at: datetime | None
    raw_payload: msgspec.Raw = msgspec.field(name="payload")
    expunged_at: datetime | None = None
    created_at: datetime


class Header(Result, frozen=True, kw_only=True):
    name: str
    value: str


class Body(Result, frozen=True, kw_only=True):
    """`body` is text, or base64 where `is_body_base64`."""

    headers: list[Header]
    body: str | None
    is_body_base64: bool


class SentRequest(Body, frozen=True, kw_only=True):
    """`body` is None where it is the event's payload."""

    url: str


class ReceivedResponse(Body, frozen=True, kw_only=True):
    status: int
    is_body_truncated: bool
    body_error: str | None


class Attempt(Result, frozen=True, kw_only=True):
    id: str
    number: int
    trigger: str
    is_counted: bool
    reason: str
    detail: str
    started_at: datetime
    request: SentRequest
    response: ReceivedResponse | None
    phases_ms: dict[str, float | None]
    peer: str


class Trial(Attempt, frozen=True, kw_only=True):
    """A test event and the one attempt to deliver it."""

    event_id: str
    delivery_id: str
    event_type: str
    delivery_status: str

    @property
    def is_delivered(self) -> bool:
        return self.delivery_status == "delivered"


class Delivery(Result, frozen=True, kw_only=True):
    delivery_id: str
    endpoint_id: str
    delivery_status: str
    delivery_attempts: int
    delivery_response_code: int | None
    delivery_error: str | None
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    attempts: list[Attempt]


class Event(Result, WithPayload, frozen=True, kw_only=True):
    """An event with its deliveries and their attempts."""

    id: str
    event_type: str
    merchant: str
    account: str | None
    is_test: bool
    mode: str
    occurred_at: datetime
    created_at: datetime
    raw_payload: msgspec.Raw = msgspec.field(name="payload")
    expunged_at: datetime | None = None
    deliveries: list[Delivery]


class Resent(Result, frozen=True, kw_only=True):
    deliveries: list[str]


class Endpoint(Result, frozen=True, kw_only=True):
    """`secret` is there only in the answer that made a new one."""

    id: str
    url: str
    description: str
    channel: str
    profile: str
    primary: bool
    rule: str | None
    event_types: list[str] | None
    accounts: list[str]
    is_active: bool
    disabled_reason: str | None
    disabled_at: datetime | None
    unreadable_since: datetime | None
    verified_at: datetime | None
    secret_set: bool
    auth: dict[str, Any]
    headers: dict[str, str]
    ack: dict[str, Any] | None
    retry_schedule: list[int] | None
    rate_limit: int | None
    max_in_flight: int
    ordered: bool
    metadata: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime
    secret: str | msgspec.UnsetType = msgspec.UNSET
    auth_reset: bool = False


class Config(Result, frozen=True, kw_only=True):
    """The merchant's primary endpoint, as the merchant API v2 shows it."""

    url: str
    secret_set: bool
    event_types: list[str] | None
    is_active: bool
    disabled_reason: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    endpoint_id: str
    auth_reset: bool = False


class Secret(Result, frozen=True, kw_only=True):
    id: str
    secret: str
    created_at: datetime


class RotatedSecret(Secret, frozen=True, kw_only=True):
    """The secrets before it sign beside it until `previous_expires_at`."""

    previous_expires_at: datetime | None


class Connectivity(Result, frozen=True, kw_only=True):
    """`reason` and `detail` say why nobody was reached."""

    reachable: bool
    reason: str | None
    detail: str | None
    status: int | None
    phases_ms: dict[str, float | None]
    peer: str


class EventType(Result, frozen=True, kw_only=True):
    name: str
    group: str
    description: str
    schema: Any
    strict: bool
    example: Any
    archived: bool
    created_at: datetime
    updated_at: datetime


class SampledEventType(EventType, frozen=True, kw_only=True):
    """With a payload to try it with, and where that is from."""

    sample: Any
    sample_source: str | None


class PublicKey(Result, frozen=True, kw_only=True):
    """A key of the provider that receivers verify with."""

    id: str
    algorithm: str
    status: str
    signs_from: datetime
    signs_until: datetime | None
    public_key_pem: str
    certificate_pem: str
    jwk: dict[str, Any]


class Merchant(Result, frozen=True, kw_only=True):
    id: str
    name: str
    reference: str | None
    kind: str
    mode: str
    parent: str | None
    retention_days: int | None = None
    hears_all_operations: bool = False
    created_at: datetime
    updated_at: datetime


class Account(Result, frozen=True, kw_only=True):
    """An account, card or terminal that events may name instead of its merchant."""

    reference: str
    merchant: str
    created_at: datetime


class ApiKey(Result, frozen=True, kw_only=True):
    id: str
    name: str
    scope: str
    merchant: str | None
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey, frozen=True, kw_only=True):
    """`key` is shown this once."""

    key: str


class PortalLink(Result, frozen=True, kw_only=True):
    """Whoever opens `url`, once and before `expires_at`, is in the merchant's portal."""

    id: str
    url: str
    access: str
    expires_at: datetime


class Replay(Result, frozen=True, kw_only=True):
    """`status` is `running`, `finished` or `stopped`; `progress` goes from 0 to 1."""

    id: str
    kind: str
    endpoint: str
    status: str
    stop_reason: str | None
    since: datetime
    until: datetime
    sent: int
    progress: float
    created_at: datetime
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.status != "running"


class ReplayCount(Result, frozen=True, kw_only=True):
    """What a replay would send; where it is not exact, at least so many."""

    count: int
    is_exact: bool


class Figures(Result, frozen=True, kw_only=True):
    attempts: int
    delivered: int
    failed: int
    success_ratio: float | None
    latency_ms: dict[str, float | None]


class Totals(Figures, frozen=True, kw_only=True):
    """What waits is a lower bound where it is not exact."""

    pending: int
    is_pending_exact: bool
    held: int
    is_held_exact: bool


class BucketFigures(Figures, frozen=True, kw_only=True):
    start: datetime


class TypeFigures(Figures, frozen=True, kw_only=True):
    event_type: str


class Stats(Result, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    bucket: str
    endpoint_id: str | None
    event_type: str | None
    totals: Totals
    series: list[BucketFigures]
    event_types: list[TypeFigures]
