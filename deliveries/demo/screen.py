"""What the demo says: how to get in, and how it goes."""

import json
import shutil
import sys
from typing import TextIO

from django.urls import reverse

from deliveries.demo.access import Access
from deliveries.demo.figures import Figures
from deliveries.demo.receiving import TROUBLES
from deliveries.demo.systems import SHOWN_MERCHANT, SYSTEMS

IN_PLACE_EVERY_S = 1.0
PLAIN_EVERY_S = 5.0
# A pipe keeps every line: often enough to see it live, seldom enough to leave room for what others say.
RULE = "-" * 78


class Screen:
    """A table that is redrawn in place on a terminal; elsewhere a line for each system every few seconds."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._is_terminal = self._out.isatty()
        self._drawn = 0
        self.every_s = IN_PLACE_EVERY_S if self._is_terminal else PLAIN_EVERY_S

    def say(self, *lines: str) -> None:
        """Lines that stay."""
        self._write(self._undrawn(), lines)

    def show(self, figures: Figures) -> None:
        if not self._is_terminal:
            self.say(*figures.lines())
            return
        # A line that wraps could not be taken back.
        width = shutil.get_terminal_size().columns - 1
        table = [line[:width] for line in figures.table()]
        self._write(self._undrawn(), table)
        self._drawn = len(table)

    def _undrawn(self) -> str:
        """What takes the table away: up to its first line, and everything from there cleared."""
        drawn, self._drawn = self._drawn, 0
        return f"\x1b[{drawn}F\x1b[J" if drawn else ""

    def _write(self, start: str, lines: tuple[str, ...] | list[str]) -> None:
        self._out.write(start + "".join(f"{line}\n" for line in lines))
        self._out.flush()


def welcome(access: Access, *, url: str, receiver_url: str, rate: float) -> list[str]:
    """How to get in, and what to try. The keys are shown here and never again."""
    portal = "; ".join(_login(name, password) for name, password in access.portal_passwords.items())
    merchants = {merchant.reference: merchant for system in SYSTEMS for merchant in system.merchants}
    webhooks = sum(len(system.webhooks) for system in SYSTEMS)
    return [
        RULE,
        f"{len(SYSTEMS)} payment systems side by side: {', '.join(system.title for system in SYSTEMS)}",
        f"  {len(merchants)} merchants, {webhooks} webhooks, {rate:g} events a second",
        f"  Admin         {url}{reverse('admin:index')}  ({_login(access.login, access.password)})",
        f"  Portal        {url}{reverse('portal')}  ({portal})",
        f"  API           {url}/api/v2/",
        f"  Provider key  {access.provider_key}",
        f"  Merchant key  {access.merchant_key}  ({merchants[SHOWN_MERCHANT].name})",
        f"  Public keys   {url}/.well-known/webhook-keys",
        f"  Receiver      {receiver_url}  (verifies every delivery as its system's merchants do)",
        "Have trouble now and then, so that retries are seen:",
        f"  {'  '.join(sorted(TROUBLES))}",
        "Publish an event:",
        f"  {_publish_example(access.provider_key, url=url)}",
        "What became of it, as its merchant sees it:",
        f"  curl '{url}/api/v2/webhooks/events?limit=3' -H 'X-API-Token: {access.merchant_key}'",
        "Ctrl-C stops everything.",
        RULE,
    ]


def _login(name: str, password: str | None) -> str:
    return f"login {name}, " + (f"password {password}" if password else "with the password you set")


def _publish_example(key: str, *, url: str) -> str:
    body = {"type": "card_state", "merchant": SHOWN_MERCHANT, "payload": {"id": "card-1", "status": "blocked"}}
    headers = f"-H 'X-API-Token: {key}' -H 'Content-Type: application/json'"
    return f"curl {url}/api/v2/events {headers} -d '{json.dumps(body)}'"
