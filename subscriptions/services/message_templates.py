"""Everything that happens to the texts of e-mails and SMS: made, changed, deleted, and shown with a sample in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from dispatcher.sms_text import encoding_of, segments
from subscriptions.errors import FieldError, Invalid, NotFound
from subscriptions.models import EventType, MessageTemplate
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.services import audit, message_texts, shapes
from subscriptions.services.conflicts import refuse_duplicate
from subscriptions.services.message_texts import Facts, TextError
from subscriptions.services.shapes import Shape, wrong

SUBJECT_LENGTH = 255
BODY_LENGTH = 20_000
SAMPLE_TYPE = "sample.event"
SAMPLE_PAYLOAD: Mapping[str, Any] = {"id": "sample-1", "status": "done", "customer": {"name": "Jane Roe"}}
# For a text of all types, and for a type without an example.
SAMPLE_LINK = "https://webhooks.example/u/0123456789ABCDEFGHIJKLMNOPQRS"


@dataclass(frozen=True, slots=True)
class Preview:
    """A text as its reader would get it. `segments` and `encoding` are those of an SMS, 0 and empty for an e-mail."""

    subject: str
    text: str
    segments: int = 0
    encoding: str = ""


def _check_body(value: Any) -> str:
    body: str = shapes.prose(most=BODY_LENGTH)(value)
    if not body.strip():
        raise wrong("wrong_length", f"This must have 1 to {BODY_LENGTH} characters.")
    return body


CHANGES: Shape = {"subject": shapes.line(least=0, most=SUBJECT_LENGTH), "body": _check_body}
NEW: Shape = {
    "channel": shapes.choice(MessageTemplate.Channel.values),
    "event_type": shapes.nullable(shapes.line(most=EVENT_TYPE_LENGTH)),
    **CHANGES,
}


@transaction.atomic
def create(*, data: Mapping[str, Any], now: datetime, actor: str) -> MessageTemplate:
    """A new text. Raises Invalid, or Conflict when there is one for this channel and type."""
    values = _read(data, NEW, required=("channel", "body"))
    template = MessageTemplate(created_at=now, updated_at=now, **values)
    _check(template)
    detail = "There is a template for this channel and event type."
    with refuse_duplicate("message_template_unique", detail, code="template_exists"):
        template.save(force_insert=True)
    _note(template, "message_template.created", now=now, actor=actor)
    return template


@transaction.atomic
def update(*, template_id: UUID, data: Mapping[str, Any], now: datetime, actor: str) -> MessageTemplate:
    """Change subject or body; channel and type are for good. Raises NotFound or Invalid."""
    template = _lock(template_id)
    for name, value in _read(data, CHANGES).items():
        setattr(template, name, value)
    _check(template)
    template.updated_at = now
    template.save()
    _note(template, "message_template.updated", now=now, actor=actor)
    return template


@transaction.atomic
def delete(*, template_id: UUID, now: datetime, actor: str) -> None:
    """What is sent from now on has the text for all types, or the one that comes built in. Raises NotFound."""
    template = _lock(template_id)
    _note(template, "message_template.deleted", now=now, actor=actor)
    template.delete()


def preview(template: MessageTemplate, *, now: datetime) -> Preview:
    """The text with the type's example in it. Raises TextError."""
    text = message_texts.compile_text(subject=template.subject, body=template.body)
    facts = _sample(template.event_type, now=now)
    if template.channel == MessageTemplate.Channel.EMAIL:
        return Preview(*message_texts.email(text, facts))
    written = message_texts.sms(text, facts, most_segments=settings.SMS_MAX_SEGMENTS)
    return Preview("", written, segments(written), encoding_of(written).value)


def _check(template: MessageTemplate) -> None:
    """The subject by itself first, so that each fault stands at its own field; then the whole with a sample."""
    faults = []
    if template.channel == MessageTemplate.Channel.SMS and template.subject:
        faults.append(FieldError("/subject", "not_for_channel", "An SMS has no subject."))
    if template.event_type and not EventType.objects.filter(name=template.event_type).exists():
        faults.append(FieldError("/event_type", "unknown_event_type", "There is no such event type."))
    for name, source in (("subject", template.subject), ("body", template.body)):
        try:
            message_texts.compile_one(source)
        except TextError as trouble:
            faults.append(FieldError(f"/{name}", "invalid_template", str(trouble)))
    if not faults:
        try:
            preview(template, now=template.updated_at)
        except TextError as trouble:
            faults.append(FieldError("/body", "invalid_template", str(trouble)))
    if faults:
        raise Invalid(*faults)


def _sample(event_type: str | None, *, now: datetime) -> Facts:
    found = EventType.objects.filter(name=event_type).first() if event_type else None
    example = found.example if found and found.example is not None else SAMPLE_PAYLOAD
    return Facts(
        type=event_type or SAMPLE_TYPE,
        description=found.description if found else "",
        merchant="Sample Merchant",
        account="ACC-1",
        id="evt_00000000000000000000000000",
        occurred_at=now,
        payload=json.dumps(example).encode(),
        unsubscribe_url=SAMPLE_LINK,
    )


def _lock(template_id: UUID) -> MessageTemplate:
    template = MessageTemplate.objects.select_for_update().filter(id=template_id).first()
    if template is None:
        raise NotFound("There is no such message template.")
    return template


def _read(data: Mapping[str, Any], shape: Shape, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    values, faults = shapes.read(data, shape, required=required)
    if faults:
        raise Invalid(*faults)
    return values


def _note(template: MessageTemplate, action: str, *, now: datetime, actor: str) -> None:
    detail = {"channel": template.channel, "event_type": template.event_type}
    audit.note(actor=actor, action=action, target=template.public_id, detail=detail, now=now)
