"""Charts: numbers in, an SVG out that is drawn to scale, escapes what it is given and breaks no strict policy."""

import re
from xml.etree import ElementTree as ET

import pytest

from subscriptions.charts import (
    Bucket,
    Draw,
    Series,
    amount,
    area,
    legend,
    lines,
    scale_of,
    share,
    sparkline,
    stacked_bars,
    table,
)

SERIES = (Series("Delivered", "delivered"), Series("Failed", "failed"))
BUCKETS = [Bucket("00:00", (60, 20), tick="00:00"), Bucket("01:00", (0, 0)), Bucket("02:00", (100, 0), tick="02:00")]
NASTY = '<script>alert("x")</script>'


def rects(svg: str, kind: str) -> list[dict[str, str]]:
    return [rect.attrib for rect in ET.fromstring(svg).iter("rect") if rect.get("class") == f"chart-{kind}"]


def test_bars_stand_on_each_other_to_scale() -> None:
    svg = stacked_bars(BUCKETS, series=SERIES, label="Attempts", height=118)
    green, red = rects(svg, "delivered"), rects(svg, "failed")
    # 100 px for the plot, of which the top stands for 100.
    assert [(bar["y"], bar["height"]) for bar in green] == [("58", "60"), ("18", "100")]
    assert [(bar["y"], bar["height"]) for bar in red] == [("38", "20")]
    assert (red[0]["x"], red[0]["width"]) == (green[0]["x"], green[0]["width"]) == ("3.67%", "26%")


def test_one_failure_among_thousands_is_seen() -> None:
    svg = stacked_bars([Bucket("x", (10_000, 1))], series=SERIES, label="Attempts")
    assert [bar["height"] for bar in rects(svg, "failed")] == ["2"]


@pytest.mark.parametrize("draw", [stacked_bars, lines, area])
def test_a_bucket_names_itself_and_leads_on(draw: Draw) -> None:
    svg = draw([Bucket(NASTY, (1, 2), href="/log?a=1&b=2")], series=SERIES, label=NASTY, unit="ms")
    root = ET.fromstring(svg)
    (link,) = root.iter("a")
    assert (link.get("href"), link.get("tabindex")) == ("/log?a=1&b=2", "-1")
    assert link.findtext("title") == f"{NASTY}\nDelivered: 1 ms\nFailed: 2 ms"
    assert root.get("aria-label") == NASTY


def test_without_an_address_nothing_is_a_link() -> None:
    assert "<a " not in stacked_bars(BUCKETS, series=SERIES, label="x")


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    buckets = [Bucket("x", (value,)) for value in (1, 2, None, None, 3)]
    svg = lines(buckets, series=SERIES[:1], label="x")
    drawn = re.findall(r' d="([^"]+)"', svg)
    assert drawn == ["M10 66.67L30 33.33", "M85 0L95 0"]


def test_an_area_is_filled_down_to_the_axis() -> None:
    svg = area([Bucket("x", (5,)), Bucket("y", (10,))], series=SERIES[:1], label="x")
    assert re.findall(r' d="([^"]+)"', svg) == ["M25 100L25 50L75 0L75 100Z", "M25 50L75 0"]


def test_ticks_are_few_and_the_outermost_stay_inside() -> None:
    buckets = [Bucket(f"{n}", (n, 0), tick=f"{n:02d}:00") for n in range(24)]
    root = ET.fromstring(stacked_bars(buckets, series=SERIES, label="x"))
    ticks = [(one.text, one.get("text-anchor")) for one in root.iter("text") if one.get("class") == "chart-tick"]
    assert [text for text, _ in ticks] == ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00"]
    assert ticks[0][1] == "start"
    last = ET.fromstring(stacked_bars(buckets[:3], series=SERIES, label="x"))
    assert [one.get("text-anchor") for one in last.iter("text") if one.text == "02:00"] == ["end"]


@pytest.mark.parametrize("buckets", [[], [Bucket("x", (0, 0))], [Bucket("x", (None, None))]])
def test_a_chart_of_nothing_is_drawn_all_the_same(buckets: list[Bucket]) -> None:
    for draw in (stacked_bars, lines, area):
        ET.fromstring(draw(buckets, series=SERIES, label="x"))
    ET.fromstring(sparkline([value for bucket in buckets for value in bucket.values]))


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (0.07, 0.08), (1, 1), (1.2, 1.5), (99, 100), (100, 100), (101, 150), (7_000, 8_000)]
)
def test_the_top_is_a_round_number_that_holds_all(highest: float, top: float) -> None:
    assert scale_of(highest) == pytest.approx(top)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (3, "3"), (0.08912, "0.089"), (12.34, "12.3"), (1234.5, "1,234"), (2_000_000, "2,000,000")],  # noqa: RUF001
)
def test_amounts_are_short(value: float | None, text: str) -> None:
    assert amount(value) == text


def test_a_sparkline_is_decoration_unless_it_is_named() -> None:
    assert ET.fromstring(sparkline([1, 2])).get("aria-hidden") == "true"
    named = ET.fromstring(sparkline([1, 2], label=NASTY))
    assert (named.get("role"), named.get("aria-label")) == ("img", NASTY)


@pytest.mark.parametrize(("part", "width"), [(-1, "0%"), (0.256, "25.6%"), (7, "100%")])
def test_a_share_stays_in_its_place(part: float, width: str) -> None:
    assert rects(share(part), "accent")[0]["width"] == width


def test_the_table_says_the_same_newest_first() -> None:
    html = table([Bucket("a", (1, 2), href="/x"), Bucket(NASTY, (None, 4))], series=SERIES, heading="Hour", caption="C")
    root = ET.fromstring(html)
    cells = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    assert cells == [["Hour", "Delivered", "Failed"], [NASTY, "–", "4"], ["a", "1", "2"]]  # noqa: RUF001
    assert [link.get("href") for link in root.iter("a")] == ["/x"]


def test_nothing_has_a_style_of_its_own() -> None:
    parts = [draw(BUCKETS, series=SERIES, label="x") for draw in (stacked_bars, lines, area)]
    parts += [sparkline([1, 2]), share(0.5), legend(SERIES), table(BUCKETS, series=SERIES, heading="h", caption="c")]
    for part in parts:
        assert re.findall(r"\s(style|on\w+)=|<style|<script", part) == []
