"""Prints results: for people on a terminal, tab-separated in a pipe, or as one JSON object a line.

What comes from the platform was written by others: no control character of theirs reaches the terminal.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dispatcher.client.results import Result

T = TypeVar("T", bound="Result")

Look = Literal["json", "plain", "rich"]

STYLES: Mapping[str, str] = {
    "delivered": "green",
    "good": "green",
    "finished": "green",
    "active": "green",
    "failed": "red",
    "mismatch": "red",
    "missing": "red",
    "expired": "red",
    "unreadable": "red",
    "disabled": "yellow",
    "pending": "yellow",
    "running": "yellow",
    "held": "bright_black",
    "cancelled": "bright_black",
    "stopped": "bright_black",
    "archived": "bright_black",
}
# The word always stands there as well.
WIDE = 120
# Columns of a terminal that has room for everything.
GAP = 2
# Between two columns of a table.
SHORTEST = 5
# No column is cut further than that.


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a list: its head, and what stands in it.

    Where a terminal has little room, extras are left out and long ones are cut; ids never are, so that they can be
    copied. Pipes get everything.
    """

    head: str
    value: Callable[[T], Any]
    is_long: bool = False
    is_extra: bool = False


class Output:
    """Standard output in one of the three looks; notes for people go to standard error."""

    def __init__(self, *, is_json: bool) -> None:
        self.look: Look = "json" if is_json else "rich" if sys.stdout.isatty() else "plain"

    def rows(self, found: Iterable[T], columns: Sequence[Column[T]], *, empty: str) -> None:
        """A list. `empty` is said on a terminal when there is nothing."""
        if self.look != "rich":
            for one in found:
                self.row(one, columns)
            return
        terminal = console()
        fitting = [column for column in columns if not column.is_extra or terminal.width >= WIDE]
        cells = [[_cell(column.value(one)) for column in fitting] for one in found]
        if cells:
            terminal.print(_table(fitting, cells, room=terminal.width))
        else:
            self.note(empty)

    def row(self, one: T, columns: Sequence[Column[T]]) -> None:
        """One object of a stream, at once."""
        if self.look == "json":
            self.object(one)
            return
        cells = [column.value(one) for column in columns]
        if self.look == "plain":
            click.echo("\t".join(shown(cell) for cell in cells))
        else:
            from rich.text import Text

            console().print(Text("  ").join(_cell(cell) for cell in cells), soft_wrap=True)
        sys.stdout.flush()

    def details(self, one: "Result", members: Iterable[tuple[str, Any]]) -> None:
        """One object: with --json all of it, else these of its members."""
        if self.look == "json":
            self.object(one)
            return
        self.members(members)

    def members(self, members: Iterable[tuple[str, Any]]) -> None:
        if self.look == "plain":
            for name, value in members:
                click.echo(f"{name}\t{shown(value)}")
            return
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bright_black", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in members:
            grid.add_row(name, _cell(value))
        console().print(grid)

    def object(self, one: "Result | Mapping[str, Any]") -> None:
        """One line of JSON; payloads keep every digit, but lose the white space between their parts."""
        import msgspec

        raw = json.dumps(one, ensure_ascii=False).encode() if isinstance(one, Mapping) else one.to_json()
        click.echo(msgspec.json.format(raw, indent=-1))
        sys.stdout.flush()

    def body(self, text: str, *, title: str) -> None:
        """A body below its title, indented where it is JSON."""
        click.echo(f"\n{title}" if self.look == "rich" else title)
        for line in pretty(text).splitlines():
            click.echo(f"  {clean(line)}")

    def done(self, sentence: str, **members: Any) -> None:
        """What was done, where the platform answers nothing: with --json as an object."""
        if self.look == "json":
            self.object(members)
        else:
            click.echo(clean(sentence))

    def note(self, sentence: str) -> None:
        """For people, whatever happens to the output."""
        click.echo(clean(sentence), err=True)


def console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def shown(value: Any) -> str:
    """A value as one cell: nothing for None, times in UTC, no tabs or line ends."""
    return clean(_text(value))


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case list() | tuple():
            return ", ".join(str(item) for item in value)
    return str(value)


def clean(text: str) -> str:
    """Without control characters, which could move the cursor or change what was printed before."""
    return "".join(char if char.isprintable() else "�" for char in text)


def pretty(text: str) -> str:
    """Indented where it is JSON, every number as it was written."""
    import msgspec

    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, UnicodeError):
        return text


def _cell(value: Any) -> "Text":
    from rich.text import Text

    text = _here(value) if isinstance(value, datetime) else shown(value)
    return Text(text, style=STYLES.get(text.removeprefix("signature "), ""))


def _here(moment: datetime) -> str:
    """As the reader's clock showed it; of today only the time."""
    local = moment.astimezone()
    is_today = local.date() == datetime.now(local.tzinfo).date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M:%S}"


def _table(columns: Sequence[Column[Any]], cells: "Sequence[Sequence[Text]]", *, room: int) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")
    for column, width in zip(columns, _widths(columns, cells, room=room), strict=True):
        table.add_column(column.head, no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        table.add_row(*row)
    return table


def _widths(columns: Sequence[Column[Any]], cells: "Sequence[Sequence[Text]]", *, room: int) -> list[int]:
    """As wide as the widest cell; where that is too much, the widest of the long ones gives way, step by step."""
    widths = [
        max(len(column.head), *(row[position].cell_len for row in cells)) for position, column in enumerate(columns)
    ]
    long = [position for position, column in enumerate(columns) if column.is_long]
    for _ in range(sum(widths) + GAP * (len(widths) - 1) - room):
        widest = max(long, key=lambda position: widths[position], default=None)
        if widest is None or widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    return widths
