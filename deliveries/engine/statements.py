"""The engine's SQL. Each statement serves a whole group, however large: their number does not grow with the work.

A turn is one transaction: RECORD, LOCK_LANES, (INTERRUPT, SETTLE when needed,) PICK, READ, SAVE_LANES, (TELL if
needed). Lane rows are always locked in the order of their ids, or with SKIP LOCKED, so that turns and publishers
cannot deadlock.

The planner looks only into the partitions of those days that a statement names. Therefore what is due is picked by one
statement and read by the next, which knows the ids. Deliveries are named one by one (`= ANY`), their events are
asked for between two ids, and then one by one in a LATERAL: of a range alone the planner thinks that it holds one row,
for the newest ids are in no statistics yet, and compares each row with each.

Arrays travel in binary (`%b`): as text, psycopg looks at every character of every header block for quotes, which cost
11 µs an element against 0.6 µs.
"""

RECORD = """
WITH held AS MATERIALIZED (
    -- A drain that lost its lease must not overwrite what came after.
    SELECT endpoint_id, is_ordered FROM deliveries_lane
    WHERE endpoint_id = ANY (%(lanes)b::uuid[]) AND lease_token = %(token)s
    ORDER BY endpoint_id FOR NO KEY UPDATE
),
result AS MATERIALIZED (
    SELECT r.*, held.is_ordered FROM unnest(
        %(endpoint_ids)b::uuid[], %(delivery_ids)b::uuid[], %(attempt_ids)b::uuid[], %(numbers)b::int[],
        %(triggers)b::text[], %(statuses)b::text[], %(counted)b::bool[], %(next_at)b::timestamptz[],
        %(reasons)b::text[], %(urls)b::text[], %(request_headers)b::text[], %(request_bodies)b::bytea[],
        %(response_statuses)b::int[], %(response_headers)b::text[],
        %(response_bodies)b::bytea[], %(truncated)b::bool[], %(body_errors)b::text[], %(details)b::text[],
        %(peers)b::text[], %(dns)b::float8[], %(connect)b::float8[], %(tls)b::float8[], %(send)b::float8[],
        %(wait)b::float8[], %(total)b::float8[], %(started)b::timestamptz[], %(finished)b::timestamptz[]
    ) AS r (
        endpoint_id, delivery_id, attempt_id, number, trigger, status, is_counted, next_attempt_at,
        reason, url, request_headers, request_body, response_status, response_headers, response_body, is_truncated,
        body_error, detail, peer, dns_ms, connect_ms, tls_ms, send_ms, wait_ms, total_ms, started_at, finished_at
    )
    JOIN held USING (endpoint_id)
),
changed AS (
    -- The number guards against a group that is written twice because the first commit's answer got lost.
    UPDATE deliveries_delivery d SET
        status = r.status, attempts_made = r.number,
        attempts_counted = d.attempts_counted + r.is_counted::int,
        -- Five crashes in a row set a delivery aside, not five in its life.
        attempts_uncounted = CASE WHEN r.is_counted THEN 0 ELSE d.attempts_uncounted + 1 END,
        next_attempt_at = r.next_attempt_at,
        last_reason = r.reason, last_status = r.response_status, last_attempt_at = r.started_at,
        finished_at = CASE WHEN r.status IN ('delivered', 'failed') THEN r.finished_at END
    FROM result r WHERE d.id = r.delivery_id AND d.attempts_made = r.number - 1
    AND d.id = ANY (%(delivery_ids)b::uuid[])
    RETURNING d.id, d.next_attempt_at, r.is_ordered, r.attempt_id, r.endpoint_id, d.owner_id, d.event_type, r.status,
        r.started_at, r.total_ms
),
tried AS (
    INSERT INTO deliveries_attempt (
        id, delivery_id, number, trigger, is_counted, reason, leaves, url, request_headers, request_body,
        response_status, response_headers, response_body, is_response_truncated, body_error, detail, peer,
        dns_ms, connect_ms, tls_ms, send_ms, wait_ms, total_ms, started_at
    )
    SELECT attempt_id, delivery_id, number, trigger, is_counted, reason, status, url, request_headers, request_body,
        response_status, response_headers, response_body, is_truncated, body_error, detail, peer,
        dns_ms, connect_ms, tls_ms, send_ms, wait_ms, total_ms, started_at
    FROM result
    ON CONFLICT DO NOTHING
    RETURNING id, trigger
),
counted AS (
    -- What was inserted, and nothing else: the statistics always equal a recount of the attempts.
    INSERT INTO deliveries_countdelta (endpoint_ids, owner_ids, event_types, started, leaves, latencies_ms)
    SELECT array_agg(c.endpoint_id), array_agg(c.owner_id), array_agg(c.event_type), array_agg(c.started_at),
        array_agg(c.status), array_agg(c.total_ms)
    FROM tried t JOIN changed c ON c.attempt_id = t.id
    WHERE t.trigger <> 'test'
    HAVING count(*) > 0
),
gone AS (
    -- Only with its delivery: a pending delivery without an entry would wait for ever.
    DELETE FROM deliveries_laneentry e USING changed c WHERE e.delivery_id = c.id AND c.next_attempt_at IS NULL
),
moved AS (
    -- A lane in order keeps the place of a delivery that failed, and waits as a whole.
    UPDATE deliveries_laneentry e SET
        due_at = CASE WHEN c.is_ordered THEN e.due_at ELSE c.next_attempt_at END, trigger = 'retry'
    FROM changed c
    WHERE e.delivery_id = c.id AND c.next_attempt_at IS NOT NULL
)
-- All that was locked, so that all of it is locked here; and what has failed for good.
SELECT NULL::uuid FROM held UNION ALL SELECT id FROM changed WHERE status = 'failed'
"""

