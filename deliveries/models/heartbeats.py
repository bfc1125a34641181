"""Heartbeats: that a worker or beat is there, and when it last got somewhere."""

from django.db import models

NODE_LENGTH = 255


class Heartbeat(models.Model):
    """One process that keeps deliveries moving. It writes its row every few seconds, by the database's clock."""

    class Kind(models.TextChoices):
        DRAIN = "drain"
        TASKS = "tasks"
        BEAT = "beat"

    node = models.CharField(primary_key=True, max_length=NODE_LENGTH, help_text="Its name and host: `drain-8000@web1`.")
    kind = models.CharField(max_length=8, choices=Kind)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(help_text="When it last said that it is there.")
    progressed_at = models.DateTimeField(
        help_text="A drain's last turn, the end of the last task of the others, beat's last tick that Redis took."
    )

    def __str__(self) -> str:
        return self.node
