"""Reads the texts of e-mails and SMS."""

from uuid import UUID

from django.db.models import QuerySet

from subscriptions.errors import NotFound
from subscriptions.models import MessageTemplate


def every() -> QuerySet[MessageTemplate]:
    return MessageTemplate.objects.all()


def get(template_id: UUID) -> MessageTemplate:
    """Raises NotFound."""
    if template := MessageTemplate.objects.filter(id=template_id).first():
        return template
    raise NotFound("There is no such message template.")
