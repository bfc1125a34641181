"""Django's `migrate`, one at a time: installations start several processes at once, and each brings the schema up.

The partitions of the next days are made with it: what is published right afterwards finds its day.
"""

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from deliveries.selectors.partitions import is_partitioned
from deliveries.services import partitions

LOCK = 7_366_946
# Any number will do, as long as nothing else takes an advisory lock of the same number in this database.


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """Whoever comes second waits, and finds nothing left to do."""
        with connections[options["database"]].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            try:
                super().handle(*args, **options)
                if options["database"] == DEFAULT_DB_ALIAS and not options["plan"] and is_partitioned():
                    partitions.make_ahead(now=timezone.now())
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
