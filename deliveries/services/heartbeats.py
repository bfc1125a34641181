"""Writes what keeps deliveries moving: each worker and beat, every few seconds."""

from django.db import connection

FORGOTTEN_AFTER = "1 hour"
# A node that has been silent for so long is not coming back under its name; until then its silence is to be seen.

BEAT = """
WITH forgotten AS (
    DELETE FROM deliveries_heartbeat
    WHERE beat_at < statement_timestamp() - %(forgotten_after)s::interval AND node <> %(node)s
)
INSERT INTO deliveries_heartbeat (node, kind, pid, started_at, beat_at, progressed_at)
VALUES (
    %(node)s, %(kind)s, %(pid)s,
    statement_timestamp() - make_interval(secs => %(age_s)s), statement_timestamp(),
    statement_timestamp() - make_interval(secs => %(progress_age_s)s)
)
ON CONFLICT (node) DO UPDATE SET
    kind = excluded.kind, pid = excluded.pid, beat_at = excluded.beat_at, progressed_at = excluded.progressed_at,
    -- Computed anew with each beat it would tremble.
    started_at = CASE
        WHEN deliveries_heartbeat.pid = excluded.pid THEN deliveries_heartbeat.started_at ELSE excluded.started_at
    END
"""


def beat(*, node: str, kind: str, pid: int, age_s: float, progress_age_s: float) -> None:
    """The node is there. `age_s` is how long it has run, `progress_age_s` how long ago it last got somewhere."""
    params: dict[str, str | float] = {"node": node, "kind": kind, "pid": pid, "forgotten_after": FORGOTTEN_AFTER}
    with connection.cursor() as cursor:
        cursor.execute(BEAT, params | {"age_s": age_s, "progress_age_s": progress_age_s})


def leave(*, node: str, pid: int) -> None:
    """The node has stopped as it should. A successor of the same name stays."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM deliveries_heartbeat WHERE node = %s AND pid = %s", [node, pid])
