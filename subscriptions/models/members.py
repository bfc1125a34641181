"""The people of a merchant, and what they are told about its endpoints."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.endpoints import Endpoint
from subscriptions.models.merchants import Merchant


class Membership(models.Model):
    """What a user may do with a merchant."""

    class Role(models.TextChoices):
        OWNER = "owner"
        DEVELOPER = "developer"
        VIEWER = "viewer"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "merchant"], name="membership_unique"),
            models.CheckConstraint(
                name="membership_role_known", condition=Q(role__in=["owner", "developer", "viewer"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

    @property
    def public_id(self) -> str:
        return show(Prefix.MEMBERSHIP, self.id)


class Notice(models.Model):
    """One e-mail that one member is owed about one endpoint. The row is the queue; it holds no address and no text."""

    class Kind(models.TextChoices):
        FAILING = "failing"
        DISABLED = "disabled"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="notices")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=16, choices=Kind)
    since = models.DateTimeField(help_text="When the failing began that it is about.")
    reason = models.CharField(max_length=32, help_text="The last attempt's.")
    status = models.PositiveSmallIntegerField(null=True, help_text="The last answer's, if there was one.")
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, help_text="Null: sent, or given up.")
    sent_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=255, blank=True, default="", help_text="Why the last try failed.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "user", "kind", "since"], name="notice_once"),
            models.CheckConstraint(name="notice_kind_known", condition=Q(kind__in=["failing", "disabled"])),
            models.CheckConstraint(name="notice_sent_is_done", condition=Q(sent_at=None) | Q(next_try_at=None)),
        ]
        indexes = [models.Index(fields=["next_try_at"], name="notice_due", condition=~Q(next_try_at=None))]

    def __str__(self) -> str:
        return f"{self.kind} {self.endpoint_id}"