TELL = """
WITH said AS (
    UPDATE deliveries_lane SET
        reported_at = CASE WHEN endpoint_id = ANY (%(failing)b::uuid[]) THEN %(now)s::timestamptz END
    WHERE endpoint_id = ANY (%(failing)b::uuid[] || %(recovered)b::uuid[])
)
INSERT INTO subscriptions_occurrence (id, type, merchant_id, endpoint_id, account, detail, created_at)
SELECT n.id, n.type, e.owner_id, e.id, n.account, n.detail::jsonb, %(now)s
FROM unnest(
    %(ids)b::uuid[], %(types)b::text[], %(endpoints)b::uuid[], %(accounts)b::text[], %(details)b::text[]
) AS n (id, type, endpoint_id, account, detail)
JOIN subscriptions_endpoint e ON e.id = n.endpoint_id
"""

_LANE_COLUMNS = """
    l.endpoint_id, l.lease_token, l.in_flight, l."window", l.is_suspect, l.retry_at, l.paced_until,
    l.is_ordered, e.version, e.is_active, e.deleted_at IS NOT NULL, e.max_in_flight, e.ordered, e.rate_limit,
    e.channel <> 'webhook',
    l.half_started_at, l.attempts, l.failures, l.earlier_attempts, l.earlier_failures, l.open_s, l.open_until,
    l.failing_since, l.warned_at, l.reported_at
"""

LOCK_LANES = f"""
WITH touched AS MATERIALIZED (
    SELECT {_LANE_COLUMNS}
    FROM deliveries_lane l JOIN subscriptions_endpoint e ON e.id = l.endpoint_id
    WHERE l.endpoint_id = ANY (%(touched)b::uuid[]) AND l.lease_token = %(token)s
    ORDER BY l.endpoint_id FOR NO KEY UPDATE OF l
),
due AS MATERIALIZED (
    SELECT {_LANE_COLUMNS}
    FROM deliveries_lane l JOIN subscriptions_endpoint e ON e.id = l.endpoint_id
    WHERE l.due_at <= %(now)s
    AND (l.not_before IS NULL OR l.not_before <= %(now)s)
    AND (l.leased_until IS NULL OR l.leased_until <= %(now)s OR l.lease_token = %(token)s)
    AND (%(suspects)s OR NOT l.is_suspect)
    AND (%(letters)s OR e.channel = 'webhook')
    ORDER BY l.due_at LIMIT %(limit)s FOR NO KEY UPDATE OF l SKIP LOCKED
)
SELECT * FROM touched UNION ALL SELECT * FROM due
"""  # noqa: S608 - built from the constant above

