"""`seed_history`: a log of millions of deliveries, to measure with and to look at."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deliveries.history import seeding

DAYS = 30
MERCHANTS = 500


class Command(BaseCommand):
    help = (
        "Add a made-up history: merchants with endpoints, events, deliveries, attempts with bodies and the statistics "
        "of them. All of it is over: nothing of it is ever sent. The same seed makes the same history."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--deliveries", type=_count, required=True)
        parser.add_argument("--days", type=_count, default=min(DAYS, settings.RETENTION_DAYS), help="over so many days")
        parser.add_argument("--merchants", type=_count, default=MERCHANTS)
        parser.add_argument("--seed", type=int, default=1, help="for the random choices")
        parser.add_argument("--yes", action="store_true", help="also into a database that has events already")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if not options["yes"] and not seeding.is_empty():
            raise CommandError("There are events already. To add a made-up history to them, say --yes.")
        began = time.monotonic()
        steps = seeding.seed(
            deliveries=options["deliveries"],
            days=options["days"],
            merchants=options["merchants"],
            now=timezone.now(),
            random=Random(options["seed"]),  # noqa: S311 - nothing secret is made
        )
        step, told = None, None
        for step in steps:
            if step.day != told:
                told = step.day
                self.stdout.write(_line(step, time.monotonic() - began))
        if step is not None:
            self.stdout.write(f"done: {_line(step, time.monotonic() - began)}")


def _line(step: seeding.Progress, took_s: float) -> str:
    rate = step.deliveries / took_s
    return (
        f"{step.day:%Y-%m-%d}  {step.deliveries:,} deliveries, {step.events:,} events, {step.attempts:,} attempts"
        f"  {took_s:.0f} s, {rate:,.0f} deliveries/s"
    )


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError("a whole number from 1")
    return number
