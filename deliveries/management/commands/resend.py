"""`resend`: sends all deliveries of one event again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deliveries.services import replay
from dispatcher.ids import Prefix, show
from subscriptions.errors import Refusal


class Command(BaseCommand):
    help = "Send an event again to every endpoint it was owed to, whoever owns it. Prints the deliveries' ids."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event", help="the event's id, ours or the provider's own")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        try:
            resent = replay.resend(event=options["event"], owner_id=None, actor="system", now=timezone.now())
        except Refusal as refusal:
            raise CommandError(refusal.detail) from None
        for delivery_id in resent:
            self.stdout.write(show(Prefix.DELIVERY, delivery_id))
