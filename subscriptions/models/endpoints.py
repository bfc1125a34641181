"""Endpoints: where a merchant wants which events, and the secrets that sign them."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.models.merchants import REFERENCE_LENGTH, Merchant

URL_LENGTH = 2048
MAX_IN_FLIGHT = 50
# Enough for a receiver that answers in 100 ms to take 500 deliveries a second; see docs/adr on lanes.
MAX_IN_FLIGHT_CEILING = 500


class Endpoint(models.Model):
    """Where deliveries go and how. Deleted endpoints stay as rows, so that the log can name them."""

    class Channel(models.TextChoices):
        WEBHOOK = "webhook"
        EMAIL = "email"
        SMS = "sms"

    class Auth(models.TextChoices):
        NONE = "none"
        BASIC = "basic"
        BEARER = "bearer"
        HEADER = "header"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(Merchant, models.PROTECT, related_name="endpoints")
    is_primary = models.BooleanField(default=False, help_text="The endpoint behind /config.")
    channel = models.CharField(max_length=16, choices=Channel, default=Channel.WEBHOOK)
    target = models.CharField(max_length=URL_LENGTH, help_text="The URL; for other channels the address or number.")
    description = models.CharField(max_length=1024, blank=True, default="")
    profile = models.CharField(max_length=64, default="default", help_text="The wire format.")
    event_types = ArrayField(
        models.CharField(max_length=EVENT_TYPE_LENGTH + 2),
        null=True,
        blank=True,
        help_text="Null: all. `invoice.*` allowed.",
    )
    accounts = ArrayField(
        models.CharField(max_length=REFERENCE_LENGTH), default=list, blank=True, help_text="Empty: all."
    )
    auth_type = models.CharField(max_length=16, choices=Auth, default=Auth.NONE)
    auth_name = models.CharField(max_length=255, blank=True, default="", help_text="User name, or the header's name.")
    auth_ciphertext = models.BinaryField(null=True, blank=True)
    headers: "models.JSONField[dict[str, str], dict[str, str]]" = models.JSONField(default=dict, blank=True)
    ack: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(null=True, blank=True)
    retry_schedule = ArrayField(
        models.PositiveIntegerField(), null=True, blank=True, help_text="Seconds before each retry. Null: the default."
    )
    rate_limit = models.PositiveIntegerField(null=True, blank=True, help_text="Deliveries a second. Null: none.")
    max_in_flight = models.PositiveSmallIntegerField(default=MAX_IN_FLIGHT)
    ordered = models.BooleanField(default=False)
    rule = models.ForeignKey(
        "subscriptions.Rule",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="recipients",
        help_text="The rule that it is a recipient of; its event types and accounts are the rule's.",
    )
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="When the owner of the address or number said yes. Webhooks need no yes."
    )
    metadata: "models.JSONField[dict[str, str], dict[str, str]]" = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=64, blank=True, default="")
    disabled_at = models.DateTimeField(null=True, blank=True)
    unreadable_since = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when a secret that it needs does not decrypt; nothing is sent meanwhile.",
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner"], name="endpoint_one_primary", condition=Q(is_primary=True, deleted_at=None)
            ),
            models.CheckConstraint(
                name="endpoint_in_flight_range",
                condition=Q(max_in_flight__gte=1, max_in_flight__lte=MAX_IN_FLIGHT_CEILING),
            ),
            models.CheckConstraint(name="endpoint_rate_positive", condition=Q(rate_limit=None) | Q(rate_limit__gte=1)),
            models.CheckConstraint(name="endpoint_channel_known", condition=Q(channel__in=["webhook", "email", "sms"])),
            models.CheckConstraint(
                name="endpoint_auth_known", condition=Q(auth_type__in=["none", "basic", "bearer", "header"])
            ),
            models.CheckConstraint(
                name="endpoint_deleted_is_inactive", condition=Q(deleted_at=None) | Q(is_active=False)
            ),
        ]
        indexes = [
            # Fan-out looks up the living endpoints of an owner.
            models.Index(fields=["owner", "id"], name="endpoint_by_owner", condition=Q(deleted_at=None)),
        ]

    def __str__(self) -> str:
        return self.target

    @property
    def public_id(self) -> str:
        return show(Prefix.ENDPOINT, self.id)


class SigningSecret(models.Model):
    """A key that signs an endpoint's deliveries. The one without an end is current; others overlap until theirs."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="secrets")
    ciphertext = models.BinaryField(help_text="Bound to this row: moved elsewhere it does not decrypt.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint"], name="secret_one_current", condition=Q(expires_at=None)),
            models.CheckConstraint(
                name="secret_expires_after_creation", condition=Q(expires_at=None) | Q(expires_at__gte=F("created_at"))
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.SECRET, self.id)
