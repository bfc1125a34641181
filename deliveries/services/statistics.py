"""Adds up what drains counted into the hourly counts. Nothing depends on when: readers add what is still waiting."""

from django.db import connection

from deliveries.selectors import counts_sql
from subscriptions.killpoints import reached

DELTAS_A_STEP = 200
# Up to 256 attempts each: a step is one transaction of a fraction of a second, and what it locks are hourly counts,
# which nobody else writes.
STEPS_A_RUN = 20
# After a long time without beat, run by run: a worker that rolls up is kept from the sweep for seconds at most.
FULL_RUN = STEPS_A_RUN * DELTAS_A_STEP

ROLL_UP = f"""
WITH taken AS MATERIALIZED (
    DELETE FROM deliveries_countdelta WHERE id = ANY (ARRAY(
        SELECT id FROM deliveries_countdelta ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING *
),
summed AS MATERIALIZED (
    SELECT hour, endpoint_id, owner_id, event_type, {counts_sql.COUNTS}
    FROM (
        SELECT {counts_sql.HOUR} AS hour, a.endpoint_id, a.owner_id, a.event_type, a.leaves, {counts_sql.CLASS} AS class
        FROM {counts_sql.rows_of("taken")}
    ) a
    -- An endpoint never changes hands.
    GROUP BY hour, endpoint_id, owner_id, event_type
),
added AS (
    INSERT INTO deliveries_hourlycount AS h
        (id, hour, endpoint_id, owner_id, event_type, attempts, delivered, failed, latencies)
    SELECT gen_random_uuid(), hour, endpoint_id, owner_id, event_type, attempts, delivered, failed, latencies
    -- Roll-ups that meet lock the same rows in the same order, so that they cannot deadlock.
    FROM summed ORDER BY endpoint_id, hour, event_type
    ON CONFLICT (endpoint_id, hour, event_type) DO UPDATE SET
        attempts = h.attempts + excluded.attempts, delivered = h.delivered + excluded.delivered,
        failed = h.failed + excluded.failed,
        latencies = {counts_sql.latencies_added("h.latencies", "excluded.latencies")}
)
SELECT count(*) FROM taken
"""  # noqa: S608 - built from the constants of counts_sql


def roll_up() -> int:
    """Take what drains counted and add it to the hourly counts, step by step. Returns how many deltas were taken.

    Each step is one statement: deltas go and counts grow together or not at all. Any number of roll-ups may run at
    once; each takes what no other has locked. Less than FULL_RUN means that nothing else was left.
    """
    taken = 0
    for _ in range(STEPS_A_RUN):
        count = _step()
        reached("roll_up.stepped")
        taken += count
        if count < DELTAS_A_STEP:
            break
    return taken


def _step() -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROLL_UP, {"limit": DELTAS_A_STEP})
        (count,) = cursor.fetchone()
    return int(count)
