"""How values look in the admin: ids, links, times and states. Everything that came from outside is escaped here."""

import json
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix, parse

EMPTY = "–"  # noqa: RUF001 - a dash, as the tables of the portal have it
MASK = "whsec_••••••"
MERCHANT_PAGE = "subscriptions_merchant"
ENDPOINT_PAGE = "subscriptions_endpoint"
RULE_PAGE = "subscriptions_rule"
EVENT_PAGE = "deliveries_event"
DELIVERY_PAGE = "deliveries_delivery"
ATTEMPT_PAGE = "deliveries_attempt"
REPLAY_PAGE = "deliveries_replay"
# By name, as the pages of other apps are never imported.

PAGES = {
    Prefix.MERCHANT: MERCHANT_PAGE,
    Prefix.ACCOUNT: "subscriptions_account",
    Prefix.API_KEY: "subscriptions_apikey",
    Prefix.EVENT_TYPE: "subscriptions_eventtype",
    Prefix.ENDPOINT: ENDPOINT_PAGE,
    Prefix.RULE: RULE_PAGE,
    Prefix.SECRET: "subscriptions_signingsecret",
    Prefix.PROVIDER_KEY: "subscriptions_providerkey",
    Prefix.EVENT: EVENT_PAGE,
    Prefix.DELIVERY: DELIVERY_PAGE,
    Prefix.ATTEMPT: ATTEMPT_PAGE,
    Prefix.REPLAY: REPLAY_PAGE,
    Prefix.EXPUNGE: "deliveries_expunge",
    Prefix.EXPORT: "deliveries_export",
    Prefix.AUDIT: "subscriptions_auditentry",
    Prefix.MESSAGE_TEMPLATE: "subscriptions_messagetemplate",
    Prefix.MEMBERSHIP: "subscriptions_membership",
}


class Colour(StrEnum):
    GREEN = "green"
    RED = "red"
    AMBER = "amber"
    GREY = "grey"


def dot(colour: Colour, word: str) -> SafeString:
    """A state: never by its colour alone."""
    return format_html('<span class="signet-dot signet-{}">{}</span>', colour, word)


def moment(at: datetime | None) -> SafeString | str:
    """A time in UTC to the second; the title has it whole."""
    if at is None:
        return EMPTY
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")


def code(text: object) -> SafeString:
    return format_html('<code class="signet-code">{}</code>', text)


def short_id(text: str) -> SafeString:
    """An id cut in its middle, for the columns of lists; the title has it whole."""
    head, _, tail = text.rpartition("_")
    shown = f"{head}_{tail[:4]}…{tail[-8:]}" if read_id(text) else text
    return format_html('<code class="signet-code" title="{}">{}</code>', text, shown)


def mark(word: str, *, when: bool) -> str:
    """A word for what is unusual; a cross for every usual row would look like an error."""
    return word if when else EMPTY


def fixed(text: str) -> SafeString:
    """A text in which spaces and line ends count."""
    return format_html('<pre class="signet-block" tabindex="0">{}</pre>', text)


def json_block(value: Any) -> SafeString | str:
    return EMPTY if value is None else fixed(json.dumps(value, indent=2, ensure_ascii=False))


def clipped(text: str) -> SafeString:
    """A long text in the width of a column; the title has it whole."""
    return format_html('<span class="signet-clipped" title="{0}">{0}</span>', text)


def lines(items: Iterable[object]) -> SafeString:
    return format_html_join(SafeString("<br>"), "{}", ((item,) for item in items))


def page_link(page: str, row_id: UUID, shown: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[row_id]), shown)


def find_page_link(page: str, row_id: UUID, shown: object) -> SafeString | None:
    """As `page_link`; None where that page is not installed."""
    try:
        return page_link(page, row_id, shown)
    except NoReverseMatch:
        return None


def list_link(page: str, shown: str, **narrowed: str) -> SafeString | None:
    """A link to a list, narrowed by its filters; None where that list is not installed."""
    try:
        address = reverse(f"{admin.site.name}:{page}_changelist")
    except NoReverseMatch:
        return None
    return format_html('<a href="{}?{}">{}</a>', address, urlencode(narrowed), shown)


def read_id(text: str) -> tuple[Prefix, UUID] | None:
    """What a public id points at; None for any other text."""
    try:
        prefix = Prefix(text.rpartition("_")[0])
        return prefix, parse(prefix, text)
    except ValueError:
        return None


def id_link(text: str) -> SafeString:
    """A public id, with a link to its object's page where there is one."""
    shown = code(text)
    match read_id(text):
        case (prefix, row_id) if prefix in PAGES:
            return find_page_link(PAGES[prefix], row_id, shown) or shown
    return shown
