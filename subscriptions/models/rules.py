"""Rules: which events of which accounts go to which recipients, several at once."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.models.merchants import REFERENCE_LENGTH, Merchant


class Rule(models.Model):
    """One choice of events for several recipients, each of which is an endpoint of its own with its own lane."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(Merchant, models.CASCADE, related_name="rules")
    name = models.CharField(max_length=255, blank=True, default="")
    event_types = ArrayField(
        models.CharField(max_length=EVENT_TYPE_LENGTH + 2),
        null=True,
        blank=True,
        help_text="The conditions. Null: all. `invoice.*` allowed.",
    )
    accounts = ArrayField(
        models.CharField(max_length=REFERENCE_LENGTH), default=list, blank=True, help_text="Empty: all."
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["owner", "id"], name="rule_by_owner")]

    def __str__(self) -> str:
        return self.name or self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.RULE, self.id)
