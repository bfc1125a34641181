"""What the demo says: how to get in, and how it goes."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from django.urls import reverse

from deliveries.demo.access import Access
from deliveries.demo.cast import ENDPOINTS, MERCHANTS, SHOWN_MERCHANT
from deliveries.demo.receiving import TROUBLED_PATHS, Seen
from deliveries.demo.stream import Published

IN_PLACE_EVERY_S = 1.0
PLAIN_EVERY_S = 5.0
# A pipe keeps every line: often enough to see it live, seldom enough to leave room for what others say.
RULE = "-" * 78
CLEAR_LINE = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything the demo knows at one moment. `statuses` counts the run's deliveries as the platform has them."""

    published: Published
    statuses: Mapping[str, int]
    seen: Seen
    trouble: str = ""

    def line(self, *, is_last: bool = False) -> str:
        """The live line. What should not happen is shown when it does, and in the last line."""
        usual = [
            f"published {self.published.events:,}",
            f"delivered {self.statuses.get('delivered', 0):,}",
            f"verified {self.seen.verified:,} ({self.seen.verified_after_retry:,} after a retry)",
            f"retried {self.seen.retried:,}",
            f"failed {self.statuses.get('failed', 0):,}",
            f"pending {self.statuses.get('pending', 0):,}",
        ]
        rare = {
            "held": self.statuses.get("held", 0),
            "unverified": self.seen.unverified,
            "bad signatures": self.seen.bad_signatures,
            "publish errors": self.published.errors,
        }
        shown = [f"{name} {count:,}" for name, count in rare.items() if count or is_last]
        trouble = "" if is_last else self.trouble or self.published.trouble
        return "  ".join(filter(None, [*usual, *shown, _latency(self.seen), trouble]))

    def summary(self) -> dict[str, Any]:
        return {
            "published": self.published.events,
            "deliveries": self.published.deliveries,
            "publish_errors": self.published.errors,
            **{name: self.statuses.get(name, 0) for name in ("delivered", "failed", "pending", "held", "cancelled")},
            **asdict(self.seen),
        }


class Screen:
    """One line that is rewritten in place on a terminal; a line every few seconds elsewhere."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._is_terminal = self._out.isatty()
        self.every_s = IN_PLACE_EVERY_S if self._is_terminal else PLAIN_EVERY_S

    def say(self, *lines: str) -> None:
        """Lines that stay."""
        self._out.write((CLEAR_LINE if self._is_terminal else "") + "".join(f"{line}\n" for line in lines))
        self._out.flush()

    def show(self, figures: Figures) -> None:
        if not self._is_terminal:
            self.say(figures.line())
            return
        # A line that wraps could not be taken back.
        width = shutil.get_terminal_size().columns - 1
        self._out.write(CLEAR_LINE + figures.line()[:width])
        self._out.flush()


def welcome(access: Access, *, url: str, receiver_url: str, rate: float) -> list[str]:
    """How to get in, and what to try. The keys are shown here and never again."""
    login = f"login {access.login}, " + (
        f"password {access.password}" if access.password else "with the password you set"
    )
    shown = next(merchant for merchant in MERCHANTS if merchant.reference == SHOWN_MERCHANT)
    troubled = ", ".join(sorted(TROUBLED_PATHS))
    return [
        RULE,
        f"A demo card platform: {len(MERCHANTS)} merchants, {len(ENDPOINTS)} endpoints, {rate:g} events a second",
        f"  Admin         {url}{reverse('admin:index')}  ({login})",
        f"  API           {url}/api/v2/",
        f"  Provider key  {access.provider_key}",
        f"  Merchant key  {access.merchant_key}  ({shown.name})",
        f"  Receiver      {receiver_url}  (verifies every signature; {troubled} fails now and then)",
        "Publish an event:",
        f"  {_publish_example(access.provider_key, url=url)}",
        "What became of it, as its merchant sees it:",
        f"  curl '{url}/api/v2/webhooks/events?limit=3' -H 'X-API-Token: {access.merchant_key}'",
        "Ctrl-C stops everything.",
        RULE,
    ]


def _publish_example(key: str, *, url: str) -> str:
    body = {"type": "invoice.paid", "merchant": SHOWN_MERCHANT, "payload": {"id": "inv_1", "total": "12.40"}}
    headers = f"-H 'X-API-Token: {key}' -H 'Content-Type: application/json'"
    return f"curl {url}/api/v2/events {headers} -d '{json.dumps(body)}'"


def _latency(seen: Seen) -> str:
    if seen.p50_ms is None or seen.p95_ms is None:
        return ""
    return f"p50 {seen.p50_ms:.0f} ms  p95 {seen.p95_ms:.0f} ms"
