"""`sweep`: wakes the lanes that a crash or a lost doorbell left asleep, as beat does every few seconds."""

from typing import Any

from django.core.management.base import BaseCommand

from deliveries.services.sweep import sweep
from dispatcher.ids import Prefix, show


class Command(BaseCommand):
    help = "Wake every lane that has work and does not know it. Prints the endpoints' ids."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        for endpoint_id in sweep():
            self.stdout.write(show(Prefix.ENDPOINT, endpoint_id))
