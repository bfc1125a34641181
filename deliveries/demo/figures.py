"""Everything the demo knows at one moment, system by system, as lines, as a table and as JSON."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deliveries.demo.letters import NO_LETTERS, Letters
from deliveries.demo.stream import Published
from deliveries.demo.systems import SYSTEMS
from deliveries.demo.tally import Seen

TITLES = {system.name: system.title for system in SYSTEMS} | {"": "All"}
STATUSES = ("delivered", "failed", "pending", "held", "cancelled")
HEAD = (
    *("", "published", "delivered", "verified", "e-mails", "SMS", "retried", "failed", "pending", "bad", "p50", "p95"),
)
LETTERS_OF = "paysera"
# The system whose merchant gets e-mails and SMS.


@dataclass(frozen=True, slots=True)
class Row:
    """One system, or all of them. `statuses` counts the run's deliveries as the platform has them."""

    title: str
    published: Published
    statuses: Mapping[str, int]
    seen: Seen
    letters: Letters = NO_LETTERS

    def line(self, *, is_last: bool = False) -> str:
        """What should not happen is shown when it does, and in the last line."""
        usual = [
            f"published {self.published.events:>6,}",
            f"delivered {self.statuses.get('delivered', 0):>6,}",
            f"verified {self.seen.verified:>6,} ({self.seen.verified_after_retry:,} after a retry)",
            *([f"e-mails {self.letters.emails:,}", f"SMS {self.letters.sms:,}"] if any(self.letters) else []),
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
        return f"{self.title:<15}" + "  ".join(filter(None, [*usual, *shown, self._latency()]))

    def cells(self) -> tuple[str, ...]:
        """Of the table, under HEAD."""
        counts = (
            *(self.published.events, self.statuses.get("delivered", 0), self.seen.verified, *self.letters),
            *(
                self.seen.retried,
                self.statuses.get("failed", 0),
                self.statuses.get("pending", 0),
                self.seen.bad_signatures,
            ),
        )
        return (self.title, *(f"{count:,}" for count in counts), _ms(self.seen.p50_ms), _ms(self.seen.p95_ms))

    def summary(self) -> dict[str, Any]:
        return {
            "published": self.published.events,
            "deliveries": self.published.deliveries,
            "publish_errors": self.published.errors,
            **{name: self.statuses.get(name, 0) for name in STATUSES},
            **asdict(self.seen),
            **self.letters._asdict(),
        }

    def _latency(self) -> str:
        if self.seen.p50_ms is None or self.seen.p95_ms is None:
            return ""
        return f"p50 {_ms(self.seen.p50_ms)}  p95 {_ms(self.seen.p95_ms)}"


@dataclass(frozen=True, slots=True)
class Figures:
    """Each by the systems' names; `statuses` too. `trouble` is what the demo itself has."""

    published: Mapping[str, Published]
    statuses: Mapping[str, Mapping[str, int]]
    seen: Mapping[str, Seen]
    letters: Letters = NO_LETTERS
    trouble: str = ""

    def rows(self) -> list[Row]:
        """The systems, then all of them together."""
        return [self._row(system.name) for system in SYSTEMS] + [self.total()]

    def total(self) -> Row:
        published = Published(
            events=sum(one.events for one in self.published.values()),
            deliveries=sum(one.deliveries for one in self.published.values()),
            errors=sum(one.errors for one in self.published.values()),
        )
        statuses = sum((Counter(one) for one in self.statuses.values()), Counter[str]())
        return Row(TITLES[""], published, statuses, self.seen.get("", Seen()), self.letters)

    def lines(self) -> list[str]:
        return [row.line() for row in self.rows()] + list(filter(None, [self.troubles()]))

    def last_lines(self) -> list[str]:
        *systems, total = [row.line(is_last=True) for row in self.rows()]
        return [*systems, f"demo ended: {total}"]

    def table(self) -> list[str]:
        cells = [HEAD, *(row.cells() for row in self.rows())]
        return [_aligned(row) for row in cells] + [self.troubles()]

    def troubles(self) -> str:
        """The one that is worth knowing now, empty if there is none."""
        return self.trouble or next((one.trouble for one in self.published.values() if one.trouble), "")

    def summary(self) -> dict[str, Any]:
        systems = {system.name: self._row(system.name).summary() for system in SYSTEMS}
        return {"systems": systems, "total": self.total().summary()}

    def _row(self, name: str) -> Row:
        statuses = self.statuses.get(name, {})
        letters = self.letters if name == LETTERS_OF else NO_LETTERS
        return Row(TITLES[name], self.published.get(name, Published()), statuses, self.seen.get(name, Seen()), letters)


def _aligned(cells: tuple[str, ...]) -> str:
    return f"{cells[0]:<14}" + "".join(f"{cell:>10}" for cell in cells[1:4]) + "".join(f"{c:>8}" for c in cells[4:])


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"
