"""How attempts are counted, in SQL: one wording for the roll-up, for what waits for it and for a recount.

An attempt belongs to the hour in which it started, and counts by what it left of its delivery. Left out are those of
test events, which are the ones with `trigger = 'test'`, and those whose `leaves` is null: they are older than the
statistics.
"""

from dispatcher.latencies import CLASSES, LATENCY_BOUNDS_MS

_POSITIONS = range(1, CLASSES + 1)
_BOUNDS = ",".join(map(str, LATENCY_BOUNDS_MS))

HOUR = "date_trunc('hour', a.started_at, 'UTC')"

CLASS = f"CASE WHEN a.leaves = 'delivered' THEN width_bucket(a.latency_ms, ARRAY[{_BOUNDS}]::float8[]) END"

# Of rows with `leaves` and `class`.
COUNTS = f"""
    count(*) AS attempts,
    count(*) FILTER (WHERE leaves = 'delivered') AS delivered,
    count(*) FILTER (WHERE leaves = 'failed') AS failed,
    ARRAY[{", ".join(f"count(*) FILTER (WHERE class = {n})" for n in range(CLASSES))}] AS latencies
"""


def rows_of(deltas: str) -> str:
    """The attempts in these deltas, one a row, called `a`; `d` is the delta."""
    return f"""{deltas} d
    CROSS JOIN LATERAL unnest(d.endpoint_ids, d.owner_ids, d.event_types, d.started, d.leaves, d.latencies_ms)
        AS a (endpoint_id, owner_id, event_type, started_at, leaves, latency_ms)"""


def latency_sums(condition: str = "TRUE") -> str:
    """The sum of rows' `latencies`, class by class."""
    sums = (f"COALESCE(sum(latencies[{n}]) FILTER (WHERE {condition}), 0)::bigint" for n in _POSITIONS)
    return f"ARRAY[{', '.join(sums)}]"


def latencies_added(one: str, other: str) -> str:
    """Two such arrays, added class by class."""
    return f"ARRAY[{', '.join(f'{one}[{n}] + {other}[{n}]' for n in _POSITIONS)}]"


def latencies_subtracted(one: str, other: str) -> str:
    return f"ARRAY[{', '.join(f'{one}[{n}] - {other}[{n}]' for n in _POSITIONS)}]"
