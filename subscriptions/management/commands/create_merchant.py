"""Registers a merchant."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from subscriptions.api import representations
from subscriptions.errors import Refusal
from subscriptions.services import merchants


class Command(BaseCommand):
    help = "Register a merchant and print it as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="as people read it")
        parser.add_argument("--reference", help="your own name for the merchant")
        parser.add_argument("--kind", help="merchant (the default), portfolio or reseller")
        parser.add_argument("--parent", help="id or reference of the portfolio or reseller above it")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        given = {name: options[name] for name in ("name", "reference", "kind", "parent") if options[name] is not None}
        try:
            row = merchants.create(data=given, now=timezone.now(), actor="system")
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from None
        shown = representations.merchant(row)
        self.stdout.write(json.dumps({name: shown[name] for name in ("id", "name", "reference", "kind", "parent")}))
