"""Figures, marks and the table that they end up in."""
# ruff: noqa: RUF001 - typographic signs belong in a table

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HEADINGS = ("bench", "median (min–max)", "compared with", "ratio", "mark", "met")


@dataclass(frozen=True, slots=True)
class Figure:
    """One value for each run."""

    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{_number(self.median)}{self.unit}"
        return f"{_number(self.median)}{self.unit} ({_number(min(self.values))}–{_number(max(self.values))})"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `is_met` is None for what has no mark and is told for the record."""

    bench: str
    figure: Figure
    comparison: str = ""
    ratio: str = ""
    mark: str = ""
    is_met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        met = "" if self.is_met is None else "yes" if self.is_met else "no"
        return (self.bench, str(self.figure), self.comparison, self.ratio, self.mark, met)


@dataclass(slots=True)
class Report:
    """What a whole run found."""

    machine: str
    receiver: str = ""
    rows: list[Row] = field(default_factory=list)

    def plain(self) -> str:
        lines = [HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:], "", self.footer()])

    def markdown(self, *, is_whole: bool = True) -> str:
        """The table; without `is_whole` only the rows that have a mark."""
        rows = [row for row in self.rows if is_whole or row.mark]
        lines = [
            f"| {' | '.join(cells)} |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows))
        ]
        return "\n".join([*lines, "", self.footer()])

    def footer(self) -> str:
        return f"{self.machine}. Receiver: {self.receiver}." if self.receiver else f"{self.machine}."


def at_least(bench: str, figure: Figure, rival: Figure, *, name: str, factor: float) -> Row:
    """A rate that shall be so many times another's."""
    ratio = figure.median / rival.median
    text = f"{ratio:.0%}" if factor < 1 else f"{ratio:.1f}×"
    mark = f"≥ {factor:.0%}" if factor < 1 else f"≥ {factor:g}×"
    return Row(bench, figure, f"{name}: {rival}", text, mark, ratio >= factor)


def compared(bench: str, figure: Figure, rival: Figure, *, name: str) -> Row:
    """For the record: there is no mark."""
    return Row(bench, figure, f"{name}: {rival}", f"{figure.median / rival.median:.1f}×")


def at_most(bench: str, figure: Figure, rival: Figure, *, name: str, factor: float) -> Row:
    """A cost that shall be at most so many times another's."""
    ratio = figure.median / rival.median
    return Row(bench, figure, f"{name}: {rival}", f"{ratio:.1f}×", f"≤ {factor:g}×", ratio <= factor)


def below(bench: str, figure: Figure, *, limit: float, comparison: str = "", anchor: float = 0.0) -> Row:
    """A figure that shall stay below a limit; `anchor` is what somebody else published."""
    ratio = f"{anchor / figure.median:.0f}× better" if anchor else ""
    return Row(bench, figure, comparison, ratio, f"≤ {limit:g}{figure.unit}", figure.median <= limit)


def percentile(values: Sequence[float], share: float) -> float:
    """By the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def describe_machine(postgres: str, redis: str, day: str) -> str:
    return (
        f"{_processor()}, {_cores()} cores, {platform.system()} {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, PostgreSQL {postgres}, {redis}, {day}"
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{round(value, -1):,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
