"""Replays: many deliveries sent again at somebody's request, in steps that survive a crash."""

from django.db import models
from django.db.models import Q

from dispatcher.ids import Prefix, new_id, show


class Replay(models.Model):
    """One request to send again what failed, what is held or what an endpoint was never owed; and how far it is."""

    class Kind(models.TextChoices):
        RECOVER = "recover"
        MISSING = "replay_missing"
        RELEASE = "release"

    class Status(models.TextChoices):
        RUNNING = "running"
        FINISHED = "finished"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    endpoint_id = models.UUIDField()
    owner_id = models.UUIDField()
    kind = models.CharField(max_length=16, choices=Kind)
    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    since = models.DateTimeField()
    until = models.DateTimeField()
    cursor = models.UUIDField(null=True, help_text="The last row that was looked at; the next step begins after it.")
    sent = models.PositiveBigIntegerField(default=0, help_text="Deliveries that it has made due so far.")
    stop_reason = models.CharField(max_length=64, blank=True, default="")
    actor = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint_id", "kind"], name="replay_one_running", condition=Q(status="running")
            ),
            models.CheckConstraint(
                name="replay_kind_known", condition=Q(kind__in=["recover", "replay_missing", "release"])
            ),
            models.CheckConstraint(
                name="replay_end_fits_status",
                condition=Q(status="running", finished_at__isnull=True)
                | Q(status__in=["finished", "stopped"], finished_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["owner_id", "-id"], name="replay_by_owner"),
            models.Index(fields=["updated_at"], name="replay_running", condition=Q(status="running")),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return show(Prefix.REPLAY, self.id)
