"""Loads the ready catalogue of a payment system."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from subscriptions.errors import Refusal
from subscriptions.providers import PROVIDERS, Provider
from subscriptions.services import catalogues


class Command(BaseCommand):
    help = (
        "Add a payment system's event types, with schemas and examples, and the provider keys that its format signs "
        "with. May be repeated: what you changed stays. Prints a summary as JSON."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help=f"one of: {', '.join(PROVIDERS)}")
        parser.add_argument("--replace", action="store_true", help="bring types that you changed back to the catalogue")
        parser.add_argument("--strict", action="store_true", help="refuse payloads that do not fit the schema")
        parser.add_argument("--list", action="store_true", help="show what can be loaded")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        if options["list"]:
            self.stdout.write("\n".join(map(_line, PROVIDERS.values())))
            return
        provider = _find(options["name"])
        try:
            loaded = catalogues.load(
                provider,
                now=timezone.now(),
                actor="system",
                is_replacing=options["replace"],
                is_strict=options["strict"],
            )
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from None
        counts = {name: len(getattr(loaded, name)) for name in ("created", "updated", "unchanged")}
        self.stdout.write(json.dumps({"provider": provider.name, **counts, "differing": loaded.differing}))


def _find(name: str | None) -> Provider:
    if provider := PROVIDERS.get(name or ""):
        return provider
    known = ", ".join(PROVIDERS)
    raise CommandError(f"There is no catalogue {name}. Choose one of: {known}." if name else f"Name one of: {known}.")


def _line(provider: Provider) -> str:
    formats = ", ".join((provider.profile, *provider.other_profiles))
    return f"{provider.name:<10}{provider.title:<18}{len(provider.types):>3} event types  formats: {formats}"
