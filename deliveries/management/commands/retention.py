"""`retention`: deletes what is older than RETENTION_DAYS."""

import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deliveries.services import merchant_retention, retention


class Command(BaseCommand):
    help = (
        "Delete events older than RETENTION_DAYS with their deliveries and attempts, statistics of that age, and "
        "expired idempotency keys; then what merchants keep for a shorter time. Nothing that is pending is deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        now = timezone.now()
        before = now - timedelta(days=settings.RETENTION_DAYS)
        if not options["yes"]:
            _confirm(f"Delete all events published before {before:%Y-%m-%d %H:%M} UTC? [y/N] ")
        total = retention.Deleted()
        for step in retention.purge(before=before, now=now):
            total += step
            self.stdout.write(_told(total))
        shorter = merchant_retention.Purged()
        for purged in merchant_retention.purge(now=now):
            shorter += purged
            self.stdout.write(_told_of_merchants(shorter))
        self.stdout.write(f"done: {_told(total)}")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("There is nobody to ask: say --yes.")
    if input(question).strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was deleted.")


def _told(deleted: retention.Deleted) -> str:
    counts = (deleted.events, deleted.deliveries, deleted.attempts, deleted.counts, deleted.keys)
    return "{} events, {} deliveries, {} attempts, {} hourly counts, {} keys deleted".format(*counts)


def _told_of_merchants(purged: merchant_retention.Purged) -> str:
    counts = (purged.events, purged.deliveries, purged.attempts)
    return "of merchants with a shorter time: {} events, {} deliveries, {} attempts deleted".format(*counts)
