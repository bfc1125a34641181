"""Who may call, what was already answered, and who did what."""

from django.db import models
from django.db.models import Q

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.merchants import Merchant

KEY_PREFIX_LENGTH = 24


class ApiKey(models.Model):
    """A caller's key. Only its SHA-256 is kept: 256 random bits need no slow hash."""

    class Scope(models.TextChoices):
        MERCHANT = "merchant"
        PROVIDER = "provider"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=16, choices=Scope)
    merchant = models.ForeignKey(Merchant, models.CASCADE, null=True, blank=True, related_name="api_keys")
    name = models.CharField(max_length=255)
    prefix = models.CharField(
        max_length=KEY_PREFIX_LENGTH, help_text="The part that is shown, and by which it is found."
    )
    digest = models.BinaryField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prefix"], name="api_key_prefix_unique"),
            models.CheckConstraint(name="api_key_scope_known", condition=Q(scope__in=["merchant", "provider"])),
            models.CheckConstraint(
                name="api_key_merchant_fits_scope",
                condition=Q(scope="merchant", merchant__isnull=False) | Q(scope="provider", merchant__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def public_id(self) -> str:
        return show(Prefix.API_KEY, self.id)


class StoredAnswer(models.Model):
    """The first answer to a POST that carried an `Idempotency-Key`, encrypted, so that a repeat gets it again."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=128, help_text="Who called: the key's id.")
    key = models.CharField(max_length=128)
    request_hash = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True, help_text="Null while the first call is still under way.")
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="stored_answer_unique")]
        indexes = [models.Index(fields=["expires_at"], name="stored_answer_expiry")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class AuditEntry(models.Model):
    """Who did what to which object. Append-only; `detail` never holds a secret."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(Merchant, models.CASCADE, null=True, related_name="audit_entries")
    actor = models.CharField(max_length=255, help_text="`key:<id>`, `user:<name>`, `link:<id>` or `system`.")
    action = models.CharField(max_length=64, help_text="e.g. `endpoint.updated`, `secret.revealed`.")
    target = models.CharField(max_length=64, help_text="The object's public id.")
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["merchant", "-id"], name="audit_by_merchant"),
            # The filters of the merchant's own page; none of them walks through what it does not show.
            models.Index(fields=["merchant", "target", "-id"], name="audit_by_target"),
            models.Index(fields=["merchant", "action", "-id"], name="audit_by_action"),
            models.Index(fields=["merchant", "actor", "-id"], name="audit_by_actor"),
        ]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"

    @property
    def public_id(self) -> str:
        return show(Prefix.AUDIT, self.id)


class PortalLink(models.Model):
    """Lets whoever has its token into a merchant's portal, once. Only the token's SHA-256 is kept."""

    class Access(models.TextChoices):
        FULL = "full"
        READ_ONLY = "read_only"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="portal_links")
    access = models.CharField(max_length=16, choices=Access)
    digest = models.BinaryField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="portal_link_digest_unique"),
            models.CheckConstraint(name="portal_link_access_known", condition=Q(access__in=["full", "read_only"])),
        ]
        indexes = [models.Index(fields=["expires_at"], name="portal_link_expiry")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.PORTAL_LINK, self.id)


class LoginTries(models.Model):
    """How often somebody tried to log in, and until when the next try has to wait."""

    who = models.CharField(
        max_length=64, primary_key=True, help_text="Keyed SHA-256 of an address, or of a name and an address."
    )
    count = models.PositiveIntegerField()
    last_at = models.DateTimeField()
    closed_until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["last_at"], name="login_tries_by_age")]
        verbose_name_plural = "login tries"

    def __str__(self) -> str:
        return self.who[:8]
