"""Addresses of portal pages with some of their query set."""

from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse


def log_address(merchant: str, **query: str | datetime | None) -> str:
    """The log, narrowed."""
    named = {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in query.items()
        if value
    }
    address = reverse("portal-log", args=[merchant])
    return f"{address}?{urlencode(named)}" if named else address
