"""The catalogue of event types."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dispatcher.ids import Prefix
from subscriptions.admin.base import ServiceAdmin
from subscriptions.admin.columns import Colour, dot, json_block, moment
from subscriptions.admin.forms import JsonField, ServiceForm
from subscriptions.models import EventType
from subscriptions.services import event_types

FIELDS = ("name", "group", "description", "schema", "strict", "example", "archived")


class EventTypeForm(ServiceForm[EventType]):
    description = forms.CharField(required=False, widget=forms.Textarea)
    schema = JsonField(required=False, help_text="A JSON Schema of the payload. Nothing: none.")
    example = JsonField(required=False, help_text="A payload as JSON.")

    class Meta:
        model = EventType
        fields = FIELDS

    def write(self) -> EventType:
        given = self.changed(*FIELDS)
        if self.is_new():
            return event_types.create(data=given, now=self.now, actor=self.actor)
        return event_types.update(name=self.instance.name, data=given, now=self.now, actor=self.actor)


@admin.register(EventType)
class EventTypeAdmin(ServiceAdmin[EventType]):
    form = EventTypeForm
    list_display = ("name", "group", "description", "strict", "state", "created")
    list_filter = ("strict", "archived")
    id_columns = {Prefix.EVENT_TYPE: "id"}
    search_help_text = "A part of the name, the group or the description"
    ordering = ("name",)
    sortable_by = ("name", "group")

    def search_text(self, rows: QuerySet[EventType], term: str) -> QuerySet[EventType]:
        return rows.filter(Q(name__icontains=term) | Q(group__icontains=term) | Q(description__icontains=term))

    def get_fields(self, request: HttpRequest, obj: EventType | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            read = ("shown_schema", "strict", "shown_example", "archived", "created", "updated")
            return ("name", "group", "description", *read)
        return (*FIELDS, "created", "updated") if obj else FIELDS

    def get_readonly_fields(self, request: HttpRequest, obj: EventType | None = None) -> Any:  # noqa: ARG002
        """A type keeps its name: events and endpoints hold it."""
        return ("name", "created", "updated") if obj else ()

    def remove(self, obj: EventType, *, actor: str, now: datetime) -> None:
        event_types.delete(name=obj.name, actor=actor, now=now)

    def consequences(self, obj: EventType) -> list[str]:  # noqa: ARG002
        return ["Events of this type can no longer be published.", "Those in the log keep its name."]

    @admin.display(description="State")
    def state(self, event_type: EventType) -> SafeString:
        return dot(Colour.GREY, "Archived") if event_type.archived else dot(Colour.GREEN, "On offer")

    @admin.display(description="Schema")
    def shown_schema(self, event_type: EventType) -> SafeString | str:
        return json_block(event_type.schema)

    @admin.display(description="Example")
    def shown_example(self, event_type: EventType) -> SafeString | str:
        return json_block(event_type.example)

    @admin.display(description="Created (UTC)")
    def created(self, event_type: EventType) -> SafeString | str:
        return moment(event_type.created_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, event_type: EventType) -> SafeString | str:
        return moment(event_type.updated_at)
