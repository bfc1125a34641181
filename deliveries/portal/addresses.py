"""Addresses of portal pages with some of their query set."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse


def log_address(merchant: str, **query: str | datetime | None) -> str:
    """The log, narrowed."""
    return _with_query(reverse("portal-log", args=[merchant]), query)


def export_address(merchant: str, *, since: datetime | None, until: datetime | None) -> str:
    """The page that writes the log of a time into a file."""
    return _with_query(reverse("portal-exports", args=[merchant]), {"since": since, "until": until})


def _with_query(address: str, query: Mapping[str, str | datetime | None]) -> str:
    named = {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in query.items()
        if value
    }
    return f"{address}?{urlencode(named)}" if named else address
