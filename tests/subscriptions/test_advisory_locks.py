"""Advisory locks: their numbers come from one list, so that no two are the same by chance."""

import re
from pathlib import Path

import pytest
from django.db import connection

from subscriptions.advisory_locks import AdvisoryLock

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"pg_\w*advisory_\w*lock\w*\(([^)]*)\)")
FROM_LIST = re.compile(r"\[(chore|AdvisoryLock\.[A-Z_]+)\]")


def test_all_numbers_come_from_the_list() -> None:
    """Each statement has one parameter, and the list's member, or the one that `alone` was given, stands beside it."""
    paths = [path for package in ("config", "deliveries", "subscriptions") for path in (ROOT / package).rglob("*.py")]
    sources = "\n".join(path.read_text() for path in paths)
    calls = [line for line in sources.splitlines() if CALL.search(line)]
    assert calls
    assert [line for line in calls if CALL.findall(line) != ["%s"] or not FROM_LIST.search(line)] == []
    assert set(re.findall(r"AdvisoryLock\.([A-Z_]+)", sources)) == {lock.name for lock in AdvisoryLock}


@pytest.mark.django_db
@pytest.mark.parametrize("lock", AdvisoryLock)
def test_postgres_takes_each(lock: AdvisoryLock) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
        assert cursor.fetchone() == (True,)
        cursor.execute("SELECT (classid::int8 << 32) + objid::int8 FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchall() == [(lock.value,)]
