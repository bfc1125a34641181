"""The catalogue of what can happen."""

from django.db import models
from django.db.models import Q

from dispatcher.ids import new_id

EVENT_TYPE_LENGTH = 128
EVENT_TYPE_PATTERN = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
# Providers bring their own names: `invoice.paid`, `PAYMENT_COMPLETED`, `processing.return-processed`.


class EventType(models.Model):
    """A kind of event. Archived types stay readable, but can no longer be published or newly subscribed to."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=EVENT_TYPE_LENGTH)
    group = models.CharField(max_length=128, blank=True, default="")
    description = models.TextField(blank=True, default="")
    schema = models.JSONField(null=True, blank=True)
    example = models.JSONField(null=True, blank=True)
    strict = models.BooleanField(
        default=False, db_default=False, help_text="Whether a payload that does not fit the schema is refused."
    )
    schema_tag = models.UUIDField(
        default=new_id,
        editable=False,
        help_text="New with every change of the schema.",
    )
    archived = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], name="event_type_name_unique"),
            models.CheckConstraint(name="event_type_name_form", condition=Q(name__regex=EVENT_TYPE_PATTERN)),
            models.CheckConstraint(
                name="event_type_strict_has_schema", condition=Q(strict=False) | Q(schema__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name
