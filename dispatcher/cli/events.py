"""`events` and `resend`: the delivery log."""

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.desk import Desk, at_desk
from dispatcher.cli.following import Follower
from dispatcher.cli.output import Column
from dispatcher.cli.parameters import MOMENT
from dispatcher.words import WORDS

if TYPE_CHECKING:
    from dispatcher.client.fields import LogFilter
    from dispatcher.client.results import Attempt, Body, Event, LogRow

STATUSES = ("pending", "delivered", "failed", "held", "cancelled")
PAGE_MOST = 200


def _filters(command: Any) -> Any:
    for option in (
        click.option("--account", help="Only of this account, card or terminal."),
        click.option("--endpoint", metavar="ID", help="Only to this endpoint."),
        click.option("--type", "event_type", metavar="NAME", help="Only events of this type."),
        click.option("--status", type=click.Choice(STATUSES), help="Only deliveries in this state."),
    ):
        command = option(command)
    return command


@click.group()
def events() -> None:
    """The delivery log."""


@events.command("list")
@at_desk
@_filters
@click.option("--since", type=MOMENT, help="From then on: 2h, 3d or 2026-01-31T12:00:00Z.")
@click.option("--until", type=MOMENT, help="Before then.")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
def list_events(desk: Desk, *, limit: int, **where: Any) -> None:
    """Deliveries, newest first."""
    found = desk.merchant.events.list(page_size=min(limit, PAGE_MOST), **_given(where))
    desk.out.rows(islice(found, limit), COLUMNS, empty="There are no such deliveries.")


@events.command("tail")
@at_desk
@_filters
@click.option(
    "-n", "--last", type=click.IntRange(0, PAGE_MOST), default=10, show_default=True, help="Begin with so many."
)
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between two looks.")
def tail_events(desk: Desk, *, last: int, every: float, **where: Any) -> None:
    """Follow new deliveries until Ctrl-C. One is shown again when its state changes within a minute."""
    filters = _given(where)

    def read(since: datetime | None) -> "Iterator[LogRow]":
        asked = filters if since is None else {**filters, "since": since}
        return desk.merchant.events.list(page_size=PAGE_MOST, **asked)

    follower = Follower(read)
    try:
        for row in follower.begin(last):
            desk.out.row(row, COLUMNS)
        while True:
            time.sleep(every)
            for row in follower.look():
                desk.out.row(row, COLUMNS)
    except KeyboardInterrupt:
        return


@events.command("show")
@at_desk
@click.argument("event")
@click.option("-v", "--verbose", "is_whole", is_flag=True, help="With headers and bodies of every attempt.")
def show_event(desk: Desk, event: str, *, is_whole: bool) -> None:
    """One event with its deliveries and attempts."""
    found = desk.merchant.events.get(event)
    desk.out.details(
        found,
        [
            ("id", found.id),
            ("type", found.event_type),
            ("merchant", found.merchant),
            ("account", found.account),
            ("mode", "test event" if found.is_test else found.mode),
            ("occurred", found.occurred_at),
            ("accepted", found.created_at),
        ],
    )
    if desk.out.look != "json":
        desk.out.body(found.payload_bytes.decode(), title="payload")
        _show_deliveries(desk, found, is_whole=is_whole)


@click.command()
@at_desk
@click.argument("event")
@click.option("--endpoint", metavar="ID", help="Only to this endpoint.")
def resend(desk: Desk, event: str, *, endpoint: str | None) -> None:
    """Send an event again.

    To all endpoints that were owed it, or to one.
    """
    made = desk.merchant.events.resend(event, endpoint=endpoint)
    desk.out.done(f"On its way again: {', '.join(made)}", event=event, deliveries=list(made))


def _given(where: dict[str, Any]) -> "LogFilter":
    filters: LogFilter = {name: value for name, value in where.items() if value is not None}  # type: ignore[assignment]
    return filters


def _show_deliveries(desk: Desk, event: "Event", *, is_whole: bool) -> None:
    for delivery in event.deliveries:
        click.echo()
        desk.out.members(
            [
                ("delivery", delivery.delivery_id),
                ("endpoint", delivery.endpoint_id),
                ("state", delivery.delivery_status),
                ("next attempt", delivery.next_attempt_at),
            ]
        )
        for attempt in delivery.attempts:
            desk.out.row(attempt, ATTEMPT_COLUMNS)
            if is_whole:
                _show_attempt(desk, attempt)


def _show_attempt(desk: Desk, attempt: "Attempt") -> None:
    _show_message(desk, attempt.request, f"request to {attempt.request.url}")
    if attempt.response is not None:
        _show_message(desk, attempt.response, f"answer {attempt.response.status}")


def _show_message(desk: Desk, message: "Body", title: str) -> None:
    head = "\n".join(f"{header.name}: {header.value}" for header in message.headers)
    desk.out.body(f"{head}\n\n{message.body or ''}".rstrip(), title=title)


def _result(attempt: "Attempt") -> str:
    return "delivered" if attempt.reason == "delivered" else "failed"


def _said(attempt: "Attempt") -> str:
    words = WORDS.get(attempt.reason, attempt.reason)
    return f"{words} ({attempt.response.status})" if attempt.response else words


ATTEMPT_COLUMNS: "list[Column[Attempt]]" = [
    Column("Attempt", lambda one: f"attempt {one.number}"),
    Column("Started", lambda one: one.started_at),
    Column("Result", _result),
    Column("Said", _said),
    Column("Took", lambda one: f"{one.phases_ms.get('total') or 0:.0f} ms"),
]
COLUMNS: "list[Column[LogRow]]" = [
    Column("Created", lambda one: one.created_at),
    Column("Type", lambda one: one.event_type, is_long=True),
    Column("Event", lambda one: one.id),
    Column("Endpoint", lambda one: one.endpoint_id, is_extra=True),
    Column("State", lambda one: one.delivery_status),
    Column("Attempts", lambda one: one.delivery_attempts, is_extra=True),
    Column("Answer", lambda one: one.delivery_response_code),
    Column("Error", lambda one: one.delivery_error, is_long=True),
]
