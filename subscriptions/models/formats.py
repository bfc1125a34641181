"""What a provider brings of its own to the wire: formats, signing keys, texts of its e-mails and SMS."""

from typing import Any

from django.db import models
from django.db.models import F, Q

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH

PROFILE_NAME_LENGTH = 64
PROFILE_NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"


class WireProfile(models.Model):
    """A provider's own wire format, as data. Its name is what endpoints say; built-in names are not free."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=PROFILE_NAME_LENGTH)
    description = models.CharField(max_length=1024, blank=True, default="")
    definition: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], name="wire_profile_name_unique"),
            models.CheckConstraint(name="wire_profile_name_form", condition=Q(name__regex=PROFILE_NAME_PATTERN)),
        ]

    def __str__(self) -> str:
        return self.name


class ProviderKey(models.Model):
    """A private key of the provider, for the formats that the provider signs. Its public half is published.

    The one without an end is the newest. It is published from its creation and signs from `signs_from`, so that
    receivers can learn it first; the one before it goes on signing beside it until its end.
    """

    class Family(models.TextChoices):
        RSA = "rsa"
        ED25519 = "ed25519"
        EC = "ec"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    family = models.CharField(max_length=8, choices=Family)
    ciphertext = models.BinaryField(help_text="The private key as PEM, bound to this row.")
    public_pem = models.TextField()
    certificate_pem = models.TextField(help_text="The public key as a self-signed X.509 certificate.")
    signs_from = models.DateTimeField()
    signs_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["family"], name="provider_key_one_newest", condition=Q(signs_until=None)),
            models.CheckConstraint(name="provider_key_family_known", condition=Q(family__in=["rsa", "ed25519", "ec"])),
            models.CheckConstraint(
                name="provider_key_ends_after_start",
                condition=Q(signs_until=None) | Q(signs_until__gte=F("signs_from")),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.PROVIDER_KEY, self.id)


class MessageTemplate(models.Model):
    """The text of an e-mail or SMS for one type of event, or for all types that have none of their own."""

    class Channel(models.TextChoices):
        EMAIL = "email"
        SMS = "sms"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    channel = models.CharField(max_length=16, choices=Channel)
    event_type = models.CharField(
        max_length=EVENT_TYPE_LENGTH, null=True, blank=True, help_text="Null: every type without a text of its own."
    )
    subject = models.CharField(max_length=255, blank=True, default="", help_text="Of an e-mail; a template as well.")
    body = models.TextField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "event_type"], name="message_template_unique", nulls_distinct=False
            ),
            models.CheckConstraint(name="message_template_channel_known", condition=Q(channel__in=["email", "sms"])),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.event_type or 'default'}"

    @property
    def public_id(self) -> str:
        return show(Prefix.MESSAGE_TEMPLATE, self.id)


class AddressCheck(models.Model):
    """The open question to the owner of an address or number: is this yours, and do you want this?"""

    endpoint = models.OneToOneField(
        "subscriptions.Endpoint", models.CASCADE, primary_key=True, related_name="address_check"
    )
    digest = models.BinaryField(help_text="SHA-256 of the code, keyed with the endpoint's id.")
    tries_left = models.PositiveSmallIntegerField()
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="address_check_ends_after_start", condition=Q(expires_at__gte=F("sent_at")))
        ]

    def __str__(self) -> str:
        return str(self.endpoint_id)
