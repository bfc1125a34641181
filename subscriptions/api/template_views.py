"""The provider's routes of the texts of e-mails and SMS."""

from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination
from subscriptions.api.base import ProviderView
from subscriptions.errors import NotFound
from subscriptions.models import MessageTemplate
from subscriptions.selectors import message_templates as selectors
from subscriptions.services import message_templates
from subscriptions.services.message_texts import TextError


class TemplatesView(ProviderView):
    """/message-templates"""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                selectors.every(),
                query=request.query_params,
                scope="message-templates",
                show=lambda rows: [_shown(row) for row in rows],
            )
        )

    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(self._create)

    def _create(self) -> Response:
        row = message_templates.create(data=self.read(), now=self.now, actor=self.actor)
        location = f"{self.http_request.path}/{row.public_id}"
        return Response(_with_preview(row, now=self.now), status=201, headers={"Location": location})


class TemplateView(ProviderView):
    """/message-templates/{id}"""

    def get(self, request: Request, template: str) -> Response:  # noqa: ARG002
        return Response(_with_preview(selectors.get(_template_id(template)), now=self.now))

    def patch(self, request: Request, template: str) -> Response:  # noqa: ARG002
        row = message_templates.update(
            template_id=_template_id(template), data=self.read(), now=self.now, actor=self.actor
        )
        return Response(_with_preview(row, now=self.now))

    def delete(self, request: Request, template: str) -> Response:  # noqa: ARG002
        message_templates.delete(template_id=_template_id(template), now=self.now, actor=self.actor)
        return Response(status=204)


def _shown(row: MessageTemplate) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "channel": row.channel,
        "event_type": row.event_type,
        "subject": row.subject,
        "body": row.body,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _with_preview(row: MessageTemplate, *, now: datetime) -> dict[str, Any]:
    """`preview` is null for a text that no longer takes its type's example."""
    try:
        sample = message_templates.preview(row, now=now)
    except TextError:
        return {**_shown(row), "preview": None}
    preview: dict[str, Any] = {"subject": sample.subject, "text": sample.text}
    if sample.segments:
        preview |= {"segments": sample.segments, "encoding": sample.encoding}
    return {**_shown(row), "preview": preview}


def _template_id(text: str) -> UUID:
    try:
        return parse(Prefix.MESSAGE_TEMPLATE, text)
    except InvalidId:
        raise NotFound("There is no such message template.") from None
