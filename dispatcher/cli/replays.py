"""`replays`: many deliveries sent again, with their progress."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.desk import Desk, at_desk, yes
from dispatcher.cli.output import Column, console
from dispatcher.cli.parameters import MOMENT

if TYPE_CHECKING:
    from dispatcher.client.results import Replay

COLUMNS: "list[Column[Replay]]" = [
    Column("Replay", lambda one: one.id),
    Column("Kind", lambda one: one.kind),
    Column("Endpoint", lambda one: one.endpoint, is_extra=True),
    Column("State", lambda one: one.status),
    Column("Progress", lambda one: f"{one.progress:.0%}"),
    Column("Sent", lambda one: one.sent),
    Column("Created", lambda one: one.created_at, is_extra=True),
]


@click.group()
def replays() -> None:
    """Send many deliveries again."""


def _begins(command: Any) -> Any:
    for option in (
        yes,
        click.option("--no-wait", "is_left", is_flag=True, help="Do not wait for its end."),
        click.option("--dry-run", "is_dry", is_flag=True, help="Only count what would be sent."),
        click.option("--until", type=MOMENT, help="Before then; by default now."),
    ):
        command = option(command)
    return command


_since = click.option("--since", type=MOMENT, required=True, help="From then on: 2h, 3d or 2026-01-31T12:00:00Z.")


@replays.command("recover")
@at_desk
@click.argument("endpoint")
@_since
@_begins
def recover(desk: Desk, endpoint: str, **how: Any) -> None:
    """Send again what failed at ENDPOINT."""
    _begin(desk, endpoint, "recover", desk.merchant.endpoints.recover, **how)


@replays.command("replay-missing")
@at_desk
@click.argument("endpoint")
@_since
@_begins
def replay_missing(desk: Desk, endpoint: str, **how: Any) -> None:
    """Send matching events that were never tried at ENDPOINT."""
    _begin(desk, endpoint, "replay-missing", desk.merchant.endpoints.replay_missing, **how)


@replays.command("release")
@at_desk
@click.argument("endpoint")
@click.option("--since", type=MOMENT, help="From then on; by default everything.")
@_begins
def release(desk: Desk, endpoint: str, **how: Any) -> None:
    """Send what was held while ENDPOINT was disabled."""
    _begin(desk, endpoint, "release", desk.merchant.endpoints.release, **how)


@replays.command("list")
@at_desk
@click.option("--endpoint", metavar="ID", help="Only at this endpoint.")
def list_replays(desk: Desk, *, endpoint: str | None) -> None:
    """All replays, newest first."""
    desk.out.rows(desk.merchant.replays.list(endpoint=endpoint), COLUMNS, empty="There were no replays.")


@replays.command("show")
@at_desk
@click.argument("replay")
@click.option("--wait", "is_awaited", is_flag=True, help="Wait for its end.")
def show_replay(desk: Desk, replay: str, *, is_awaited: bool) -> None:
    """How far a replay is."""
    found = desk.merchant.replays.get(replay)
    _show(desk, _watch(desk, found) if is_awaited else found)


@replays.command("stop")
@at_desk
@click.argument("replay")
def stop_replay(desk: Desk, replay: str) -> None:
    """Send nothing more for it. What is on its way arrives."""
    _show(desk, desk.merchant.replays.stop(replay))


def _begin(
    desk: Desk,
    endpoint: str,
    kind: str,
    begin: "Callable[..., Replay]",
    *,
    is_dry: bool,
    is_left: bool,
    is_sure: bool,
    **window: datetime | None,
) -> None:
    """Count, ask, begin, wait."""
    if is_dry or not is_sure:
        found = desk.merchant.endpoints.count_replay(endpoint, kind, **window)
        count = f"{found.count:,}" if found.is_exact else f"at least {found.count:,}"
        if is_dry:
            desk.out.details(found, [("deliveries", count)])
            return
        desk.confirm(f"Send {count} deliveries to {endpoint}?", is_sure=is_sure)
    begun = begin(endpoint, **window)
    _show(desk, begun if is_left else _watch(desk, begun))


def _watch(desk: Desk, begun: "Replay") -> "Replay":
    """Wait for the end, with a bar on a terminal. Ctrl-C stops the waiting, not the replay."""
    try:
        if desk.out.look != "rich":
            return desk.merchant.replays.wait(begun.id)
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        with Progress(*columns, console=console(), transient=True) as progress:
            task = progress.add_task(begun.kind, total=1.0)

            def show(found: "Replay") -> None:
                progress.update(task, completed=found.progress, description=f"{found.kind}: {found.sent:,} sent")

            return desk.merchant.replays.wait(begun.id, on_progress=show)
    except KeyboardInterrupt:
        desk.out.note(f"It goes on: `signet replays show {begun.id}`, or `stop`.")
        raise


def _show(desk: Desk, found: "Replay") -> None:
    desk.out.details(
        found,
        [
            ("id", found.id),
            ("kind", found.kind),
            ("endpoint", found.endpoint),
            ("state", found.status),
            ("why it stopped", found.stop_reason),
            ("from", found.since),
            ("to", found.until),
            ("progress", f"{found.progress:.0%}"),
            ("sent", found.sent),
        ],
    )
