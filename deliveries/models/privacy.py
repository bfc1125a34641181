"""Expunges: contents taken out of the log for good. Exports: a merchant's log as a file, made in the background."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from dispatcher.ids import Prefix, new_id, show
from subscriptions.models.merchants import REFERENCE_LENGTH


class Expunge(models.Model):
    """One request to take the contents of an event, or of all events of an account, out of the log; how far it is."""

    class Status(models.TextChoices):
        RUNNING = "running"
        FINISHED = "finished"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant_id = models.UUIDField(help_text="Whose events they are.")
    event_id = models.UUIDField(null=True, help_text="The one event that is meant.")
    account = models.CharField(max_length=REFERENCE_LENGTH, null=True, help_text="Or the account, all of whose are.")
    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    since = models.DateTimeField(help_text="Of the oldest event that there is to look at.")
    until = models.DateTimeField()
    cursor = models.UUIDField(null=True, help_text="The last event that was looked at.")
    waiting = ArrayField(
        models.UUIDField(), default=list, help_text="Events that were on their way to a receiver when they were due."
    )
    expunged = models.PositiveBigIntegerField(default=0, help_text="Events whose contents are gone.")
    cancelled = models.PositiveBigIntegerField(default=0, help_text="Deliveries that will not be sent because of it.")
    actor = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="expunge_of_event_or_account",
                condition=Q(event_id__isnull=False, account__isnull=True)
                | Q(event_id__isnull=True, account__isnull=False),
            ),
            models.CheckConstraint(
                name="expunge_end_fits_status",
                condition=Q(status="running", finished_at__isnull=True)
                | Q(status="finished", finished_at__isnull=False, waiting=[]),
            ),
        ]
        indexes = [models.Index(fields=["updated_at"], name="expunge_running", condition=Q(status="running"))]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.EXPUNGE, self.id)


class Export(models.Model):
    """One request for a merchant's log as a file. Its chunks, one after the other, are the file."""

    class Format(models.TextChoices):
        CSV = "csv"
        NDJSON = "ndjson"

    class Status(models.TextChoices):
        RUNNING = "running"
        FINISHED = "finished"
        STOPPED = "stopped"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner_id = models.UUIDField()
    format = models.CharField(max_length=8, choices=Format)
    include = ArrayField(models.CharField(max_length=16), default=list)
    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    stop_reason = models.CharField(max_length=64, blank=True, default="")
    since = models.DateTimeField()
    until = models.DateTimeField()
    cursor = models.UUIDField(null=True, help_text="The last delivery that is in the file.")
    deliveries = models.PositiveBigIntegerField(default=0, help_text="Those that are in the file so far.")
    size_bytes = models.PositiveBigIntegerField(default=0, help_text="Of the file so far.")
    stored_bytes = models.PositiveBigIntegerField(default=0, help_text="Of its chunks, compressed.")
    actor = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="When the file goes.")

    class Meta:
        constraints = [
            models.CheckConstraint(name="export_format_known", condition=Q(format__in=["csv", "ndjson"])),
            models.CheckConstraint(
                name="export_end_fits_status",
                condition=Q(status="running", finished_at__isnull=True)
                | Q(status__in=["finished", "stopped", "expired"], finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="export_file_has_end", condition=~Q(status="finished") | Q(expires_at__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["owner_id", "-id"], name="export_by_owner"),
            models.Index(fields=["updated_at"], name="export_running", condition=Q(status="running")),
            models.Index(fields=["expires_at"], name="export_expiry", condition=Q(status="finished")),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.EXPORT, self.id)


class ExportChunk(models.Model):
    """A piece of an export's file, compressed. `begins_at` is where it stands in the file, in bytes."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    export = models.ForeignKey(Export, models.CASCADE, related_name="chunks")
    begins_at = models.PositiveBigIntegerField()
    size_bytes = models.PositiveIntegerField(help_text="Of the piece of the file, not of what is stored for it.")
    data = models.BinaryField(help_text="The piece, compressed with zlib.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["export", "begins_at"], name="export_chunk_once")]

    def __str__(self) -> str:
        return f"{self.export_id} from {self.begins_at}"
