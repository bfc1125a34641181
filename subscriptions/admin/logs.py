"""Lists over tables that grow without end: paged by key, bounded in time, never counted, never skipped through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db import OperationalError, connection, transaction
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from psycopg.errors import QueryCanceled

from dispatcher.ids import Prefix, first_id
from subscriptions.admin.base import M, ReadOnlyAdmin
from subscriptions.admin.columns import read_id
from subscriptions.admin.filters import ChoiceFilter

BEFORE = "before"
AFTER = "after"
WITHIN = "within"
ANY_TIME = "all"
WINDOWS = {
    "1h": ("Last hour", timedelta(hours=1)),
    "1d": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
SCAN_WINDOW = "1d"
# For questions that no index answers, unless another window is chosen.
LIST_TIMEOUT_S = 5
# A list that takes longer is given up: the log is there for senders first.


@dataclass(frozen=True, slots=True)
class Found:
    """What a search term means. `is_scan`: no index leads there, so the time window has to bound it."""

    condition: Q
    is_scan: bool = False


class LogAdmin(ReadOnlyAdmin[M]):
    """A log. Its ids are in the order of time, so that they page it and bound it."""

    show_full_result_count = False
    change_list_template = "subscriptions/admin/log.html"
    scanning: ClassVar[frozenset[str]] = frozenset()
    # Filters on columns without an index.
    unread: ClassVar[Sequence[str]] = ()
    # Columns that a list never reads.

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return LogChangeList

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[M],
        search_term: str,  # noqa: ARG002
    ) -> tuple[QuerySet[M], bool]:
        """LogChangeList asks `find` instead, because the answer decides on the window too."""
        return queryset, False

    def find(self, term: str) -> Found | None:
        """None when nothing can match."""
        match read_id(term):
            case (prefix, row_id):
                return self.find_id(prefix, row_id, term)
        return self.find_text(term)

    def find_id(self, prefix: Prefix, row_id: UUID, term: str) -> Found | None:
        """What an id means here; `term` is its text. May ask the database, by index only."""
        column = self.id_columns.get(prefix)
        return Found(Q(**{column: row_id})) if column else self.find_text(term)

    def find_text(self, term: str) -> Found | None:  # noqa: ARG002
        """What any other term means. May ask the database, by index only."""
        return None


class LogChangeList(ChangeList):
    """One page of a log, newest first, from the key in the URL onwards."""

    model_admin: LogAdmin[Any]
    window: str = ""
    newer_url: str = ""
    older_url: str = ""
    is_too_slow: bool = False

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:  # noqa: ARG002
        return ["-pk"]

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        for name in (BEFORE, AFTER):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        rows = super().get_queryset(request, exclude_parameters).defer(*self.model_admin.unread)
        is_scan = bool(self.model_admin.scanning & self.filter_params.keys())
        if term := self.query.strip():
            found = self.model_admin.find(term)
            rows = rows.none() if found is None else rows.filter(found.condition)
            is_scan |= found is not None and found.is_scan
        return self._within_window(request, rows, default=SCAN_WINDOW if is_scan else ANY_TIME)

    def _within_window(self, request: HttpRequest, rows: QuerySet[Any], *, default: str) -> QuerySet[Any]:
        self.window = request.GET.get(WITHIN, default)
        if self.window not in WINDOWS:
            return rows
        _, length = WINDOWS[self.window]
        return rows.filter(pk__gte=first_id(timezone.now() - length))

    def get_results(self, request: HttpRequest) -> None:
        """One row more than the page holds says whether there is another page."""
        before, after = _key(request, BEFORE), _key(request, AFTER)
        rows = self._fetch(before, after)
        has_more = len(rows) > self.list_per_page
        page = rows[: self.list_per_page]
        if after:
            page.reverse()
        self._link(page, is_newest=not before and not (after and has_more), is_oldest=not after and not has_more)
        self.result_list = page
        self.result_count = len(page)
        self.full_result_count = self.result_count  # the same, so that no number stands beside the search box
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(page)

    def _fetch(self, before: UUID | None, after: UUID | None) -> list[Model]:
        rows = self.queryset
        if after:
            rows = rows.filter(pk__gt=after).order_by("pk")
        elif before:
            rows = rows.filter(pk__lt=before)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LIST_TIMEOUT_S}s"])
                return list(rows[: self.list_per_page + 1])
        except OperationalError as trouble:
            if not isinstance(trouble.__cause__, QueryCanceled):
                raise
            self.is_too_slow = True
            return []

    def _link(self, page: list[Model], *, is_newest: bool, is_oldest: bool) -> None:
        if page and not is_newest:
            self.newer_url = self.get_query_string({AFTER: str(page[0].pk)})
        if page and not is_oldest:
            self.older_url = self.get_query_string({BEFORE: str(page[-1].pk)})


def _key(request: HttpRequest, name: str) -> UUID | None:
    text = request.GET.get(name)
    try:
        return UUID(text) if text else None
    except ValueError as trouble:
        raise IncorrectLookupParameters from trouble


class WindowFilter(ChoiceFilter):
    """How far back the list reads. LogChangeList applies it, as it also knows when a window is needed."""

    title = "time"
    parameter_name = WITHIN
    offered = (*((key, label) for key, (label, _) in WINDOWS.items()), (ANY_TIME, "Any time"))

    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:  # noqa: ARG002
        return rows

    def choices(self, changelist: ChangeList) -> Any:
        """The window in force is marked, chosen or not."""
        chosen = getattr(changelist, "window", ANY_TIME)
        for key, label in self.offered:
            link = changelist.get_query_string({WITHIN: key})
            yield {"selected": key == chosen, "query_string": link, "display": label}
