"""Charts as inline SVG that needs no script and no style of its own: class names only, which charts.css colours.

Widths are percentages and heights are pixels, so that a chart is as wide as its place and its words keep their size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

PLOT_TOP_PX = 18
# Room above the highest bar for the number that the top line stands for.
TICKS_PX = 20
# Room under the axis for the names of buckets.
SMALLEST_PX = 2.0
# Of what is not nothing: one failure among ten thousand deliveries must be seen.
BAR_SHARE = 0.78
# Of its bucket's width; the rest is the gap to the next.
MAX_TICKS = 6
# As many short times as fit under a chart on a phone.
SCALES = (1, 1.5, 2, 3, 4, 5, 6, 8)
# Times a power of ten: what the top of a chart stands for, so that its half is a number that is read at a glance.
SPARK_WIDTH, SPARK_HEIGHT = 100, 24
# Units of a sparkline's own box, which is stretched to its place.


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart: `kind` is delivered, failed, retrying, held, accent or quiet (see charts.css)."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """One step along the axis: its full name, a value for each series (None: nothing known), where a click leads."""

    label: str
    values: Sequence[float | None]
    tick: str = ""
    href: str = ""

    @property
    def total(self) -> float:
        return sum(value or 0 for value in self.values)

    @property
    def highest(self) -> float:
        return max((value or 0 for value in self.values), default=0)


class Draw(Protocol):
    """What `stacked_bars`, `lines` and `area` have in common."""

    def __call__(self, buckets: Sequence[Bucket], *, series: Sequence[Series], label: str, unit: str) -> SafeString: ...


def stacked_bars(
    buckets: Sequence[Bucket], *, series: Sequence[Series], label: str, height: int = 160, unit: str = ""
) -> SafeString:
    """The first series at the bottom, the others on top of it. `label` says to a listener what the chart shows."""
    top = scale_of(max((bucket.total for bucket in buckets), default=0))
    width = 100 / max(len(buckets), 1)
    bars = _joined(
        _linked(bucket, _column(index, width, height), _bar(bucket, series, index, width, top, height), series, unit)
        for index, bucket in enumerate(buckets)
    )
    return _frame(top, bars, _ticks(buckets, height), label=label, height=height, unit=unit)


def lines(
    buckets: Sequence[Bucket],
    *,
    series: Sequence[Series],
    label: str,
    height: int = 160,
    unit: str = "",
    is_filled: bool = False,
) -> SafeString:
    """One line for each series; a bucket of which nothing is known leaves a gap."""
    top = scale_of(max((bucket.highest for bucket in buckets), default=0))
    plot = height - PLOT_TOP_PX
    width = 100 / max(len(buckets), 1)
    paths = _joined(
        _path([bucket.values[place] for bucket in buckets], one.kind, top=top, is_filled=is_filled)
        for place, one in enumerate(series)
    )
    drawn = format_html(
        '<svg class="chart-lines" x="0" y="{}" width="100%" height="{}" viewBox="0 0 100 100"'
        ' preserveAspectRatio="none">{}</svg>',
        PLOT_TOP_PX,
        plot,
        paths,
    )
    hovered = _joined(
        _linked(bucket, _column(index, width, height), EMPTY, series, unit) for index, bucket in enumerate(buckets)
    )
    shown = _joined((drawn, hovered))
    return _frame(top, shown, _ticks(buckets, height), label=label, height=height, unit=unit)


def area(
    buckets: Sequence[Bucket], *, series: Sequence[Series], label: str, height: int = 160, unit: str = ""
) -> SafeString:
    """Lines with what is under them filled."""
    return lines(buckets, series=series, label=label, height=height, unit=unit, is_filled=True)


def sparkline(values: Sequence[float | None], *, kind: str = "accent", label: str = "") -> SafeString:
    """A small line without axes. Without a label it is decoration: the figure beside it says what matters."""
    path = _path(values, kind, top=max((value or 0 for value in values), default=0) or 1, is_filled=True)
    heard = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="chart-spark" {} width="{}" height="{}" viewBox="0 -3 100 106" preserveAspectRatio="none">{}</svg>',
        heard,
        SPARK_WIDTH,
        SPARK_HEIGHT,
        path,
    )


def share(part: float, *, kind: str = "accent") -> SafeString:
    """A bar across its place, filled from the left: `part` is from 0 to 1. The number stands beside it."""
    return format_html(
        '<svg class="chart-share" aria-hidden="true" width="100%" height="8">'
        '<rect class="chart-column" width="100%" height="8"/><rect class="chart-{}" width="{}%" height="8"/></svg>',
        kind,
        _px(max(0.0, min(part, 1.0)) * 100),
    )


def legend(series: Iterable[Series]) -> SafeString:
    items = format_html_join("", '<li class="chart-key chart-{}">{}</li>', ((one.kind, one.name) for one in series))
    return format_html('<ul class="chart-legend">{}</ul>', items)


def table(
    buckets: Sequence[Bucket], *, series: Sequence[Series], heading: str, caption: str, unit: str = ""
) -> SafeString:
    """The same figures for those who read rather than look, newest first, behind a toggle."""
    head = format_html_join("", '<th scope="col" class="chart-number">{}</th>', ((one.name,) for one in series))
    rows = format_html_join(
        "", '<tr><th scope="row">{}</th>{}</tr>', (_row(bucket, unit) for bucket in reversed(buckets))
    )
    return format_html(
        '<details class="chart-table"><summary>As a table</summary><div class="chart-scroll" tabindex="0" role="region"'
        ' aria-label="{}"><table><caption>{}</caption><thead><tr><th scope="col">{}</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div></details>",
        caption,
        caption,
        heading,
        head,
        rows,
    )


def scale_of(highest: float) -> float:
    """What the top line stands for: the next of SCALES times a power of ten; 1 for a chart of nothing."""
    if highest <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= highest:
        power *= 10
    while power > highest:
        power /= 10
    return next((step * power for step in SCALES if step * power >= highest), 10 * power)


def amount(value: float | None, unit: str = "") -> str:
    """A number for reading: thousands apart, decimals only where they say something."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash, as the tables have it
    shown = (
        f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}" if value >= 1 else f"{value:.2g}"
    )
    return f"{shown} {unit}" if unit else shown


