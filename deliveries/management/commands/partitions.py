"""`partitions`: how the ledger is cut into days, and how large each is; makes those of the next days."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deliveries.selectors.partitions import LEDGER, Partition, partitions
from deliveries.services import partitions as partitioning

UNITS = ("B", "kB", "MB", "GB", "TB")
STEP = 1024
LINE = "{:<12} {:<23} {:>10} {:>10} {:>10}"


class Command(BaseCommand):
    help = "List the partitions of events, deliveries and attempts with their sizes, or make those of the next days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("list", "make"), nargs="?", default="list")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if options["action"] == "make":
            self._make()
            return
        self.stdout.write(LINE.format("partition", "days (UTC)", *(table.name.rpartition("_")[2] for table in LEDGER)))
        found = partitions()
        for partition in found:
            self.stdout.write(LINE.format(partition.name, _days(partition), *map(in_units, partition.sizes)))
        total = in_units(sum(sum(partition.sizes) for partition in found))
        self.stdout.write(f"{len(found)} partitions, {total}")

    def _make(self) -> None:
        try:
            made = partitioning.make_ahead(now=timezone.now())
        except partitioning.LedgerBusy as busy:
            raise CommandError(str(busy)) from None
        days = ", ".join(map(str, made))
        self.stdout.write(f"made: {days}" if made else "nothing to make: the next days have partitions")


def _days(partition: Partition) -> str:
    if partition.first is None:
        return f"before {partition.end}"
    if partition.end is None:
        return f"{partition.first} and after"
    length = (partition.end - partition.first).days
    return str(partition.first) if length == 1 else f"{partition.first}, {length} days"


def in_units(size: float) -> str:
    """Bytes as people read them, e.g. `1.5 GB`."""
    unit = 0
    while size >= STEP and unit < len(UNITS) - 1:
        size, unit = size / STEP, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 else f"{size:.1f} {UNITS[unit]}"
