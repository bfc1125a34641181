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
    SELECT id, account, expunged_at FROM deliveries_event
    -- As pairs, which only the merchants' index can give in order.
    WHERE (merchant_id, id) > (%(merchant)s, %(after)s) AND (merchant_id, id) < (%(merchant)s, %(before)s)
    ORDER BY merchant_id, id LIMIT %(look)s
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

ENDPOINTS = "SELECT DISTINCT endpoint_id FROM deliveries_delivery WHERE event_id = ANY (%(events)s::uuid[])"

LOCK_EVENTS = """
SELECT id FROM deliveries_event WHERE id = ANY (%(events)s::uuid[]) AND expunged_at IS NULL ORDER BY id FOR UPDATE
"""

BUSY = """
SELECT DISTINCT d.event_id FROM deliveries_delivery d
JOIN deliveries_event v ON v.id = d.event_id
LEFT JOIN deliveries_lane l ON l.endpoint_id = d.endpoint_id
WHERE d.event_id = ANY (%(events)s::uuid[]) AND (
    d.id = ANY (l.in_flight)
    -- A replay has owed it to one more endpoint since the lanes were locked.
    OR d.endpoint_id <> ALL (%(endpoints)s::uuid[])
    -- A test is sent by the process that was asked for it, without its lane.
    OR (v.is_test AND d.status = 'pending' AND d.next_attempt_at > %(now)s)
)
"""

WASH = rf"""
WITH owed AS MATERIALIZED (
    SELECT id, status FROM deliveries_delivery WHERE event_id = ANY (%(events)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
),
gone AS (
    DELETE FROM deliveries_laneentry e USING owed o WHERE e.delivery_id = o.id
),
cancelled AS (
    UPDATE deliveries_delivery d SET status = 'cancelled', next_attempt_at = NULL, finished_at = %(now)s
    FROM owed o WHERE d.id = o.id AND o.status IN ('pending', 'held')
    RETURNING d.id
),
washed AS (
    UPDATE deliveries_attempt a SET
        request_body = CASE WHEN a.request_body IS NOT NULL THEN '\x'::bytea END,
        request_headers = {_washed("a.request_headers")},
        response_headers = {_washed("a.response_headers")},
        response_body = '\x', body_error = '', detail = ''
    FROM owed o WHERE a.delivery_id = o.id
),
emptied AS (
    UPDATE deliveries_event SET payload = '\x', expunged_at = %(now)s WHERE id = ANY (%(events)s::uuid[])
)
SELECT count(*) FROM cancelled
"""  # noqa: S608 - built from the constants above

OWNERS = """
SELECT owner_id FROM deliveries_delivery WHERE event_id = ANY (%(events)s::uuid[])
UNION SELECT merchant_id FROM deliveries_event WHERE id = ANY (%(events)s::uuid[])
"""
