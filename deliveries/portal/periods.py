"""The periods that figures are shown for, and the steps that their charts have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deliveries.selectors.statistics import HOUR, Figures, hour_of

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """The last so many hours, the present one among them, in steps of so many."""

    name: str
    words: str
    span: timedelta
    step: timedelta

    def since(self, now: datetime) -> datetime:
        """A whole number of steps; the present one is not over."""
        return self.until(now) - self.span

    def until(self, now: datetime) -> datetime:
        hour = hour_of(now) + HOUR
        return hour if self.step < DAY else hour.replace(hour=0) + DAY if hour.hour else hour

    def starts(self, now: datetime) -> list[datetime]:
        since = self.since(now)
        return [since + self.step * number for number in range(int(self.span / self.step))]

    def gather(self, series: Mapping[datetime, Figures], now: datetime) -> dict[datetime, Figures]:
        """The hours or days of a series, added up for each step."""
        since, steps = self.since(now), {start: Figures() for start in self.starts(now)}
        for start, figures in series.items():
            steps[since + (start - since) // self.step * self.step].add(figures)
        return steps


PERIODS: Sequence[Period] = (
    Period("24h", "24 hours", DAY, HOUR),
    Period("7d", "7 days", 7 * DAY, timedelta(hours=6)),
    Period("30d", "30 days", 30 * DAY, DAY),
)


def chosen(name: str | None) -> Period:
    """The named one, or the first."""
    return next((period for period in PERIODS if period.name == name), PERIODS[0])
