"""The statements of publishing. `INSERT_EVENTS` is the whole fan-out: never stale, and one round trip."""

INSERT_EVENTS = """
WITH RECURSIVE input AS MATERIALIZED (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(external_ids)s::text[], %(merchant_ids)s::uuid[], %(merchants)s::text[],
        %(accounts)s::text[], %(types)s::text[], %(patterns)s::text[], %(payloads)s::bytea[],
        %(occurred)s::timestamptz[], %(checked_tags)s::uuid[], %(is_known)s::bool[]
    ) WITH ORDINALITY AS i (
        id, external_id, merchant_uuid, merchant, account, type, patterns, payload, occurred_at, checked_tag, is_known,
        position
    )
),
resolved AS MATERIALIZED (
    SELECT
        i.*,
        -- Null for a type that is not on offer, the nil UUID for one that is not strict. One look for three answers:
        -- as joins, these and the merchants' modes took the planner a tenth of the whole time.
        (
            SELECT CASE WHEN t.strict THEN t.schema_tag ELSE '00000000-0000-0000-0000-000000000000' END
            FROM subscriptions_eventtype t WHERE t.name = i.type AND NOT t.archived
        ) AS asked_tag,
        a.merchant_id AS account_merchant_id,
        CASE WHEN i.merchant IS NULL THEN a.merchant_id ELSE COALESCE(
            -- Not asked for a reference: on tables that were never analysed the look was one through all merchants.
            CASE WHEN i.merchant_uuid IS NOT NULL THEN
                (SELECT m.id FROM subscriptions_merchant m WHERE m.id = i.merchant_uuid AND m.deleted_at IS NULL)
            END,
            (SELECT m.id FROM subscriptions_merchant m WHERE m.reference = i.merchant AND m.deleted_at IS NULL)
        ) END AS merchant_id
    FROM input i
    LEFT JOIN (
        subscriptions_account a JOIN subscriptions_merchant am ON am.id = a.merchant_id AND am.deleted_at IS NULL
    ) ON a.reference = i.account
),
judged AS MATERIALIZED (
    SELECT *, COALESCE(account_merchant_id <> merchant_id, FALSE) AS is_account_foreign,
        account IS NULL OR account_merchant_id IS NOT NULL AS is_account_known,
        asked_tag <> '00000000-0000-0000-0000-000000000000' AS is_strict,
        asked_tag <> '00000000-0000-0000-0000-000000000000' AND asked_tag IS DISTINCT FROM checked_tag AS is_unchecked
    FROM resolved
),
verdict AS MATERIALIZED (
    SELECT bool_and(
        asked_tag IS NOT NULL AND merchant_id IS NOT NULL AND is_account_known AND NOT is_account_foreign
        AND (is_known OR NOT is_unchecked)
    ) AS is_sound
    FROM judged
),
wanted_keys AS (
    SELECT * FROM unnest(
        %(key_ids)s::uuid[], %(key_events)s::uuid[], %(key_scopes)s::text[], %(keys)s::text[],
        %(key_digests)s::bytea[], %(key_expiries)s::timestamptz[]
    ) AS k (id, event_id, scope, key, request_hash, expires_at)
),
claimed_keys AS (
    INSERT INTO deliveries_idempotencykey (id, event_id, scope, key, request_hash, expires_at)
    SELECT id, event_id, scope, key, request_hash, expires_at FROM wanted_keys, verdict
    WHERE is_sound
    ORDER BY scope, key  -- racing batches meet in the same order, so that they cannot deadlock
    ON CONFLICT (scope, key) DO NOTHING
    RETURNING event_id
),
accepted AS MATERIALIZED (
    SELECT j.* FROM judged j JOIN verdict ON is_sound
    LEFT JOIN (SELECT event_id, count(*) AS keys FROM wanted_keys GROUP BY event_id) w ON w.event_id = j.id
    LEFT JOIN (SELECT event_id, count(*) AS keys FROM claimed_keys GROUP BY event_id) c ON c.event_id = j.id
    -- What is said to be known is answered as a duplicate or not at all: its payload was not checked.
    WHERE w.keys IS NOT DISTINCT FROM c.keys AND NOT j.is_unchecked
),
new_events AS (
    INSERT INTO deliveries_event
        (id, external_id, merchant_id, type, account, payload, is_test, is_live, occurred_at, created_at)
    SELECT id, external_id, merchant_id, type, account, payload, FALSE,
        (SELECT m.mode = 'live' FROM subscriptions_merchant m WHERE m.id = merchant_id), occurred_at, %(now)s
    FROM accepted
),
chain AS (
    -- Each merchant with all who stand above it: their endpoints hear its events.
    SELECT DISTINCT merchant_id, merchant_id AS owner_id FROM accepted
    UNION
    SELECT c.merchant_id, m.parent_id FROM chain c JOIN subscriptions_merchant m ON m.id = c.owner_id
    WHERE m.parent_id IS NOT NULL
),
matched AS MATERIALIZED (
    SELECT
        a.id AS event_id, a.type, a.account, a.position, e.id AS endpoint_id, e.owner_id, e.is_active,
        -- Delivery ids follow their event's: they sort as the events were published, also within a millisecond.
        (left(a.id::text, 33) || lpad(to_hex(row_number() OVER (PARTITION BY a.id ORDER BY e.id)), 3, '0'))::uuid AS id
    FROM accepted a
    JOIN chain c ON c.merchant_id = a.merchant_id
    JOIN subscriptions_endpoint e ON e.owner_id = c.owner_id
    WHERE e.deleted_at IS NULL
    AND (e.event_types IS NULL OR e.event_types::text[] && string_to_array(a.patterns, ' '))
    AND (cardinality(e.accounts) = 0 OR a.account = ANY (e.accounts))
),
new_deliveries AS (
    INSERT INTO deliveries_delivery
        (id, event_id, endpoint_id, owner_id, event_type, account, status,
         attempts_made, attempts_counted, next_attempt_at, created_at)
    SELECT id, event_id, endpoint_id, owner_id, type, account, CASE WHEN is_active THEN 'pending' ELSE 'held' END,
        0, 0, CASE WHEN is_active THEN %(now)s END, %(now)s
    FROM matched ORDER BY position
),
new_entries AS (
    INSERT INTO deliveries_laneentry (delivery_id, endpoint_id, due_at, trigger)
    -- Never later than the database's own clock: a web host whose clock is ahead must not delay what it publishes.
    SELECT id, endpoint_id, LEAST(%(now)s, clock_timestamp()), 'event' FROM matched WHERE is_active ORDER BY position
),
new_lanes AS (
    INSERT INTO deliveries_lane (endpoint_id, in_flight, "window", is_suspect)
    SELECT DISTINCT m.endpoint_id, '{}'::uuid[], %(window)s, FALSE
    FROM matched m LEFT JOIN deliveries_lane l ON l.endpoint_id = m.endpoint_id
    WHERE l.endpoint_id IS NULL AND m.is_active
    ORDER BY m.endpoint_id
    ON CONFLICT DO NOTHING
)
SELECT
    j.asked_tag IS NOT NULL, j.merchant_id, j.is_account_known, j.is_account_foreign, COALESCE(j.is_strict, FALSE),
    j.is_unchecked AND NOT j.is_known, a.position IS NOT NULL, COALESCE(o.deliveries, 0), COALESCE(o.endpoints, '{}')
FROM judged j
LEFT JOIN accepted a ON a.position = j.position
-- Counted once for the whole batch: looked up for each event, the time grew with the square of the batch.
LEFT JOIN (
    SELECT position, count(*) AS deliveries, array_agg(endpoint_id) FILTER (WHERE is_active) AS endpoints
    FROM matched GROUP BY position
) o ON o.position = j.position
ORDER BY j.position
"""

