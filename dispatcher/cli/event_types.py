"""`event-types`: the catalogue."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dispatcher.cli.desk import Desk, at_desk
from dispatcher.cli.output import Column

if TYPE_CHECKING:
    from dispatcher.client.results import EventType


@click.group()
def event_types() -> None:
    """The catalogue of event types."""


@event_types.command("list")
@at_desk
def list_types(desk: Desk) -> None:
    """All types; a provider sees archived ones as well."""
    desk.out.rows(_all(desk), COLUMNS, empty="There are no event types.")


@event_types.command("show")
@at_desk
@click.argument("name")
def show_type(desk: Desk, name: str) -> None:
    """One type, with its schema and an example."""
    is_whole = _is_whole(desk)
    found = desk.provider.event_types.get(name) if is_whole else desk.merchant.event_types.get(name)
    desk.out.details(
        found,
        [
            ("name", found.name),
            ("group", found.group),
            ("state", _state(found)),
            ("description", found.description),
            ("payloads that do not fit", "refused" if found.strict else "accepted"),
        ],
    )
    if desk.out.look != "json":
        for title, value in (("example", found.example), ("schema", found.schema)):
            if value is not None:
                desk.out.body(json.dumps(value, ensure_ascii=False), title=title)


def _is_whole(desk: Desk) -> bool:
    """Whether to look at the provider's catalogue; with a merchant named, what that one is offered."""
    return desk.merchant_name is None and desk.is_provider


def _all(desk: Desk) -> "Iterator[EventType]":
    page = 200
    if _is_whole(desk):
        return desk.provider.event_types.list(page_size=page)
    return desk.merchant.event_types.list(page_size=page)


def _state(found: "EventType") -> str:
    return "archived" if found.archived else "active"


COLUMNS: "list[Column[EventType]]" = [
    Column("Name", lambda one: one.name),
    Column("Group", lambda one: one.group, is_extra=True),
    Column("State", _state),
    Column("Description", lambda one: one.description, is_long=True),
]
