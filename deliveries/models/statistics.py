"""Statistics: what the attempts of each hour came to, so that charts and ratios never read the log."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from dispatcher.ids import new_id
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH


class HourlyCount(models.Model):
    """One endpoint's attempts for one type of event in one hour. Always equal to a recount of the attempts' rows.

    `latencies` counts delivered attempts by how long they took, in the classes of `LATENCY_BOUNDS_MS`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    hour = models.DateTimeField(help_text="Its beginning, UTC.")
    endpoint_id = models.UUIDField()
    owner_id = models.UUIDField()
    event_type = models.CharField(max_length=EVENT_TYPE_LENGTH)
    attempts = models.PositiveBigIntegerField()
    delivered = models.PositiveBigIntegerField(help_text="Attempts that delivered.")
    failed = models.PositiveBigIntegerField(help_text="Attempts after which the delivery had failed for good.")
    latencies = ArrayField(models.BigIntegerField())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint_id", "hour", "event_type"], name="hourly_count_unique")
        ]
        indexes = [
            models.Index(fields=["owner_id", "hour"], name="hourly_count_by_owner"),
            models.Index(fields=["hour"], name="hourly_count_by_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.event_type} {self.hour}"


class CountDelta(models.Model):
    """A recorded group's attempts, as parallel arrays, until they are rolled up into the hourly counts.

    Written in the transaction that records the group, and taken away in the one that adds it up: whoever reads both
    tables reads every attempt exactly once.
    """

    id = models.BigAutoField(primary_key=True)
    endpoint_ids = ArrayField(models.UUIDField())
    owner_ids = ArrayField(models.UUIDField())
    event_types = ArrayField(models.TextField())
    started = ArrayField(models.DateTimeField())
    leaves = ArrayField(models.TextField())
    latencies_ms = ArrayField(models.FloatField())

    def __str__(self) -> str:
        return str(self.id)
