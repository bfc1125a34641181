"""Adds an event type to the catalogue."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dispatcher.strict_json import UnreadableJson, check_json
from subscriptions.errors import Refusal
from subscriptions.services import event_types


class Command(BaseCommand):
    help = "Add an event type to the catalogue and print its name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="groups joined by dots, such as invoice.paid")
        parser.add_argument("--example", metavar="FILE", type=Path, help="a JSON file with an example payload")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        try:
            given = {"name": options["name"]} | _example(options["example"])
            row = event_types.create(data=given, now=timezone.now(), actor="system")
        except (OSError, UnreadableJson) as trouble:
            raise CommandError(f"The example cannot be read: {trouble}") from None
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from None
        self.stdout.write(row.name)


def _example(file: Path | None) -> dict[str, Any]:
    return {} if file is None else {"example": check_json(file.read_bytes())}
