"""The ledger: events as published, a delivery for each endpoint they are owed to, an attempt for each try.

Ledger rows point at each other and at endpoints by id without foreign keys: see docs/adr/0002.
"""

from django.db import models
from django.db.models import Q

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.models.merchants import REFERENCE_LENGTH

EXTERNAL_ID_LENGTH = 128
TRACEPARENT_LENGTH = 55
# As W3C Trace Context writes version 00.


class Event(models.Model):
    """Something that happened to one merchant. Immutable; `payload` holds the very bytes that were published."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    external_id = models.CharField(
        max_length=EXTERNAL_ID_LENGTH, null=True, help_text="The id the provider chose, if it chose one."
    )
    merchant_id = models.UUIDField()
    type = models.CharField(max_length=EVENT_TYPE_LENGTH)
    account = models.CharField(max_length=REFERENCE_LENGTH, null=True)
    payload = models.BinaryField()
    is_test = models.BooleanField(default=False)
    is_live = models.BooleanField(default=True, db_default=True, help_text="The merchant's mode when it was published.")
    expunged_at = models.DateTimeField(null=True, help_text="When its contents were taken away, at somebody's request.")
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField()
    traceparent = models.CharField(
        max_length=TRACEPARENT_LENGTH, null=True, help_text="The span that published it; null where it is not traced."
    )

    class Meta:
        # Not unique here: an idempotency key makes it so, and this table can then be partitioned by id.
        indexes = [
            models.Index(fields=["external_id"], name="event_by_external_id", condition=Q(external_id__isnull=False)),
            # What a merchant's endpoint was never owed is found among the merchant's events.
            models.Index(fields=["merchant_id", "id"], name="event_by_merchant"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return self.external_id or show(Prefix.EVENT, self.id)


class IdempotencyKey(models.Model):
    """Which event a caller's key already made. Small, so that the one unique index over all events lives here."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=64, help_text="Who called: the API key's id, or `python`.")
    key = models.CharField(max_length=128)
    event_id = models.UUIDField()
    request_hash = models.BinaryField(
        help_text="SHA-256 over what was asked for; the same key with another is refused."
    )
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_unique")]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_key_expiry")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class Delivery(models.Model):
    """One event owed to one endpoint. Only this app's services change it.

    No index holds a column that an outcome changes, so that recording one is a heap-only update; what waits to be
    sent is found by its LaneEntry instead.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"
        HELD = "held"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event_id = models.UUIDField()
    endpoint_id = models.UUIDField()
    owner_id = models.UUIDField(help_text="The merchant whose endpoint it is: the one who may see this delivery.")
    event_type = models.CharField(max_length=EVENT_TYPE_LENGTH)
    account = models.CharField(max_length=REFERENCE_LENGTH, null=True)
    status = models.CharField(max_length=16, choices=Status)
    attempts_made = models.PositiveSmallIntegerField(default=0, help_text="Attempt rows, all of them.")
    attempts_counted = models.PositiveSmallIntegerField(
        default=0, help_text="Those that use up the schedule since it last began."
    )
    attempts_uncounted = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="In a row, since the last counted one: our own fault."
    )
    next_attempt_at = models.DateTimeField(null=True)
    last_reason = models.CharField(max_length=32, null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_attempt_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event_id", "endpoint_id"], name="delivery_once_per_endpoint"),
            models.CheckConstraint(
                name="delivery_status_known",
                condition=Q(status__in=["pending", "delivered", "failed", "held", "cancelled"]),
            ),
            models.CheckConstraint(
                name="delivery_pending_has_next_attempt",
                condition=Q(status="pending", next_attempt_at__isnull=False)
                | (~Q(status="pending") & Q(next_attempt_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="delivery_final_has_end",
                condition=Q(status__in=["pending", "held"], finished_at__isnull=True)
                | Q(status__in=["delivered", "failed", "cancelled"], finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="delivery_delivered_was_tried", condition=~Q(status="delivered") | Q(attempts_made__gte=1)
            ),
        ]
        indexes = [
            # The merchant's log and the endpoint's log, newest first.
            models.Index(fields=["owner_id", "-id"], name="delivery_by_owner"),
            models.Index(fields=["endpoint_id", "-id"], name="delivery_by_endpoint"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.DELIVERY, self.id)


class Attempt(models.Model):
    """One try to deliver: what was sent and what came back. Append-only."""

    class Trigger(models.TextChoices):
        EVENT = "event"
        RETRY = "retry"
        REPLAY = "replay"
        TEST = "test"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    delivery_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    trigger = models.CharField(max_length=8, choices=Trigger)
    is_counted = models.BooleanField(help_text="Whether it used up one of the schedule's tries.")
    reason = models.CharField(max_length=32)
    leaves = models.CharField(
        max_length=16, null=True, choices=Delivery.Status, help_text="The delivery's status after this attempt."
    )
    url = models.CharField(max_length=2048)
    request_headers = models.TextField(help_text="As sent, one a line; credentials masked.")
    request_body = models.BinaryField(null=True, help_text="As sent; null when it is the event's payload.")
    response_status = models.PositiveSmallIntegerField(null=True)
    response_headers = models.TextField(default="")
    response_body = models.BinaryField(default=b"")
    is_response_truncated = models.BooleanField(default=False)
    body_error = models.CharField(max_length=255, default="")
    detail = models.CharField(max_length=255, default="")
    peer = models.CharField(max_length=64, default="")
    dns_ms = models.FloatField(null=True)
    connect_ms = models.FloatField(null=True)
    tls_ms = models.FloatField(null=True)
    send_ms = models.FloatField(null=True)
    wait_ms = models.FloatField(null=True)
    total_ms = models.FloatField(default=0)
    started_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery_id", "number"], name="attempt_number_unique"),
            models.CheckConstraint(name="attempt_number_positive", condition=Q(number__gte=1)),
            models.CheckConstraint(
                name="attempt_trigger_known", condition=Q(trigger__in=["event", "retry", "replay", "test"])
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.ATTEMPT, self.id)
