"""`publish`: publishes one event and prints the answer."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from deliveries.api.representations import accepted
from deliveries.services import publish
from subscriptions.errors import Invalid, Refusal


class Command(BaseCommand):
    help = "Publish one event. The payload is delivered byte for byte as it stands in the file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("type", help="the event type, e.g. invoice.paid")
        parser.add_argument("--merchant", required=True, metavar="R", help="the merchant's id or reference")
        parser.add_argument("--account", metavar="A", help="the account that the event is about")
        parser.add_argument(
            "--payload", required=True, metavar="FILE", help="a file with JSON, or - for standard input"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        payload = _read(options["payload"])
        try:
            answer = publish(options["type"], payload, merchant=options["merchant"], account=options["account"])
        except Invalid as refusal:
            faults = [f"{fault.pointer.removeprefix('/events/0/')}: {fault.message}" for fault in refusal.errors]
            raise CommandError("\n".join(faults)) from None
        except Refusal as refusal:
            raise CommandError(refusal.detail) from None
        self.stdout.write(json.dumps(accepted(answer)))


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as trouble:
        raise CommandError(f"{name} cannot be read: {trouble.strerror}.") from None
