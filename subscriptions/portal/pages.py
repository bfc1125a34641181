"""Lists in pages, newest first, read on by the id of the last row: never by offset, never counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.portal.doors import PortalRequest

PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """`next_before` is what the next page's address has as `before`; empty on the last."""

    rows: Sequence[Any]
    next_before: str
    is_first: bool


def read(rows: QuerySet[Any], request: PortalRequest, *, prefix: Prefix) -> Page:
    """The page that `before` in the address begins; what is no id begins with the newest."""
    before = None
    try:
        before = parse(prefix, request.GET.get("before", ""))
        rows = rows.filter(id__lt=before)
    except InvalidId:
        pass
    found = list(rows.order_by("-id")[: PAGE + 1])
    shown = found[:PAGE]
    return Page(shown, show(prefix, shown[-1].id) if len(found) > PAGE else "", before is None)
