"""Sample texts and numbers within the bounds of a schema."""

import math
from decimal import Decimal
from typing import Any

from dispatcher.schemas.merging import Merged
from dispatcher.schemas.patterns import Unreadable, fitting

FORMATS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-11",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "jane@example.com",
    "idn-email": "jane@example.com",
    "hostname": "www.example.com",
    "idn-hostname": "www.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/path",
    "iri": "https://example.com/",
    "iri-reference": "/path",
    "uri-template": "https://example.com/{id}",
    "json-pointer": "/name",
    "relative-json-pointer": "1/name",
    "regex": "^a$",
    "uuid": "019c0f3e-5c00-7000-8000-000000000001",
}
MOST_CHARACTERS = 10_000
# A sample with longer texts is none that anybody reads.


def texts(schema: Merged, *, variant: int) -> list[str]:
    """Proposals, the likeliest first. A variant is another text of the same form, where the form leaves room."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", MOST_CHARACTERS)
    if least > MOST_CHARACTERS:
        return []
    if "pattern" in schema:
        return _fitting(schema["pattern"], range(variant, variant + 3), least)
    if made := FORMATS.get(schema.get("format", "")):
        return [_vary(made, variant)]
    suffix = str(variant) if variant else ""
    text = ("text" + suffix).ljust(int(least), "x") if most >= len("text") else "abc"[variant % 3 :]
    return [text[-int(most) :] if most else ""]


def _fitting(pattern: str, extras: range, least: float) -> list[str]:
    proposals = []
    try:
        for extra in [*extras, int(least), max(0, int(least) - 1)]:
            made = fitting(pattern, extra=extra)
            proposals += [made, made.ljust(int(least), "0"), made.ljust(int(least), "a")]
    except Unreadable:
        pass
    return proposals


def _vary(text: str, variant: int) -> str:
    """Another date, address or id: a later last digit."""
    if not variant or not any(character.isdecimal() for character in text):
        return text if not variant else text.replace("example", f"example{variant}")
    last = max(place for place, character in enumerate(text) if character.isdecimal())
    return f"{text[:last]}{(int(text[last]) + variant) % 10}{text[last + 1 :]}"


def number(schema: Merged, *, is_whole: bool, variant: int) -> float | int:
    """1 where it is allowed, else the number nearest to the lower bound, or to the upper one. The validator judges."""
    low, high = _bounds(schema)
    grid = _grid(schema, is_whole=is_whole)
    gap = grid or _gap(low, high)
    if low is not None:
        value = low
    elif high is not None:
        value = high - gap
    else:
        value = Decimal(1)
    if (low is None or low < 1) and (high is None or high > 1):
        value = Decimal(1)
    if grid:
        value = math.ceil(value / grid) * grid
    if low is not None and value <= low and not _is_allowed(schema, "minimum", "exclusiveMinimum", low):
        value += gap
    value += gap * variant
    return int(value) if value == value.to_integral_value() else float(value)


def _bounds(schema: Merged) -> tuple[Decimal | None, Decimal | None]:
    """Draft 4 has booleans for exclusiveMinimum and exclusiveMaximum."""
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if _is_number(schema.get(name))]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if _is_number(schema.get(name))]
    return (Decimal(str(max(lows))) if lows else None, Decimal(str(min(highs))) if highs else None)


def _grid(schema: Merged, *, is_whole: bool) -> Decimal | None:
    """What a value must be a multiple of."""
    if not _is_number(schema.get("multipleOf")):
        return Decimal(1) if is_whole else None
    step = Decimal(str(schema["multipleOf"]))
    return step * _denominator(step) if is_whole else step


def _denominator(step: Decimal) -> int:
    return step.as_integer_ratio()[1]


def _gap(low: Decimal | None, high: Decimal | None) -> Decimal:
    """A step that stays below the upper bound, a few variants included."""
    return Decimal(1) if low is None or high is None else (high - low) / 16


def _is_allowed(schema: Merged, inclusive: str, exclusive: str, bound: Decimal) -> bool:
    if schema.get(exclusive) is True:
        return False
    given = schema.get(exclusive)
    return not (_is_number(given) and Decimal(str(given)) == bound) and inclusive in schema


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
