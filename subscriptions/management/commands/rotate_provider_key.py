"""Rotates one of the provider's own signing keys, or makes the first."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from subscriptions.errors import Refusal
from subscriptions.models import ProviderKey
from subscriptions.selectors import provider_keys as selectors
from subscriptions.services import provider_keys

HOUR = timedelta(hours=1)


class Command(BaseCommand):
    help = (
        "Make a new signing key of the provider and print it as JSON. It is published at once, signs after the lead, "
        "and the one before it goes on signing beside it for the overlap. The first key of a family signs at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("family", metavar="FAMILY", help="rsa, ed25519 or ec", choices=ProviderKey.Family.values)
        for name, default in (("lead", provider_keys.LEAD), ("overlap", provider_keys.OVERLAP)):
            shown = f"default {default // HOUR}"
            parser.add_argument(f"--{name}-hours", metavar="N", type=_hours, default=default, dest=name, help=shown)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        family, lead, overlap = options["family"], options["lead"], options["overlap"]
        now = timezone.now()
        if not options["yes"]:
            _confirm(_plan(family, lead=lead, overlap=overlap, now=now))
        try:
            rotated = provider_keys.rotate(family=family, lead=lead, overlap=overlap, now=now, actor="system")
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from None
        self.stdout.write(json.dumps(_shown(rotated), cls=DjangoJSONEncoder))


def _hours(text: str) -> timedelta:
    try:
        return timedelta(hours=float(text))
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text} is no number of hours") from None


def _plan(family: str, *, lead: timedelta, overlap: timedelta, now: datetime) -> str:
    current = selectors.find_current(family, now=now)
    if current is None:
        return f"There is no {family} key yet: the new one signs at once."
    return (
        f"A new {family} key is published at once and signs in {lead / HOUR:g} h. "
        f"{current.public_id} goes on signing beside it for {overlap / HOUR:g} h after that."
    )


def _confirm(plan: str) -> None:
    """Raises CommandError unless somebody at the terminal says yes."""
    if not sys.stdin.isatty():
        raise CommandError(f"{plan} Say --yes to do so where nobody can be asked.")
    sys.stderr.write(f"{plan} Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was changed.")


def _shown(rotated: provider_keys.Rotated) -> dict[str, Any]:
    row, previous = rotated.row, rotated.previous
    ends = previous and {"id": previous.public_id, "signs_until": previous.signs_until}
    return {"id": row.public_id, "family": row.family, "signs_from": row.signs_from, "previous": ends}