PICK = """
SELECT p.* FROM unnest(%(lanes)b::uuid[], %(rooms)b::int[]) AS w (endpoint_id, room)
CROSS JOIN LATERAL (
    SELECT e.endpoint_id, e.delivery_id, e.due_at, e.trigger FROM deliveries_laneentry e
    WHERE e.endpoint_id = w.endpoint_id AND e.due_at <= %(now)s AND e.delivery_id <> ALL (%(flying)b::uuid[])
    ORDER BY e.due_at, e.delivery_id LIMIT w.room
) p
-- Lane by lane, as they are named: it stops where it has enough.
LIMIT %(limit)s
"""

_READ_COLUMNS = """
    p.endpoint_id, p.delivery_id, p.due_at,
    -- Whatever made it due: statistics leave these attempts out.
    CASE WHEN v.is_test THEN 'test' ELSE p.trigger END AS trigger,
    d.attempts_made, d.attempts_counted, d.attempts_uncounted,
    v.id, v.external_id, v.type, v.account, v.payload, v.occurred_at, v.merchant_id, v.is_live, d.next_attempt_at,
    v.traceparent
"""

_READ_FROM = """
FROM unnest(%(endpoint_ids)b::uuid[], %(delivery_ids)b::uuid[], %(due)b::timestamptz[], %(triggers)b::text[])
    WITH ORDINALITY AS p (endpoint_id, delivery_id, due_at, trigger, place)
JOIN deliveries_delivery d ON d.id = p.delivery_id AND d.id = ANY (%(delivery_ids)b::uuid[])
CROSS JOIN LATERAL (
    SELECT x.id, x.external_id, x.type, x.account, x.payload, x.occurred_at, x.merchant_id, x.is_live, x.is_test,
        x.traceparent
    FROM deliveries_event x WHERE x.id = d.event_id AND x.id BETWEEN %(low)s AND %(high)s LIMIT 1
) v
"""

READ = f"SELECT {_READ_COLUMNS} {_READ_FROM} ORDER BY p.due_at, p.delivery_id"

READ_WITHIN = f"""
WITH sized AS (
    SELECT {_READ_COLUMNS},
        -- What is stored apart is not fetched for its length.
        sum(octet_length(v.payload)) OVER (ORDER BY p.place) - octet_length(v.payload) AS bytes_before
    {_READ_FROM}
)
SELECT endpoint_id, delivery_id, due_at, trigger, attempts_made, attempts_counted, attempts_uncounted,
    id, external_id, type, account, payload, occurred_at, merchant_id, is_live, next_attempt_at,
    traceparent
FROM sized
-- Up to and including the one that goes over the limit, so that the largest gets its turn.
WHERE bytes_before < %(most_bytes)s
ORDER BY due_at, delivery_id
"""  # noqa: S608 - built from the constants above

ARRANGE = """
WITH moved AS (
    UPDATE deliveries_laneentry x SET due_at = found.due_at FROM (
        SELECT e.delivery_id, place.due_at
        FROM unnest(%(lanes)b::uuid[]) AS w (endpoint_id)
        JOIN subscriptions_endpoint p ON p.id = w.endpoint_id
        CROSS JOIN LATERAL (
            -- What is published from now on comes after the present, also where all that waits now comes later.
            SELECT LEAST(f.due_at, statement_timestamp()) AS due_at FROM deliveries_laneentry f
            WHERE f.endpoint_id = w.endpoint_id ORDER BY f.due_at LIMIT 1
        ) first
        JOIN deliveries_laneentry e ON e.endpoint_id = w.endpoint_id AND e.trigger = 'retry'
        JOIN deliveries_delivery d ON d.id = e.delivery_id
        -- What has been tried was published before all that has not: it stands in front, in the order of the ids.
        CROSS JOIN LATERAL (SELECT CASE WHEN p.ordered THEN first.due_at ELSE d.next_attempt_at END AS due_at) place
        WHERE e.due_at <> place.due_at
        LIMIT %(limit)s
    ) found
    WHERE x.delivery_id = found.delivery_id
    RETURNING 1
)
SELECT count(*) < %(limit)s FROM moved
"""

