"""Makes the text of an e-mail or SMS from an event and a provider's template, or from the one that comes built in.

Templates are Django's, without files, loading or HTML: see `message_tags` for all that they may use. They see

    type, title, description    the event type, the first line of its description (or its name), the whole of it
    merchant, account           the merchant's name; the account's reference or nothing
    id, occurred_at             the event's
    payload                     as parsed; numbers keep the digits they were published with
    fields                      its plain members as [name, text], those of objects in it as `outer.inner`
    unsubscribe_url
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.template import Context, Engine, Template, TemplateSyntaxError

from dispatcher.sms_text import fit, segments

MOST_FIELDS = 30
FIELD_LENGTH = 200
# Rows of the built-in table, and characters of each value: a letter is read by people.
TITLE_LENGTH = 100
SUBJECT_LENGTH = 200
TEXT_LENGTH = 50_000
# Characters. A template may repeat a payload of 256 KiB; nobody reads that as a letter.
INTEGER_DIGITS = 100
# Longer ones stay text: turning them into numbers and back costs the square of their length.

EMAIL_BODY = """\
{{ title }}

Merchant: {{ merchant }}
{% if account %}Account: {{ account }}
{% endif %}Event: {{ type }}, {{ occurred_at|date:"Y-m-d H:i:s" }} UTC
Reference: {{ id }}
{% if fields %}
{% for name, text in fields %}{{ name }}: {{ text }}
{% endfor %}{% endif %}"""
SMS_BODY = "{{ merchant }}: {{ title }}{% for name, text in fields|slice:':3' %}, {{ name }} {{ text }}{% endfor %}"

_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n{3,}")


class TextError(ValueError):
    """The template cannot be read or cannot take this event. The sentence may be shown to the provider."""


class _Engine(Engine):
    default_builtins = ["subscriptions.services.message_tags"]


_ENGINE = _Engine(dirs=[], loaders=[], autoescape=False, string_if_invalid="", libraries={})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a letter is about."""

    type: str
    description: str
    merchant: str
    account: str | None
    id: str
    occurred_at: datetime
    payload: bytes
    unsubscribe_url: str

    def context(self) -> dict[str, Any]:
        payload = parse(self.payload)
        return {
            "type": self.type,
            "title": _title(self.description) or self.type,
            "description": self.description,
            "merchant": self.merchant,
            "account": self.account or "",
            "id": self.id,
            "occurred_at": self.occurred_at,
            "payload": payload,
            "fields": list(_fields(payload)),
            "unsubscribe_url": self.unsubscribe_url,
        }


@dataclass(frozen=True, slots=True)
class Text:
    """A template made ready. `subject` is None for what has none."""

    subject: Template | None
    body: Template


def compile_text(*, subject: str, body: str) -> Text:
    """Raises TextError."""
    return Text(compile_one(subject) if subject.strip() else None, compile_one(body))


def compile_one(source: str) -> Template:
    """Raises TextError with what is wrong and no more."""
    try:
        return Template(source, engine=_ENGINE)
    except TemplateSyntaxError as trouble:
        raise TextError(str(trouble)) from None
    except RecursionError:
        raise TextError("The blocks of this template are nested too deep.") from None


BUILT_IN: Mapping[str, Text] = {
    "email": compile_text(subject="{{ title }} ({{ merchant }})", body=EMAIL_BODY),
    "sms": compile_text(subject="", body=SMS_BODY),
}


def email(text: Text, facts: Facts) -> tuple[str, str]:
    """Subject and body. The way out stands in every body. Raises TextError."""
    context = facts.context()
    subject = _line(_render(text.subject, context)) if text.subject else ""
    body = _BLANK_LINES.sub("\n\n", _tidy(_render(text.body, context))).strip()[:TEXT_LENGTH]
    if facts.unsubscribe_url not in body:
        body += f"\n\n-- \nNo more of these messages: {facts.unsubscribe_url}"
    return subject[:SUBJECT_LENGTH] or context["title"], f"{body}\n"


def sms(text: Text, facts: Facts, *, most_segments: int) -> str:
    """The text, cut to fit; the way out is never cut. Raises TextError."""
    written = _tidy(_render(text.body, facts.context())).strip()[:TEXT_LENGTH]
    link = facts.unsubscribe_url
    if link in written and segments(written) <= most_segments:
        return written
    return fit(written.replace(link, "").strip(), most_segments=most_segments, tail=f"Stop: {link}")


def parse(payload: bytes) -> Any:
    """The payload's value. Numbers with a point stay exact: an amount of 1.10 is not 1.1."""
    try:
        return json.loads(payload, parse_float=Decimal, parse_int=_integer)
    except (ValueError, RecursionError):
        raise TextError("The payload is no JSON.") from None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= INTEGER_DIGITS else digits


def _render(template: Template, context: dict[str, Any]) -> str:
    try:
        return str(template.render(Context(context, autoescape=False, use_l10n=False)))
    except Exception as trouble:
        # Filters and comparisons raise whatever they like; the sentence names the kind, never a value.
        raise TextError(f"The template cannot take this event ({type(trouble).__name__}).") from trouble


def _title(description: str) -> str:
    first = _line(description.strip().partition("\n")[0]).removesuffix(".")
    return first if len(first) <= TITLE_LENGTH else first[: TITLE_LENGTH - 1].rstrip() + "…"


def _fields(payload: Any) -> Iterator[tuple[str, str]]:
    """The plain members, at most MOST_FIELDS. What is not an object is one field without a name."""
    if not isinstance(payload, dict):
        payload = {"value": payload}
    rows = [*_plain(payload, "")]
    for name, value in payload.items():
        if isinstance(value, dict):
            rows += _plain(value, f"{name}.")
    yield from rows[:MOST_FIELDS]


def _plain(members: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        text = _shown(value)
        if text:
            yield _line(before + name)[:FIELD_LENGTH], text[:FIELD_LENGTH]


def _shown(value: Any) -> str:
    match value:
        case None | dict():
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_shown(item) for item in value) if all(map(_is_plain, value)) else ""
        case Decimal():
            return str(value)
    return _line(str(value))


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _line(text: str) -> str:
    """Everything on one line: what came from outside never ends a header or a row."""
    return " ".join(_CONTROL_BUT_LINES.sub(" ", text).split())


def _tidy(text: str) -> str:
    """Line ends are \\n; other control characters and lone surrogates, which no wire carries, become spaces."""
    return _CONTROL_BUT_LINES.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
