"""`export_log`: writes a merchant's log into a file."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deliveries.models import Export
from deliveries.selectors import log_files
from deliveries.selectors.log_files import INCLUDABLE, Wanted
from deliveries.selectors.progress import within
from deliveries.services.exports import window
from subscriptions.errors import Refusal
from subscriptions.selectors import merchants

TELL_EVERY = 10_000
# Deliveries between two lines of progress.


class Command(BaseCommand):
    help = "Write a merchant's deliveries, oldest first, into a file. Tells its progress on standard error."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--merchant", required=True, metavar="R", help="the merchant's id or reference")
        parser.add_argument("--format", choices=Export.Format.values, default=Export.Format.NDJSON.value)
        parser.add_argument("--output", required=True, metavar="FILE", help="a new file, or - for standard output")
        parser.add_argument("--since", type=_moment, help="only deliveries since then, such as 2026-01-31T12:00Z")
        parser.add_argument("--until", type=_moment, help="only deliveries before then; by default all there are")
        parser.add_argument("--include", action="append", choices=INCLUDABLE, default=[], help="may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        now = timezone.now()
        try:
            merchant = merchants.get(options["merchant"])
            since, until = window(options["since"], options["until"], now=now)
        except Refusal as refusal:
            raise CommandError(refusal.detail) from None
        wanted = Wanted(
            owner_id=merchant.id,
            since=since,
            until=until,
            format=options["format"],
            include=frozenset(options["include"]),
        )
        with _opened(options["output"]) as file:
            self._write(wanted, file, until=min(until, now))

    def _write(self, wanted: Wanted, file: IO[bytes], *, until: datetime) -> None:
        file.write(log_files.head(wanted))
        after: UUID | None = None
        count, told = 0, 0
        is_end = False
        while not is_end:
            page = log_files.read(wanted, after=after)
            file.write(page.text)
            count, after = count + page.deliveries, page.last or after
            is_end = page.is_end
            if count - told >= TELL_EVERY:
                told = count
                self.stderr.write(f"{count} deliveries, {within(after, since=wanted.since, until=until):.0%}")
        self.stderr.write(f"done: {count} deliveries")


def _opened(name: str) -> Any:
    """Never over a file that is there."""
    if name == "-":
        return nullcontext(sys.stdout.buffer)
    try:
        return Path(name).open("xb")
    except OSError as trouble:
        raise CommandError(f"{name} cannot be written: {trouble.strerror}.") from None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError("this must be a time such as 2026-01-31T12:00Z") from None
