"""What lists can be narrowed by, besides plain columns."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest

from dispatcher.ids import Prefix, parse


class ChoiceFilter(admin.SimpleListFilter):
    """A fixed set of choices; `narrow` says what each means."""

    offered: ClassVar[Sequence[tuple[str, str]]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        return self.offered

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        value = self.value()
        return queryset if value is None else self.narrow(queryset, value)

    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        raise NotImplementedError


class ExactFilter(admin.SimpleListFilter):
    """A column's value that is named in the URL; stands on the page only where it is in use."""

    column: ClassVar[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        value = self.value()
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(**{self.column: self.value()})


class IdFilter(ExactFilter):
    """The same for an object, named by its public id."""

    prefix: ClassVar[Prefix]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        try:
            return queryset.filter(**{self.column: parse(self.prefix, self.value() or "")})
        except ValueError as trouble:
            raise IncorrectLookupParameters from trouble


def by_id(prefix: Prefix, name: str, column: str) -> type[IdFilter]:
    """An IdFilter over a column; `name` is both its title and its parameter."""
    members = {"title": name, "parameter_name": name, "prefix": prefix, "column": column}
    return type(f"{name.title()}Filter", (IdFilter,), members)