SAVE_LANES = """
UPDATE deliveries_lane l SET
    in_flight = COALESCE(f.ids, '{}'), "window" = n.window_size, is_suspect = n.is_suspect,
    retry_at = n.retry_at, paced_until = n.paced_until, is_ordered = n.is_ordered,
    half_started_at = n.half_started_at, attempts = n.attempts, failures = n.failures,
    earlier_attempts = n.earlier_attempts, earlier_failures = n.earlier_failures, open_s = n.open_s,
    open_until = n.open_until, failing_since = n.failing_since, warned_at = n.warned_at,
    lease_token = CASE WHEN n.is_held THEN %(token)s::uuid END,
    leased_until = CASE WHEN n.is_held THEN %(lease_end)s::timestamptz END,
    due_at = CASE
        WHEN n.is_held AND (n.is_full OR next.due_at IS NULL) THEN %(lease_end)s
        -- With work left it goes to the back of the queue: a flood waits behind itself.
        WHEN n.is_held THEN LEAST(%(lease_end)s, GREATEST(next.due_at, held_back.until, %(now)s))
        -- What the turn had no picks left for keeps its place.
        WHEN n.is_passed_over AND next.due_at <= %(now)s THEN LEAST(l.due_at, %(now)s)
        WHEN next.due_at IS NOT NULL THEN GREATEST(next.due_at, held_back.until, %(now)s)
    END
FROM unnest(
    %(lanes)b::uuid[], %(windows)b::int[], %(is_suspect)b::bool[],
    %(is_held)b::bool[], %(is_full)b::bool[], %(is_passed_over)b::bool[], %(half_started)b::timestamptz[],
    %(attempts)b::int[], %(failures)b::int[], %(earlier_attempts)b::int[], %(earlier_failures)b::int[],
    %(open_s)b::int[], %(open_until)b::timestamptz[], %(failing_since)b::timestamptz[], %(warned_at)b::timestamptz[],
    %(retry_at)b::timestamptz[], %(paced_until)b::timestamptz[], %(is_ordered)b::bool[]
) AS n (
    endpoint_id, window_size, is_suspect, is_held, is_full, is_passed_over, half_started_at, attempts,
    failures, earlier_attempts, earlier_failures, open_s, open_until, failing_since, warned_at,
    retry_at, paced_until, is_ordered
)
LEFT JOIN (
    SELECT endpoint_id, array_agg(delivery_id) AS ids
    FROM unnest(%(flying_lanes)b::uuid[], %(flying)b::uuid[]) AS x (endpoint_id, delivery_id) GROUP BY endpoint_id
) f USING (endpoint_id)
LEFT JOIN LATERAL (
    SELECT e.due_at FROM deliveries_laneentry e
    WHERE e.endpoint_id = n.endpoint_id AND e.delivery_id <> ALL (%(flying)b::uuid[])
    ORDER BY e.due_at LIMIT 1
) next ON TRUE
-- As the lane's own `not_before`, which Postgres works out only when the row is written.
CROSS JOIN LATERAL (SELECT GREATEST(n.retry_at, n.paced_until, n.open_until) AS until) held_back
WHERE l.endpoint_id = n.endpoint_id
"""

