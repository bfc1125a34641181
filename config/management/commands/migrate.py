"""Django's `migrate`, one at a time: installations start several processes at once, and each brings the schema up.

The partitions of the next days are made with it: what is published right afterwards finds its day.
"""

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from deliveries.selectors.partitions import is_partitioned
from deliveries.services import partitions
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.services import operational_types

PARTIAL = ("app_label", "plan", "check_unapplied", "fake", "prune")
# With these it leaves the schema as it is, or somewhere on the way: the catalogue's table may be another.


class Command(migrate.Command):
    help = "Bring the database's schema up to date. Whoever comes second waits, and finds nothing left to do."

    def handle(self, *args: Any, **options: Any) -> None:
        """Whoever comes second waits, and finds nothing left to do."""
        with connections[options["database"]].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock.MIGRATE])
            try:
                super().handle(*args, **options)
                if not any(options[name] for name in PARTIAL):
                    operational_types.ensure(now=timezone.now())
                if options["database"] == DEFAULT_DB_ALIAS and not options["plan"] and is_partitioned():
                    partitions.make_ahead(now=timezone.now())
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [AdvisoryLock.MIGRATE])
