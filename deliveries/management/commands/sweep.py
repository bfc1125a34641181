"""`sweep`: wakes the lanes that a crash or a lost doorbell left asleep, as beat does every few seconds."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand

from deliveries.services import lane_check
from deliveries.services.sweep import sweep
from dispatcher.ids import Prefix, show


class Command(BaseCommand):
    help = "Wake every lane that has work and does not know it. Prints the endpoints' ids."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="also read all deliveries and lane entries, repair those that do not fit, and print their ids",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if options["check"]:
            repairs = lane_check.check()
            self._tell("put back", repairs.entered)
            self._tell("taken out", repairs.dropped)
        for endpoint_id in sweep():
            self.stdout.write(show(Prefix.ENDPOINT, endpoint_id))

    def _tell(self, what: str, ids: list[UUID]) -> None:
        for delivery_id in ids:
            self.stdout.write(f"{what} {show(Prefix.DELIVERY, delivery_id)}")
