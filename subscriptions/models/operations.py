"""What happened to the platform itself, until it has become an event."""

from typing import Any

from django.db import models

from dispatcher.ids import new_id
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.models.merchants import REFERENCE_LENGTH


class Occurrence(models.Model):
    """Written in the transaction that changed something, taken away in the one that publishes it: never both, never
    neither. No foreign keys, as in the ledger: drains write many at once."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(max_length=EVENT_TYPE_LENGTH)
    merchant_id = models.UUIDField(help_text="Whose endpoint it is about.")
    endpoint_id = models.UUIDField(help_text="The endpoint it is about, which is not told itself.")
    account = models.CharField(max_length=REFERENCE_LENGTH, null=True, help_text="Of the delivery it is about.")
    detail: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.type} {self.endpoint_id}"
