"""What several commands read from the command line: times, files, fields of objects."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

_AGO = re.compile(r"(\d{1,6})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """`2026-01-31T12:00:00Z`, `2026-01-31` or how long ago: `90s`, `15m`, `2h`, `3d`, `1w`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return read_moment(str(value), now=datetime.now(UTC))
        except ValueError:
            self.fail(f"{value!r} is no time: try 2h, 3d or 2026-01-31T12:00:00Z.", param, ctx)


def read_moment(text: str, *, now: datetime) -> datetime:
    """Without a zone it is meant here, where it was typed. Raises ValueError."""
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    return datetime.fromisoformat(text).astimezone()


class Pair(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`"""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, sign, rest = str(value).partition("=")
        if not (sign and name):
            self.fail(f"{value!r} is not NAME=VALUE.", param, ctx)
        return name, rest


MOMENT, PAIR = Moment(), Pair()


def read_bytes(place: str) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises click's error for a file that cannot be read."""
    if place == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(place).read_bytes()
    except OSError as trouble:
        raise click.BadParameter(f"{place} cannot be read: {trouble.strerror}.") from None


def read_line(place: str) -> str:
    """The first line: a secret in a file of its own."""
    try:
        lines = read_bytes(place).decode().splitlines()
    except UnicodeDecodeError:
        raise click.BadParameter(f"{place} is no text.") from None
    if not lines or not lines[0].strip():
        raise click.BadParameter(f"{place} is empty.")
    return lines[0].strip()


def read_object(place: str) -> dict[str, Any]:
    try:
        value = json.loads(read_bytes(place))
    except ValueError as trouble:
        raise click.BadParameter(f"{place} is not JSON: {trouble}.") from None
    if not isinstance(value, dict):
        raise click.BadParameter(f"{place} holds no JSON object.")
    return value
