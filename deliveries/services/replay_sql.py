"""The statements of replays. Each looks at a bounded number of rows, however long the log is."""

LANE_IS_FULL = """
SELECT count(*) >= %(most)s FROM (
    SELECT FROM deliveries_laneentry WHERE endpoint_id = %(endpoint)s AND due_at <= %(now)s LIMIT %(most)s
) AS waiting
"""

FIND_IN_LOG = """
WITH looked AS MATERIALIZED (
    SELECT id, event_id, status, created_at FROM deliveries_delivery
    WHERE endpoint_id = %(endpoint)s AND id > %(after)s AND id < %(before)s
    ORDER BY id LIMIT %(look)s
),
wanted AS MATERIALIZED (
    SELECT id FROM looked l WHERE status = %(status)s AND created_at >= %(since)s AND created_at < %(until)s
    AND (
        SELECT v.expunged_at FROM deliveries_event v
        WHERE v.id = l.event_id AND v.id BETWEEN %(low)s AND %(high)s LIMIT 1
    ) IS NULL
    ORDER BY id LIMIT %(most)s
),
ends AS (
    SELECT (SELECT count(*) FROM looked) AS looked, (SELECT count(*) FROM wanted) AS wanted,
        (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last_looked,
        (SELECT id FROM wanted ORDER BY id DESC LIMIT 1) AS last_wanted
)
SELECT ARRAY(SELECT id FROM wanted ORDER BY id),
    -- Behind the last one that there was room for, others may stand among those that were looked at.
    CASE WHEN wanted = %(most)s THEN last_wanted ELSE last_looked END,
    wanted < %(most)s AND looked < %(look)s
FROM ends
"""

FIND_MISSING = """
WITH RECURSIVE below AS (
    -- The endpoint hears the events of its owner and of all merchants below.
    SELECT owner_id AS id FROM subscriptions_endpoint WHERE id = %(endpoint)s
    UNION
    SELECT m.id FROM subscriptions_merchant m JOIN below b ON m.parent_id = b.id
),
looked AS MATERIALIZED (
    SELECT e.* FROM below b CROSS JOIN LATERAL (
        SELECT v.id, v.type, v.account, v.is_test, v.expunged_at, v.created_at FROM deliveries_event v
        -- As pairs, which only the merchants' index can give in order. By the id alone the planner may walk through
        -- everybody's events, to the end where the merchant has few.
        WHERE (v.merchant_id, v.id) > (b.id, %(after)s) AND (v.merchant_id, v.id) < (b.id, %(before)s)
        -- Says which days are meant: the planner does not read that from pairs.
        AND v.id > %(after)s AND v.id < %(before)s
        ORDER BY v.merchant_id, v.id LIMIT %(look)s
    ) e
    ORDER BY e.id LIMIT %(look)s
),
wanted AS MATERIALIZED (
    SELECT l.id FROM looked l JOIN subscriptions_endpoint p ON p.id = %(endpoint)s
    WHERE NOT l.is_test AND l.expunged_at IS NULL AND l.created_at >= %(since)s AND l.created_at < %(until)s
    -- What the platform tells about itself is for those who listened then.
    AND NOT starts_with(l.type, 'signet.')
    AND (p.event_types IS NULL OR EXISTS (
        SELECT FROM unnest(p.event_types) AS w (name)
        WHERE w.name = l.type OR (right(w.name, 2) = '.*' AND starts_with(l.type, left(w.name, -1)))
    ))
    AND (cardinality(p.accounts) = 0 OR l.account = ANY (p.accounts))
    -- Row by row, and of each only the partition of its day: as a join it would read all deliveries of the window.
    AND (
        SELECT d.id FROM deliveries_delivery d WHERE d.event_id = l.id AND d.endpoint_id = p.id
        AND d.id BETWEEN (left(l.id::text, 33) || '000')::uuid AND (left(l.id::text, 33) || 'fff')::uuid
        AND d.id BETWEEN %(low)s AND %(high)s LIMIT 1
    ) IS NULL
    ORDER BY l.id LIMIT %(most)s
),
ends AS (
    SELECT (SELECT count(*) FROM looked) AS looked, (SELECT count(*) FROM wanted) AS wanted,
        (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last_looked,
        (SELECT id FROM wanted ORDER BY id DESC LIMIT 1) AS last_wanted
)
SELECT ARRAY(SELECT id FROM wanted ORDER BY id),
    CASE WHEN wanted = %(most)s THEN last_wanted ELSE last_looked END,
    wanted < %(most)s AND looked < %(look)s
FROM ends
"""

OWE_MISSING = """
WITH wanted AS MATERIALIZED (
    SELECT v.id AS event_id, v.type, v.account, v.created_at,
        -- The next place behind the event's other deliveries, whose ids are the event's with a number at their end.
        COALESCE((
            SELECT ('x' || lpad(right(d.id::text, 3), 8, '0'))::bit(32)::int FROM deliveries_delivery d
            WHERE d.event_id = v.id AND d.id BETWEEN %(low)s AND %(high)s
            AND d.id BETWEEN (left(v.id::text, 33) || '000')::uuid AND (left(v.id::text, 33) || 'fff')::uuid
            ORDER BY d.id DESC LIMIT 1
        ), 0) + 1 AS place
    -- Shared: whoever takes the contents of one of them away waits, and then finds the new delivery too.
    FROM deliveries_event v WHERE v.id = ANY (%(events)s::uuid[]) AND v.expunged_at IS NULL FOR SHARE OF v
),
owed AS (
    INSERT INTO deliveries_delivery
        (id, event_id, endpoint_id, owner_id, event_type, account, status,
         attempts_made, attempts_counted, next_attempt_at, created_at)
    -- As old as its id says: the log looks for both in one window.
    SELECT (left(w.event_id::text, 33) || lpad(to_hex(w.place), 3, '0'))::uuid, w.event_id, p.id, p.owner_id, w.type,
        w.account, 'pending', 0, 0, %(now)s, w.created_at
    FROM wanted w JOIN subscriptions_endpoint p ON p.id = %(endpoint)s
    WHERE w.place < 4096
    ON CONFLICT DO NOTHING
    RETURNING id, endpoint_id
),
entered AS (
    INSERT INTO deliveries_laneentry (delivery_id, endpoint_id, due_at, trigger)
    SELECT id, endpoint_id, LEAST(%(now)s, statement_timestamp()), 'replay' FROM owed
)
SELECT count(*) FROM owed
"""
