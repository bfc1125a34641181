"""Reads what a merchant asks of its statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from deliveries.api import log_queries
from deliveries.selectors.statistics import HOUR, Bucket, Scope, hour_of
from subscriptions.errors import FieldError, Invalid
from subscriptions.services import shapes

DEFAULT_SPAN = timedelta(hours=24)
SPAN_MAX = {Bucket.HOUR: timedelta(days=31), Bucket.DAY: timedelta(days=366)}
# Some hundreds of members in a series: more than any chart has room for.

SHAPE: shapes.Shape = {
    "since": log_queries.SHAPE["since"],
    "until": log_queries.SHAPE["until"],
    "event_type": log_queries.SHAPE["event_type"],
    "bucket": shapes.choice(list(Bucket)),
}


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """One answer: of what, in buckets of which length."""

    scope: Scope
    bucket: Bucket


def read(params: Mapping[str, str], *, owner_id: UUID, endpoint_id: UUID | None, now: datetime) -> StatsQuery:
    """The window is widened to whole hours. Raises Invalid with every fault in the parameters."""
    values, faults = shapes.read({name: params[name] for name in SHAPE if name in params}, SHAPE)
    if faults:
        raise Invalid(*faults)
    bucket = Bucket(values.get("bucket", Bucket.HOUR))
    since, until = _window(values.get("since"), values.get("until"), now=now)
    if not since < until:
        raise Invalid(FieldError("/until", "out_of_range", "This must be later than since."))
    # An hour is forgiven at each end: what was widened is no fault of the caller's.
    if until - since > SPAN_MAX[bucket] + 2 * HOUR:
        message = f"Buckets of one {bucket.value} are for at most {SPAN_MAX[bucket].days} days."
        raise Invalid(FieldError("/since", "out_of_range", message))
    scope = Scope(
        owner_id=owner_id, endpoint_id=endpoint_id, event_type=values.get("event_type"), since=since, until=until
    )
    return StatsQuery(scope, bucket)


def _window(since: datetime | None, until: datetime | None, *, now: datetime) -> tuple[datetime, datetime]:
    try:
        until = until or now
        since = since or until - DEFAULT_SPAN
        return hour_of(since), hour_of(until + HOUR - datetime.resolution)
    except OverflowError:
        raise Invalid(FieldError("/until", "out_of_range", "This is at the end of time.")) from None
