"""The statements that take contents out of the log. Each serves a whole step, whatever stands in it."""

KEPT_HEADERS = (
    *("accept", "connection", "content-encoding", "content-length", "content-type", "date", "host", "retry-after"),
    *("server", "transfer-encoding", "user-agent", "webhook-id", "webhook-timestamp"),
    *("x-webhook-attempt", "x-webhook-event", "x-webhook-id"),
)
# Their values say how something was sent, not what. Of all others only the name stays: formats put parts of a payload
# into headers, and receivers answer with what they like.
EXPUNGED = "[expunged]"


def _washed(column: str) -> str:
    """A block of headers without the values that may hold contents. A line that goes on with the one before, or is no
    header, goes as a whole."""
    names = "|".join(KEPT_HEADERS)
    whole_lines = rf"regexp_replace({column}, '^([ \t][^\r\n]*|[^:\r\n]+)(?=\r?$)', '{EXPUNGED}', 'gn')"
    values = rf"'^(?!(?:{names})[ \t]*:)([^:\r\n]+):[^\r\n]*', '\1: {EXPUNGED}', 'gin'"
    return f"regexp_replace({whole_lines}, {values})"


FIRST_OF_MERCHANT = """
SELECT id FROM deliveries_event WHERE merchant_id = %(merchant)s ORDER BY merchant_id, id LIMIT 1
"""

FIND = """
WITH looked AS MATERIALIZED (
    -- The planner must not know which merchant it is: where it expects few events, it reads and sorts them all.
    SELECT e.* FROM unnest(ARRAY[%(merchant)s::uuid]) AS m (id) CROSS JOIN LATERAL (
        SELECT v.id, v.account, v.expunged_at FROM deliveries_event v
        -- As pairs, which only the merchants' index can give in order.
        WHERE (v.merchant_id, v.id) > (m.id, %(after)s) AND (v.merchant_id, v.id) < (m.id, %(before)s)
        -- Says which days are meant: the planner does not read that from pairs.
        AND v.id > %(after)s AND v.id < %(before)s
        ORDER BY v.merchant_id, v.id LIMIT %(look)s
    ) e
),
wanted AS MATERIALIZED (
    SELECT id FROM looked WHERE account = %(account)s AND expunged_at IS NULL ORDER BY id LIMIT %(most)s
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

OWED = """
SELECT d.* FROM unnest(%(events)s::uuid[]) AS w (id)
CROSS JOIN LATERAL (
    -- Event by event, and of each only its own ids: as a join it may read all that was owed in these days.
    SELECT id, endpoint_id, owner_id, event_id FROM deliveries_delivery
    WHERE event_id = w.id AND id BETWEEN %(low)s AND %(high)s
    AND id BETWEEN (left(w.id::text, 33) || '000')::uuid AND (left(w.id::text, 33) || 'fff')::uuid
    OFFSET 0
) d
"""

LOCK_EVENTS = """
SELECT id, merchant_id FROM deliveries_event
WHERE id = ANY (%(events)s::uuid[]) AND expunged_at IS NULL ORDER BY id FOR UPDATE
"""

BUSY = """
SELECT DISTINCT d.event_id FROM deliveries_delivery d
LEFT JOIN deliveries_lane l ON l.endpoint_id = d.endpoint_id
WHERE d.id = ANY (%(deliveries)s::uuid[]) AND (
    d.id = ANY (l.in_flight)
    -- A replay has owed it to one more endpoint since the lanes were locked.
    OR d.endpoint_id <> ALL (%(endpoints)s::uuid[])
    -- A test is sent by the process that was asked for it, without its lane.
    OR (
        d.status = 'pending' AND d.next_attempt_at > %(now)s
        AND (SELECT v.is_test FROM deliveries_event v WHERE v.id = d.event_id AND v.id BETWEEN %(low)s AND %(high)s)
    )
)
"""

WASH = rf"""
WITH owed AS MATERIALIZED (
    SELECT id, status FROM deliveries_delivery WHERE id = ANY (%(deliveries)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
),
gone AS (
    DELETE FROM deliveries_laneentry e USING owed o WHERE e.delivery_id = o.id
),
cancelled AS (
    UPDATE deliveries_delivery d SET status = 'cancelled', next_attempt_at = NULL, finished_at = %(now)s
    -- Said again: the planner looks only into the days of ids that it is told.
    FROM owed o WHERE d.id = o.id AND d.id = ANY (%(deliveries)s::uuid[]) AND o.status IN ('pending', 'held')
    RETURNING d.id
),
washed AS (
    UPDATE deliveries_attempt a SET
        request_body = CASE WHEN a.request_body IS NOT NULL THEN '\x'::bytea END,
        request_headers = {_washed("a.request_headers")},
        response_headers = {_washed("a.response_headers")},
        response_body = '\x', body_error = '', detail = ''
    WHERE a.delivery_id = ANY (%(deliveries)s::uuid[])
),
emptied AS (
    UPDATE deliveries_event SET payload = '\x', expunged_at = %(now)s WHERE id = ANY (%(events)s::uuid[])
)
SELECT count(*) FROM cancelled
"""  # noqa: S608 - built from the constants above
