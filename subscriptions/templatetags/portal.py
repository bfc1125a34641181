"""The small pieces that every page of the portal shows alike: times, states, ids, figures, icons."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix, show

register = template.Library()

HEAD, TAIL = 8, 5
# Characters of an id that stay when its middle is left out: the prefix and enough to tell neighbours apart.
DASH = "–"  # noqa: RUF001 - as in a table's empty cell
STATE_WORDS = {
    "pending": ("retrying", "Pending"),
    "retrying": ("retrying", "Retrying"),
    "delivered": ("delivered", "Delivered"),
    "failed": ("failed", "Failed"),
    "held": ("held", "Held"),
    "cancelled": ("held", "Cancelled"),
    "active": ("delivered", "Active"),
    "failing": ("failed", "Failing"),
    "paused": ("held", "Paused"),
    "disabled": ("failed", "Disabled"),
    "unconfirmed": ("retrying", "Not confirmed"),
    "unreadable": ("failed", "Secret unreadable"),
    "running": ("retrying", "Running"),
    "finished": ("delivered", "Finished"),
    "stopped": ("held", "Stopped"),
    "revoked": ("held", "Revoked"),
    "expired": ("held", "Expired"),
}


@register.simple_tag
def state(name: str, word: str = "") -> SafeString:
    """A dot and a word; never the colour alone."""
    kind, usual = STATE_WORDS.get(name, ("held", name.capitalize()))
    return format_html('<span class="state state-{}">{}</span>', kind, word or usual)


@register.simple_tag
def moment(value: datetime | None, style: str = "ago") -> SafeString:
    """A time. The page's script turns it into the viewer's zone; without it the words are UTC.

    `ago` shows how long ago (or in how long), `at` date and time, `clock` the time with seconds; the pointer shows the
    exact local time and UTC.
    """
    if value is None:
        return format_html('<span class="quiet">{}</span>', DASH)
    exact = value.astimezone(UTC)
    match style:
        case "ago":
            text = _ago(exact, timezone.now())
        case "countdown":
            text = _until(exact, timezone.now())
        case _:
            text = f"{exact:%-d %b %Y, %H:%M:%S} UTC"
    return format_html(
        '<time datetime="{}" data-time="{}" title="{}">{}</time>',
        exact.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        style,
        f"{exact:%Y-%m-%d %H:%M:%S} UTC",
        text,
    )


@register.simple_tag
def countdown(value: datetime | None) -> SafeString:
    """The time until a moment, counted down by the page's script."""
    return moment(value, "countdown") if value else SafeString("")


def _ago(value: datetime, now: datetime) -> str:
    distance = abs(now - value)
    words = _length(distance)
    if distance < timedelta(seconds=5):
        return "now"
    return f"{words} ago" if value <= now else f"in {words}"


def _until(value: datetime, now: datetime) -> str:
    return f"in {span(value - now)}" if value > now else "now"


def _length(distance: timedelta) -> str:
    seconds = int(distance.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@register.filter
def span(value: float | timedelta | None) -> str:
    """Seconds, or a timedelta, in words: `45 s`, `2 min 40 s`, `8 h`."""
    if value is None:
        return DASH
    seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"


@register.simple_tag
def ident(value: str, href: str = "") -> SafeString:
    """An id, short in the middle, with a button that copies all of it."""
    short = value if len(value) <= HEAD + TAIL + 3 else f"{value[:HEAD]}…{value[-TAIL:]}"
    shown = format_html('<a href="{}">{}</a>', href, short) if href else format_html("<span>{}</span>", short)
    return format_html('<span class="ident" title="{}">{}{}</span>', value, shown, copy(value))


@register.simple_tag
def public_id(prefix: str, value: UUID) -> str:
    """`ep_…` and the like."""
    return show(Prefix(prefix), value)


@register.simple_tag
def copy(value: str, label: str = "Copy") -> SafeString:
    """A button that puts the text on the clipboard. Hidden where scripts do not run."""
    return format_html(
        '<button type="button" class="copy" data-copy="{}" aria-label="{}">{}</button>',
        value,
        f"{label} {value}" if len(value) <= 60 else label,
        icon("copy"),
    )


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html(
        '<svg class="icon" width="16" height="16" aria-hidden="true"><use href="{}#{}"/></svg>',
        static("portal/icons.svg"),
        name,
    )


@register.filter
def percent(value: float | None) -> str:
    """A share of one: `99.2 %`; never rounded up to 100 or down to 0."""
    if value is None:
        return DASH
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    return f"{min(max(round(value * 100, 1), 0.1), 99.9):.1f} %"


@register.filter
def change(value: float) -> str:
    """A relative change: `12 % more`, `3.4 times as much`; less than half a percent is none."""
    if abs(value) < 0.005:
        return "the same"
    if value >= 2:
        return f"{value + 1:.1f} times as much"
    return f"{abs(value) * 100:.0f} % {'more' if value > 0 else 'less'}"


@register.filter
def points(value: float) -> str:
    """A change of a share, in points of a hundred."""
    if abs(value) < 0.0005:
        return "the same"
    return f"{abs(value) * 100:.1f} points {'higher' if value > 0 else 'lower'}"


@register.filter
def ms(value: float | None) -> str:
    """Milliseconds: `0.8 ms`, `42 ms`, `1.25 s`."""
    if value is None:
        return DASH
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


@register.filter
def count(value: int | None) -> str:
    return DASH if value is None else f"{value:,}".replace(",", " ")


@register.filter
def pretty_json(value: Any) -> str:
    """JSON to read: indented, in its own order, text as it is."""
    return json.dumps(value, ensure_ascii=False, indent=2)


@register.simple_tag(takes_context=True)
def here(context: template.Context, **changes: Any) -> str:
    """This page's address with some of its query changed; None or an empty text takes a name away."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            query.pop(name, None)
        else:
            query[name] = str(value)
    text = query.urlencode()
    return f"{context['request'].path}?{text}" if text else context["request"].path
