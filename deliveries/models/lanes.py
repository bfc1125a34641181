"""Lanes: the queue. One lane for each endpoint, one entry for each delivery that waits in it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Greatest

from deliveries.models.ledger import Attempt


class Lane(models.Model):
    """The state of one endpoint's queue. Leasing it is claiming its work.

    `due_at` is when somebody should look at the lane: null when nothing waits. While a drain holds the lane it is the
    end of the lease, unless a publish rang in the meantime (then it is in the past, and only the holder may act on it).
    """

    endpoint_id = models.UUIDField(primary_key=True)
    due_at = models.DateTimeField(null=True)
    not_before = models.GeneratedField(
        # Nulls hold nothing back: Postgres leaves them out.
        expression=Greatest("retry_at", "paced_until", "open_until"),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
        help_text="Nothing is sent before this: the latest of what holds the lane back.",
    )
    # What holds it back, besides `open_until`.
    retry_at = models.DateTimeField(null=True, help_text="An ordered lane waits as a whole for its first delivery.")
    paced_until = models.DateTimeField(null=True, help_text="The rate limit allows nothing before this.")
    is_ordered = models.BooleanField(
        default=False, db_default=False, help_text="Whether its entries stand in order; follows the endpoint's wish."
    )
    lease_token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    in_flight = ArrayField(models.UUIDField(), default=list)
    window = models.PositiveSmallIntegerField(default=4, help_text="How many may be in flight now.")
    is_suspect = models.BooleanField(default=False, help_text="Its receiver timed out last.")
    # The breaker, as dispatcher.breaker has it.
    half_started_at = models.DateTimeField(null=True, help_text="When the present half of its window began.")
    attempts = models.PositiveIntegerField(default=0, db_default=0, help_text="In the present half.")
    failures = models.PositiveIntegerField(default=0, db_default=0)
    earlier_attempts = models.PositiveIntegerField(default=0, db_default=0, help_text="In the half before.")
    earlier_failures = models.PositiveIntegerField(default=0, db_default=0)
    open_s = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="How long it opened for last.")
    open_until = models.DateTimeField(null=True, help_text="Null: closed. In the past: a probe may be sent.")
    # The streak, as dispatcher.streak has it.
    failing_since = models.DateTimeField(null=True, help_text="Nothing was delivered since; null after a delivery.")
    warned_at = models.DateTimeField(null=True, help_text="When its members were told that it fails.")
    # Outlives the streak: those who heard of the one event shall hear of the other.
    reported_at = models.DateTimeField(
        null=True, help_text="When signet.endpoint.failing was said; null once signet.endpoint.recovered was."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="lane_lease_whole",
                condition=Q(lease_token__isnull=True, leased_until__isnull=True, in_flight=[])
                | Q(lease_token__isnull=False, leased_until__isnull=False),
            ),
            models.CheckConstraint(name="lane_window_positive", condition=Q(window__gte=1)),
            models.CheckConstraint(
                name="lane_breaker_whole",
                condition=Q(open_until__isnull=True, open_s=0) | Q(open_until__isnull=False, open_s__gte=1),
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="lane_due", condition=Q(due_at__isnull=False)),
            # What the sweep may have to end. No turn writes these columns without a new `due_at`, so that the index
            # costs no heap-only update that there was before.
            models.Index(
                fields=["endpoint_id"],
                name="lane_troubled",
                condition=Q(retry_at__isnull=False) | Q(open_until__isnull=False) | Q(failing_since__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.endpoint_id)


class LaneEntry(models.Model):
    """A pending delivery's place in its lane. It exists exactly as long as the delivery is pending."""

    delivery_id = models.UUIDField(primary_key=True)
    endpoint_id = models.UUIDField()
    due_at = models.DateTimeField()
    trigger = models.CharField(max_length=8, choices=Attempt.Trigger)

    class Meta:
        verbose_name_plural = "lane entries"
        indexes = [models.Index(fields=["endpoint_id", "due_at", "delivery_id"], name="lane_entry_next")]

    def __str__(self) -> str:
        return str(self.delivery_id)
