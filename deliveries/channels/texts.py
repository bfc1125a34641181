"""Writes the letters of deliveries: the provider's text, or the built-in one, with the event in it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from django.conf import settings

from deliveries.channels import email, sms
from deliveries.channels.letters import Letter
from deliveries.engine.values import Pick
from dispatcher.ids import Prefix, show
from dispatcher.profiles.frame import Message, header_safe
from subscriptions.models import Endpoint, EventType, Merchant, MessageTemplate
from subscriptions.services import message_texts
from subscriptions.services.message_texts import BUILT_IN, Facts, Text, TextError, compile_text

logger = logging.getLogger(__name__)

KEEP_S = 5.0
# What was read of templates, types and names. A changed template is in use after this at the latest.


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom an endpoint's letters reach."""

    channel: str
    # The bare address or number.
    to: str
    unsubscribe_url: str


@dataclass(slots=True)
class TextSource:
    """What letters need from Postgres, kept for a moment. Three statements for a group at most."""

    _templates: dict[tuple[str, str | None], Text | TextError] = field(default_factory=dict)
    _descriptions: dict[str, str] = field(default_factory=dict)
    _merchants: dict[UUID, str] = field(default_factory=dict)
    _read_at: float = -KEEP_S

    def prepare(self, picks: Iterable[Pick]) -> None:
        """Read what these need and is not there. Raises django.db.Error, and then none of them may have been sent."""
        picks = list(picks)
        now = monotonic()
        if now - self._read_at >= KEEP_S:
            templates = {(row.channel, row.event_type): _compiled(row) for row in MessageTemplate.objects.all()}
            self._descriptions.clear()
            self._merchants.clear()
            self._templates, self._read_at = templates, now
        types = {pick.event_type for pick in picks} - self._descriptions.keys()
        if types:
            rows = EventType.objects.filter(name__in=types).values_list("name", "description")
            self._descriptions |= dict.fromkeys(types, "") | dict(rows)
        merchants = {pick.merchant_id for pick in picks} - self._merchants.keys()
        if merchants:
            self._merchants |= dict(Merchant.objects.filter(id__in=merchants).values_list("id", "name"))

    def text(self, channel: str, event_type: str) -> Text:
        """The type's own text, or that of all types, or the built-in one. Raises TextError for one that is broken."""
        found = self._templates.get((channel, event_type)) or self._templates.get((channel, None)) or BUILT_IN[channel]
        if isinstance(found, TextError):
            raise found
        return found

    def facts(self, pick: Pick, message: Message, addressee: Addressee) -> Facts:
        return Facts(
            type=pick.event_type,
            description=self._descriptions.get(pick.event_type, ""),
            merchant=self._merchants.get(pick.merchant_id, ""),
            account=pick.account,
            id=message.event_id,
            occurred_at=pick.occurred_at,
            payload=pick.payload,
            unsubscribe_url=addressee.unsubscribe_url,
        )

    def write(self, pick: Pick, message: Message, addressee: Addressee) -> Letter:
        """The letter of one attempt; `prepare` has seen the pick. Raises TextError."""
        text = self.text(addressee.channel, pick.event_type)
        facts = self.facts(pick, message, addressee)
        attempt = f"{show(Prefix.DELIVERY, pick.delivery_id)}.{pick.number}"
        event = header_safe(message.event_id)
        if addressee.channel == Endpoint.Channel.EMAIL:
            subject, body = message_texts.email(text, facts)
            headers = _headers(pick, addressee, attempt=attempt, event=event)
            return email.write(to=addressee.to, subject=subject, text=body, headers=headers, now=message.now)
        written = message_texts.sms(text, facts, most_segments=settings.SMS_MAX_SEGMENTS)
        return sms.write(to=addressee.to, text=written, reference=attempt, headers=[("X-Webhook-Id", event)])


def _headers(pick: Pick, addressee: Addressee, *, attempt: str, event: str) -> dict[str, str]:
    host = email.id_host()
    return {
        # The same whenever the same attempt is sent again, so that a mail program can tell a duplicate.
        "Message-ID": f"<{attempt}@{host}>",
        # All letters of one event stand together. Our own id of it: the provider's may hold what no Message-ID can.
        "References": f"<{show(Prefix.EVENT, pick.event_id)}@{host}>",
        "X-Webhook-Id": event,
        "X-Webhook-Event": header_safe(pick.event_type),
        "List-Unsubscribe": f"<{addressee.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _compiled(row: MessageTemplate) -> Text | TextError:
    """What was stored was checked; what an upgrade no longer takes fails its letters, and nobody else's."""
    try:
        return compile_text(subject=row.subject, body=row.body)
    except TextError as trouble:
        logger.error("message template %s cannot be read", row.id)
        return trouble
