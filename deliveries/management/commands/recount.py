"""`recount`: whether the statistics equal a recount of the attempts, and makes them equal."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from deliveries.services import merchant_retention, recount
from deliveries.services.alone import alone
from deliveries.services.recount import Counts, Difference
from dispatcher.ids import Prefix, show
from subscriptions.advisory_locks import AdvisoryLock

SHOWN = 100
# Differences told in words; JSON tells all.


class Command(BaseCommand):
    help = (
        "Count all attempts within RETENTION_DAYS again, or those since a time, and print every hourly count that "
        "differs. Exits with 1 when any does and was not repaired."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=_moment, help="begin with the hour of this time, such as 2026-01-31T12:00Z")
        parser.add_argument("--repair", action="store_true", help="make the hourly counts equal to what was counted")
        parser.add_argument("--yes", action="store_true", help="do not ask before the repair")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        # Older attempts may be gone, with the log of a merchant that keeps it for a shorter time; their counts stay.
        kept_since = merchant_retention.counted_since(now=timezone.now())
        since = recount.first_hour(kept_since=kept_since, asked=options["since"])
        with alone(AdvisoryLock.RECOUNT) as is_alone:
            if not is_alone:
                raise CommandError("Another recount is under way.")
            self._run(since, options)

    def _run(self, since: datetime, options: dict[str, Any]) -> None:
        count = recount.compare(since=since, told=self._tell_progress)
        if not options["json"]:
            self._print_words(since, count)
        is_wanted = bool(options["repair"] and count and (options["yes"] or _confirms(count)))
        if is_wanted:
            recount.repair(count=count)
        if options["json"]:
            self._print_json(since, is_repaired=is_wanted)
        elif is_wanted:
            self.stdout.write(f"{count} hourly counts repaired")
        if count and not is_wanted:
            raise CommandError(f"{count} hourly counts differ.")

    def _tell_progress(self, attempts: int) -> None:
        self.stderr.write(f"{attempts} attempts read")

    def _print_json(self, since: datetime, *, is_repaired: bool) -> None:
        found = [_shown(difference) for difference in recount.differences()]
        self.stdout.write(json.dumps({"since": _time(since), "differences": found, "repaired": is_repaired}))

    def _print_words(self, since: datetime, count: int) -> None:
        for difference in recount.differences(limit=SHOWN):
            self.stdout.write(_told(difference))
        if count > SHOWN:
            self.stdout.write(f"and {count - SHOWN} more")
        self.stdout.write(f"since {_time(since)}: {count} hourly counts differ")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError("this must be a time such as 2026-01-31T12:00Z") from None


def _confirms(count: int) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("There is nobody to ask: say --yes.")
    return input(f"Correct {count} hourly counts? [y/N] ").strip().lower() in {"y", "yes"}


def _shown(difference: Difference) -> dict[str, Any]:
    names = {"hour": _time(difference.hour), "endpoint": show(Prefix.ENDPOINT, difference.endpoint_id)}
    return names | {
        "event_type": difference.event_type,
        "kept": asdict(difference.kept),
        "found": asdict(difference.found),
    }


def _told(difference: Difference) -> str:
    endpoint = show(Prefix.ENDPOINT, difference.endpoint_id)
    kept, found = _in_words(difference.kept), _in_words(difference.found)
    if kept == found:
        kept, found = f"latencies {difference.kept.latencies}", f"{difference.found.latencies}"
    return f"{_time(difference.hour)} {endpoint} {difference.event_type}: kept {kept}, found {found}"


def _in_words(counts: Counts) -> str:
    return f"{counts.attempts} attempts ({counts.delivered} delivered, {counts.failed} failed)"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
