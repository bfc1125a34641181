"""Merchants, the portfolios and resellers above them, and the accounts that lead to them."""

from django.db import models
from django.db.models import F, Q

from dispatcher.ids import Prefix, new_id, show

REFERENCE_LENGTH = 255


class Merchant(models.Model):
    """One customer of the provider. An endpoint of a portfolio or reseller hears the events of all below it."""

    class Kind(models.TextChoices):
        MERCHANT = "merchant"
        PORTFOLIO = "portfolio"
        RESELLER = "reseller"

    class Mode(models.TextChoices):
        LIVE = "live"
        TEST = "test"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.MERCHANT)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    name = models.CharField(max_length=255)
    reference = models.CharField(
        max_length=REFERENCE_LENGTH, null=True, blank=True, help_text="The provider's own name for this merchant."
    )
    mode = models.CharField(
        max_length=4, choices=Mode, default=Mode.LIVE, db_default=Mode.LIVE, help_text="Whether its events are real."
    )
    retention_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How long its events are kept. Null: as long as everybody's."
    )
    hears_all_operations = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether its endpoints that name signet.* types hear what happens to everybody's endpoints.",
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("enter_portal", "Can look into a merchant's portal, read only")]
        constraints = [
            models.UniqueConstraint(
                fields=["reference"], name="merchant_reference_unique", condition=Q(deleted_at=None)
            ),
            models.CheckConstraint(
                name="merchant_kind_known", condition=Q(kind__in=["merchant", "portfolio", "reseller"])
            ),
            models.CheckConstraint(name="merchant_mode_known", condition=Q(mode__in=["live", "test"])),
            models.CheckConstraint(name="merchant_not_its_own_parent", condition=Q(parent=None) | ~Q(parent=F("id"))),
            models.CheckConstraint(name="merchant_reference_not_empty", condition=~Q(reference="")),
            models.CheckConstraint(
                name="merchant_retention_positive", condition=Q(retention_days=None) | Q(retention_days__gte=1)
            ),
        ]
        indexes = [
            # A handful; what happens to an endpoint looks for them.
            models.Index(fields=["id"], name="merchant_hears_all", condition=Q(hears_all_operations=True)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return show(Prefix.MERCHANT, self.id)


class Account(models.Model):
    """The provider's reference of an account, card or terminal: an event may name it instead of the merchant."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="accounts")
    reference = models.CharField(max_length=REFERENCE_LENGTH)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="account_reference_unique"),
            models.CheckConstraint(name="account_reference_not_empty", condition=~Q(reference="")),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def public_id(self) -> str:
        return show(Prefix.ACCOUNT, self.id)