EMPTY = mark_safe("")


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def _frame(top: float, shown: SafeString, ticks: SafeString, *, label: str, height: int, unit: str) -> SafeString:
    """What the lines stand for is written last: a bar must not stand before it."""
    return format_html(
        '<svg class="chart" role="group" aria-label="{}" width="100%" height="{}">{}{}{}{}</svg>',
        label,
        height + TICKS_PX,
        _rules(height),
        shown,
        _amounts(top, height, unit),
        ticks,
    )


def _rules(height: int) -> SafeString:
    """Three lines: the top of the scale, its half and the axis."""
    kinds = zip(("rule", "rule", "axis"), (*_marks(height), height), strict=True)
    return format_html_join(
        "",
        '<line class="chart-{}" x1="0" x2="100%" y1="{}" y2="{}"/>',
        ((kind, _px(y), _px(y)) for kind, y in kinds),
    )


def _amounts(top: float, height: int, unit: str) -> SafeString:
    return format_html_join(
        "",
        '<text class="chart-amount" aria-hidden="true" x="0" y="{}">{}</text>',
        ((_px(y - 4), amount(value, unit)) for y, value in zip(_marks(height), (top, top / 2), strict=True)),
    )


def _marks(height: int) -> tuple[float, float]:
    return PLOT_TOP_PX, PLOT_TOP_PX + (height - PLOT_TOP_PX) / 2