INTERRUPT = """
WITH lost AS MATERIALIZED (
    SELECT d.id, d.endpoint_id, d.owner_id, d.event_type, d.attempts_made, a.attempt_id, p.target,
        CASE WHEN v.is_test THEN 'test' ELSE e.trigger END AS trigger,
        d.attempts_uncounted + 1 >= %(most)s AS is_poison,
        CASE WHEN d.attempts_uncounted + 1 >= %(most)s THEN 'held' ELSE d.status END AS leaves
    FROM unnest(%(attempt_ids)b::uuid[], %(delivery_ids)b::uuid[]) AS a (attempt_id, delivery_id)
    JOIN deliveries_delivery d ON d.id = a.delivery_id AND d.id = ANY (%(delivery_ids)b::uuid[])
    CROSS JOIN LATERAL (
        SELECT x.is_test FROM deliveries_event x
        WHERE x.id = d.event_id AND x.id BETWEEN %(low)s AND %(high)s LIMIT 1
    ) v
    JOIN deliveries_laneentry e ON e.delivery_id = d.id
    JOIN subscriptions_endpoint p ON p.id = d.endpoint_id
),
changed AS (
    UPDATE deliveries_delivery d SET attempts_made = d.attempts_made + 1, attempts_uncounted = d.attempts_uncounted + 1,
        last_reason = 'interrupted', last_status = NULL, last_attempt_at = %(now)s,
        status = lost.leaves,
        next_attempt_at = CASE WHEN NOT lost.is_poison THEN d.next_attempt_at END
    FROM lost WHERE d.id = lost.id AND d.id = ANY (%(delivery_ids)b::uuid[])
),
set_aside AS (
    DELETE FROM deliveries_laneentry e USING lost WHERE e.delivery_id = lost.id AND lost.is_poison
),
tried AS (
    INSERT INTO deliveries_attempt (
        id, delivery_id, number, trigger, is_counted, reason, leaves, url, request_headers, response_headers,
        response_body, is_response_truncated, body_error, detail, peer, total_ms, started_at
    )
    SELECT attempt_id, id, attempts_made + 1, trigger, FALSE, 'interrupted', leaves, target, '', '', '', FALSE, '',
        'The worker stopped before the outcome was known; the receiver may have got it.', '', 0, %(now)s
    FROM lost
)
INSERT INTO deliveries_countdelta (endpoint_ids, owner_ids, event_types, started, leaves, latencies_ms)
SELECT array_agg(endpoint_id), array_agg(owner_id), array_agg(event_type), array_agg(%(now)s::timestamptz),
    array_agg(leaves), array_agg(0.0::float8)
FROM lost
WHERE trigger <> 'test'
HAVING count(*) > 0
"""

TAKE_OUT = """
DELETE FROM deliveries_laneentry WHERE delivery_id IN (
    SELECT e.delivery_id FROM unnest(%(lanes)b::uuid[]) AS w (endpoint_id)
    CROSS JOIN LATERAL (
        SELECT delivery_id FROM deliveries_laneentry x
        WHERE x.endpoint_id = w.endpoint_id AND x.delivery_id <> ALL (%(flying)b::uuid[]) LIMIT %(limit)s
    ) e
    LIMIT %(limit)s
)
RETURNING delivery_id
"""

SETTLE = """
UPDATE deliveries_delivery d SET
    status = CASE WHEN p.deleted_at IS NULL THEN 'held' ELSE 'cancelled' END,
    next_attempt_at = NULL,
    finished_at = CASE WHEN p.deleted_at IS NULL THEN NULL ELSE %(now)s::timestamptz END
FROM unnest(%(delivery_ids)b::uuid[]) AS taken (delivery_id), subscriptions_endpoint p
WHERE d.id = taken.delivery_id AND d.id = ANY (%(delivery_ids)b::uuid[]) AND p.id = d.endpoint_id
"""

OPEN_VERSIONS = """
SELECT id, version FROM subscriptions_endpoint
WHERE id = ANY (%(endpoints)b::uuid[]) AND is_active AND deleted_at IS NULL
"""

NEXT_DUE = """
SELECT min(l.due_at) FROM deliveries_lane l
WHERE l.due_at <= %(until)s AND (l.leased_until IS NULL OR l.leased_until <= %(now)s)
AND (%(letters)s OR EXISTS (
    SELECT FROM subscriptions_endpoint e WHERE e.id = l.endpoint_id AND e.channel = 'webhook'
))
"""
