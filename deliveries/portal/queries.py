"""Reads what a portal page's address asks for. An address is typed, shared and old: what it cannot mean is left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from deliveries.models import Delivery
from deliveries.selectors.log import LogFilter
from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import FieldError, Invalid

RANGES = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
# What the log can be narrowed to with one click.
TEXT_MOST = 255


@dataclass(frozen=True, slots=True)
class LogQuery:
    """One view of the log: its filter, the text searched for, and after which delivery the page begins."""

    where: LogFilter
    text: str
    before: UUID | None
    range_name: str

    @property
    def is_filtered(self) -> bool:
        return bool(self.text) or self.where != LogFilter()


def read_log(query: Mapping[str, str], *, now: datetime) -> LogQuery:
    name = query.get("range", "")
    since, until = moment(query.get("since")), moment(query.get("until"))
    if name in RANGES and since is None:
        since = now - RANGES[name]
    return LogQuery(
        LogFilter(
            status=_one_of(query.get("status"), Delivery.Status.values),
            event_type=_text(query.get("type")),
            endpoint_id=ident(Prefix.ENDPOINT, query.get("endpoint")),
            account=_text(query.get("account")),
            since=since,
            until=until,
        ),
        _text(query.get("q")) or "",
        ident(Prefix.DELIVERY, query.get("before")),
        name if name in RANGES else "",
    )


def ident(prefix: Prefix, text: str | None) -> UUID | None:
    try:
        return parse(prefix, text) if text else None
    except InvalidId:
        return None


def moment(text: str | None) -> datetime | None:
    """RFC 3339, or what an input of the type datetime-local sends, which is then UTC."""
    try:
        found = datetime.fromisoformat((text or "").strip().replace(" ", "+"))
    except ValueError:
        return None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        return None


def read_window(typed: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """What was typed as `since` and `until`, in UTC. Raises Invalid for a moment that cannot be read."""
    found = []
    for name in ("since", "until"):
        text = typed.get(name, "").strip()
        read = moment(text)
        if text and read is None:
            raise Invalid(FieldError(f"/{name}", "invalid_time", "Write a date and a time, such as 2026-05-01 14:30."))
        found.append(read)
    return found[0], found[1]


def _one_of(text: str | None, known: list[str]) -> str | None:
    return text if text in known else None


def _text(text: str | None) -> str | None:
    """Without the spaces around it, and without what Postgres' texts cannot hold."""
    cleaned = (text or "").strip().replace("\x00", "")[:TEXT_MOST]
    return cleaned or None