def _ticks(buckets: Sequence[Bucket], height: int) -> SafeString:
    """Names under the axis, every so many buckets, the outermost inside the chart."""
    named = [(index, bucket.tick) for index, bucket in enumerate(buckets) if bucket.tick]
    step = max(1, -(-len(named) // MAX_TICKS))
    width = 100 / max(len(buckets), 1)
    return format_html_join(
        "",
        '<text class="chart-tick" aria-hidden="true" text-anchor="{}" x="{}%" y="{}">{}</text>',
        (
            (_anchor(index, len(buckets)), _px(_tick_place(index, len(buckets)) * width), height + TICKS_PX - 6, tick)
            for index, tick in named[::step]
        ),
    )


def _anchor(index: int, count: int) -> str:
    return "start" if index == 0 else "end" if index == count - 1 else "middle"


def _tick_place(index: int, count: int) -> float:
    return {0: 0.0, count - 1: float(count)}.get(index, index + 0.5)


def _column(index: int, width: float, height: int) -> SafeString:
    """What the pointer meets: the bucket's whole height, so that a low bar is as easy to point at as a high one."""
    return format_html(
        '<rect class="chart-column" x="{}%" y="{}" width="{}%" height="{}"/>',
        _px(index * width),
        PLOT_TOP_PX,
        _px(width),
        height - PLOT_TOP_PX,
    )


def _bar(bucket: Bucket, series: Sequence[Series], index: int, width: float, top: float, height: int) -> SafeString:
    plot, y, pieces = height - PLOT_TOP_PX, float(height), []
    for one, value in zip(series, bucket.values, strict=True):
        if not value:
            continue
        tall = max(value / top * plot, SMALLEST_PX)
        y -= tall
        pieces.append((one.kind, _px((index + (1 - BAR_SHARE) / 2) * width), _px(y), _px(width * BAR_SHARE), _px(tall)))
    return format_html_join("", '<rect class="chart-{}" x="{}%" y="{}" width="{}%" height="{}"/>', pieces)


def _linked(bucket: Bucket, column: SafeString, drawn: SafeString, series: Sequence[Series], unit: str) -> SafeString:
    """The bucket under its name. Not a stop for the Tab key: the table has the same links, one after the other."""
    values = zip(series, bucket.values, strict=True)
    named = "\n".join((bucket.label, *(f"{one.name}: {amount(value, unit)}" for one, value in values)))
    inner = format_html("<title>{}</title>{}{}", named, column, drawn)
    if not bucket.href:
        return format_html('<g class="chart-bucket">{}</g>', inner)
    return format_html('<a class="chart-bucket" href="{}" tabindex="-1">{}</a>', bucket.href, inner)


def _path(values: Sequence[float | None], kind: str, *, top: float, is_filled: bool) -> SafeString:
    """Through the middle of each bucket, in a box of 100 by 100; runs without a gap are drawn one by one."""
    width = 100 / max(len(values), 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(((index + 0.5) * width, 100 - value / top * 100))
    return _joined(_run(run, kind, width, is_filled=is_filled) for run in runs if run)


def _run(run: Sequence[tuple[float, float]], kind: str, width: float, *, is_filled: bool) -> SafeString:
    if len(run) == 1:
        (x, y), reach = run[0], width / 4
        run = ((x - reach, y), (x + reach, y))
    steps = "L".join(f"{_px(x)} {_px(y)}" for x, y in run)
    line = format_html('<path class="chart-line chart-{}" vector-effect="non-scaling-stroke" d="M{}"/>', kind, steps)
    if not is_filled:
        return line
    filled = f"M{_px(run[0][0])} 100L{steps}L{_px(run[-1][0])} 100Z"
    return format_html('<path class="chart-fill chart-{}" d="{}"/>{}', kind, filled, line)


def _row(bucket: Bucket, unit: str) -> tuple[SafeString | str, SafeString]:
    name = format_html('<a href="{}">{}</a>', bucket.href, bucket.label) if bucket.href else bucket.label
    cells = ((amount(value, unit),) for value in bucket.values)
    return name, format_html_join("", '<td class="chart-number">{}</td>', cells)


def _px(value: float) -> str:
    """Two decimals are finer than a screen; a trailing zero is only weight."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
