"""The texts of e-mails and SMS, each with a preview of what its reader gets."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ServiceAdmin
from subscriptions.admin.columns import fixed, moment
from subscriptions.admin.forms import ServiceForm
from subscriptions.models import MessageTemplate
from subscriptions.services import message_templates
from subscriptions.services.message_texts import TextError

FIELDS = ("channel", "event_type", "subject", "body")
MEANS = (
    "May use type, title, description, merchant, account, id, occurred_at, payload, fields and unsubscribe_url, "
    "such as {{ payload.customer.name }}. A link that stops the messages is added where the text has none."
)


class MessageTemplateForm(ServiceForm[MessageTemplate]):
    event_type = forms.CharField(required=False, help_text="Nothing: every type without a text of its own.")
    subject = forms.CharField(
        required=False, help_text="Of an e-mail.", widget=forms.TextInput(attrs={"class": "vLargeTextField"})
    )
    body = forms.CharField(
        strip=False, help_text=MEANS, widget=forms.Textarea(attrs={"rows": 16, "class": "vLargeTextField"})
    )

    class Meta:
        model = MessageTemplate
        fields = FIELDS

    def write(self) -> MessageTemplate:
        given = self.changed(*FIELDS)
        if "body" in given:
            # Browsers send every line end as CR LF.
            given["body"] = given["body"].replace("\r\n", "\n")
        if self.is_new():
            given["event_type"] = given.get("event_type") or None
            return message_templates.create(data=given, now=self.now, actor=self.actor)
        return message_templates.update(template_id=self.instance.id, data=given, now=self.now, actor=self.actor)


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ServiceAdmin[MessageTemplate]):
    form = MessageTemplateForm
    list_display = ("shown_type", "channel", "subject", "updated")
    list_filter = ("channel",)
    id_columns = {Prefix.MESSAGE_TEMPLATE: "id"}
    search_help_text = "A part of the event type, the subject or the text"
    ordering = ("channel", "event_type")
    sortable_by = ()

    def search_text(self, rows: QuerySet[MessageTemplate], term: str) -> QuerySet[MessageTemplate]:
        return rows.filter(Q(event_type__icontains=term) | Q(subject__icontains=term) | Q(body__icontains=term))

    def get_fields(self, request: HttpRequest, obj: MessageTemplate | None = None) -> Any:
        if obj is None:
            return FIELDS
        subject = ("subject",) if obj.channel == MessageTemplate.Channel.EMAIL else ()
        body = "body" if self.has_change_permission(request, obj) else "shown_body"
        return ("channel", "shown_type", *subject, body, "preview", "created", "updated")

    def get_readonly_fields(self, request: HttpRequest, obj: MessageTemplate | None = None) -> Any:  # noqa: ARG002
        """What a text is for is for good: another one is quickly made."""
        return () if obj is None else ("channel", "shown_type", "preview", "created", "updated")

    def remove(self, obj: MessageTemplate, *, actor: str, now: datetime) -> None:
        message_templates.delete(template_id=obj.id, actor=actor, now=now)

    def consequences(self, obj: MessageTemplate) -> list[str]:
        instead = "the text for all types, or the built-in one" if obj.event_type else "the built-in text"
        return [f"From now on {instead} is sent instead."]

    @admin.display(description="Event type")
    def shown_type(self, template: MessageTemplate) -> str:
        return template.event_type or "All without a text of their own"

    @admin.display(description="Text")
    def shown_body(self, template: MessageTemplate) -> SafeString:
        return fixed(template.body)

    @admin.display(description="Preview, as saved")
    def preview(self, template: MessageTemplate) -> SafeString | str:
        """With the event type's example."""
        try:
            sample = message_templates.preview(template, now=timezone.now())
        except TextError as trouble:
            return f"It cannot be shown: {trouble}"
        if sample.segments:
            return fixed(f"{sample.text}\n\n({_count(sample.segments)}, {sample.encoding})")
        return fixed(f"Subject: {sample.subject}\n\n{sample.text}")

    @admin.display(description="Created (UTC)")
    def created(self, template: MessageTemplate) -> SafeString | str:
        return moment(template.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, template: MessageTemplate) -> SafeString | str:
        return moment(template.updated_at)


def _count(segments: int) -> str:
    return "1 segment" if segments == 1 else f"{segments} segments"
