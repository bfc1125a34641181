"""Seals every secret and credential anew with the first of ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from subscriptions.services.reencryption import reencrypt


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret and credential with the first of ENCRYPTION_KEYS. Put the new key first, restart, "
        "run this, then take the old key out. It may be interrupted and run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        unreadable = {}
        for progress in reencrypt():
            self.stdout.write(f"{progress.kind}: {progress.seen} seen, {progress.renewed} encrypted anew")
            unreadable[progress.kind] = progress.unreadable
        if any(unreadable.values()):
            raise CommandError(f"No key of the ring opens {sum(unreadable.values())} rows; the log names them.")
        self.stdout.write("Everything is encrypted with the first key.")
