"""The statements that publish occurrences: the fan-out of the platform's own events, for a whole step at once."""

PUBLISH = """
WITH RECURSIVE input AS MATERIALIZED (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(types)s::text[], %(patterns)s::text[], %(merchants)s::uuid[], %(endpoints)s::uuid[],
        %(accounts)s::text[], %(payloads)s::bytea[], %(occurred)s::timestamptz[]
    ) AS i (id, type, patterns, merchant_id, about_id, account, payload, occurred_at)
),
chain AS (
    -- Each merchant with all who stand above it.
    SELECT DISTINCT merchant_id, merchant_id AS owner_id FROM input
    UNION
    SELECT c.merchant_id, m.parent_id FROM chain c JOIN subscriptions_merchant m ON m.id = c.owner_id
    WHERE m.parent_id IS NOT NULL
),
hearing AS (
    SELECT merchant_id, owner_id FROM chain
    UNION
    SELECT i.merchant_id, m.id FROM input i CROSS JOIN subscriptions_merchant m
    WHERE m.hears_all_operations AND m.deleted_at IS NULL
),
matched AS MATERIALIZED (
    SELECT
        i.id AS event_id, i.type, i.account, e.id AS endpoint_id, e.owner_id, e.is_active,
        -- Delivery ids follow their event's, as those of other events do.
        (left(i.id::text, 33) || lpad(to_hex(row_number() OVER (PARTITION BY i.id ORDER BY e.id)), 3, '0'))::uuid AS id
    FROM input i
    JOIN hearing h ON h.merchant_id = i.merchant_id
    JOIN subscriptions_endpoint e ON e.owner_id = h.owner_id
    WHERE e.deleted_at IS NULL AND e.id <> i.about_id
    -- Null asks for all types, but not for these.
    AND e.event_types::text[] && string_to_array(i.patterns, ' ')
    AND (cardinality(e.accounts) = 0 OR i.account = ANY (e.accounts))
),
new_events AS (
    INSERT INTO deliveries_event
        (id, external_id, merchant_id, type, account, payload, is_test, is_live, occurred_at, created_at)
    SELECT i.id, NULL, i.merchant_id, i.type, i.account, i.payload, FALSE, m.mode = 'live', i.occurred_at, %(now)s
    FROM input i JOIN subscriptions_merchant m ON m.id = i.merchant_id
    WHERE i.id IN (SELECT event_id FROM matched)
),
new_deliveries AS (
    INSERT INTO deliveries_delivery
        (id, event_id, endpoint_id, owner_id, event_type, account, status,
         attempts_made, attempts_counted, next_attempt_at, created_at)
    SELECT id, event_id, endpoint_id, owner_id, type, account, CASE WHEN is_active THEN 'pending' ELSE 'held' END,
        0, 0, CASE WHEN is_active THEN %(now)s END, %(now)s
    FROM matched ORDER BY id
),
new_entries AS (
    INSERT INTO deliveries_laneentry (delivery_id, endpoint_id, due_at, trigger)
    SELECT id, endpoint_id, LEAST(%(now)s, clock_timestamp()), 'event' FROM matched WHERE is_active ORDER BY id
),
new_lanes AS (
    INSERT INTO deliveries_lane (endpoint_id, in_flight, "window", is_suspect)
    SELECT DISTINCT m.endpoint_id, '{}'::uuid[], %(window)s, FALSE
    FROM matched m LEFT JOIN deliveries_lane l ON l.endpoint_id = m.endpoint_id
    WHERE l.endpoint_id IS NULL AND m.is_active
    ORDER BY m.endpoint_id
    ON CONFLICT DO NOTHING
)
SELECT COALESCE(array_agg(DISTINCT endpoint_id) FILTER (WHERE is_active), '{}') FROM matched
"""

DROP = "DELETE FROM subscriptions_occurrence WHERE id = ANY (%(ids)s::uuid[])"
