"""Makes an API key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from subscriptions.errors import NotFound
from subscriptions.selectors import merchants
from subscriptions.services import keys


class Command(BaseCommand):
    help = "Make an API key and print it, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--provider", metavar="NAME", help="a provider key of this name")
        whose.add_argument("--merchant", metavar="R", help="a key for the merchant with this id or reference")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        try:
            merchant = merchants.get(options["merchant"]) if options["merchant"] is not None else None
        except NotFound as refusal:
            raise CommandError(refusal.detail) from None
        name = options["provider"] or "Command line"
        made = keys.create(name=name, merchant=merchant, now=timezone.now(), actor="system")
        self.stdout.write(made.text)