PUBLISH_ONE = """
SELECT * FROM signet_publish_one(
    %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::uuid[], %s::text[], %s::text[], %s::bytea[],
    %s::timestamptz[]
)
"""
# The same for one event, as a function in the database whose plans are kept: migration 0006.

PUBLISH_GROUP = """
SELECT asked.position, k.last_used_at, f.*
FROM unnest(
    %s::uuid[], %s::bytea[], %s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::bytea[], %s::timestamptz[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::bytea[], %s::timestamptz[]
) WITH ORDINALITY AS asked (
    api_key_id, api_key_digest, id, external_id, merchant_uuid, merchant, account, type, patterns,
    payload, occurred_at, checked_tag, key_id, key_scope, key, key_digest, key_expires_at, position
)
CROSS JOIN LATERAL (
    -- A key that was revoked a moment ago publishes nothing. OFFSET 0: the events are gone through in their order.
    SELECT a.last_used_at FROM subscriptions_apikey a
    WHERE a.id = asked.api_key_id AND a.digest = asked.api_key_digest AND a.scope = 'provider'
    AND a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > %s)
    OFFSET 0
) k
CROSS JOIN LATERAL signet_publish_one(
    %s, %s, asked.id, asked.external_id, asked.merchant_uuid, asked.merchant, asked.account, asked.type,
    asked.patterns, asked.payload, asked.occurred_at, asked.checked_tag, FALSE,
    array_remove(ARRAY[asked.key_id], NULL), array_remove(ARRAY[asked.key_scope], NULL),
    array_remove(ARRAY[asked.key], NULL), array_remove(ARRAY[asked.key_digest], NULL),
    array_remove(ARRAY[asked.key_expires_at], NULL)
) f
"""
# Events of several callers, each with the key that its caller showed; each stands and falls by itself.

FIND_KEYS = """
SELECT k.scope, k.key, k.event_id, k.request_hash, k.expires_at
FROM deliveries_idempotencykey k
JOIN unnest(%s::text[], %s::text[]) AS w (scope, key) ON k.scope = w.scope AND k.key = w.key
"""

FIND_HELD = """
SELECT w.id, e.external_id,
    (
        SELECT count(*) FROM deliveries_delivery d
        WHERE d.event_id = w.id AND d.id BETWEEN w.low AND w.high AND d.id BETWEEN %(low)s AND %(high)s
    )
FROM unnest(%(events)s::uuid[], %(lows)s::uuid[], %(highs)s::uuid[]) AS w (id, low, high)
LEFT JOIN deliveries_event e ON e.id = w.id AND e.id = ANY (%(events)s::uuid[])
"""
