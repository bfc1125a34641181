"""Publishing one event, and marking its lanes due, as functions in the database: their plans are kept, and one event
costs no planning.

What the first does is what INSERT_EVENTS of deliveries/services/publish_sql.py does for a batch, answer included; a
test compares the two. docs/adr/0007 has the measurement. A change of them is a new migration that replaces them.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION signet_publish_one(
    p_now timestamptz, p_window int, p_id uuid, p_external_id text, p_merchant_uuid uuid, p_merchant text,
    p_account text, p_type text, p_patterns text, p_payload bytea, p_occurred_at timestamptz, p_checked_tag uuid,
    p_is_known bool, p_key_ids uuid[], p_key_scopes text[], p_keys text[], p_key_digests bytea[],
    p_key_expiries timestamptz[]
) RETURNS TABLE (
    is_type_known bool, merchant_id uuid, is_account_known bool, is_account_foreign bool, is_strict bool,
    needs_check bool, is_accepted bool, deliveries bigint, endpoints uuid[]
)
LANGUAGE plpgsql
-- Plans are made once for a session, perhaps while tables are small or empty: every look is one at an index.
SET enable_seqscan = off
AS $function$
DECLARE
    v_schema_tag uuid;
    v_account_merchant_id uuid;
    v_parent_id uuid;
    v_mode text;
    v_owners uuid[];
    v_keys int;
BEGIN
    SELECT t.strict, t.schema_tag INTO is_strict, v_schema_tag
    FROM subscriptions_eventtype t WHERE t.name = p_type AND NOT t.archived;
    is_type_known := FOUND;
    is_strict := COALESCE(is_strict, FALSE);

    IF p_account IS NOT NULL THEN
        SELECT a.merchant_id INTO v_account_merchant_id FROM subscriptions_account a
        JOIN subscriptions_merchant m ON m.id = a.merchant_id AND m.deleted_at IS NULL WHERE a.reference = p_account;
    END IF;
    IF p_merchant IS NULL THEN
        SELECT m.id, m.parent_id, m.mode INTO merchant_id, v_parent_id, v_mode
        FROM subscriptions_merchant m WHERE m.id = v_account_merchant_id;
    ELSE
        IF p_merchant_uuid IS NOT NULL THEN
            SELECT m.id, m.parent_id, m.mode INTO merchant_id, v_parent_id, v_mode
            FROM subscriptions_merchant m WHERE m.id = p_merchant_uuid AND m.deleted_at IS NULL;
        END IF;
        IF merchant_id IS NULL THEN
            SELECT m.id, m.parent_id, m.mode INTO merchant_id, v_parent_id, v_mode
            FROM subscriptions_merchant m WHERE m.reference = p_merchant AND m.deleted_at IS NULL;
        END IF;
    END IF;

    is_account_known := p_account IS NULL OR v_account_merchant_id IS NOT NULL;
    is_account_foreign := COALESCE(v_account_merchant_id <> merchant_id, FALSE);
    needs_check := is_strict AND v_schema_tag IS DISTINCT FROM p_checked_tag AND NOT p_is_known;
    is_accepted := is_type_known AND merchant_id IS NOT NULL AND is_account_known AND NOT is_account_foreign
        AND NOT needs_check;
    deliveries := 0;
    endpoints := '{}';

    IF is_accepted AND cardinality(p_keys) > 0 THEN
        INSERT INTO deliveries_idempotencykey (id, event_id, scope, key, request_hash, expires_at)
        SELECT k.id, p_id, k.scope, k.key, k.request_hash, k.expires_at
        FROM unnest(p_key_ids, p_key_scopes, p_keys, p_key_digests, p_key_expiries)
            AS k (id, scope, key, request_hash, expires_at)
        ORDER BY k.scope, k.key  -- racing publishers meet in the same order, so that they cannot deadlock
        ON CONFLICT ON CONSTRAINT idempotency_key_unique DO NOTHING;
        GET DIAGNOSTICS v_keys = ROW_COUNT;
        is_accepted := v_keys = cardinality(p_keys);
    END IF;
    -- What is said to be known is answered as a duplicate or not at all: its payload was not checked.
    is_accepted := is_accepted AND NOT (is_strict AND v_schema_tag IS DISTINCT FROM p_checked_tag);
    IF NOT is_accepted THEN
        RETURN NEXT;
        RETURN;
    END IF;

    INSERT INTO deliveries_event
        (id, external_id, merchant_id, type, account, payload, is_test, is_live, occurred_at, created_at)
    VALUES (p_id, p_external_id, merchant_id, p_type, p_account, p_payload, FALSE, v_mode = 'live', p_occurred_at, p_now);

    -- The merchant with all who stand above it: their endpoints hear its events.
    v_owners := ARRAY[merchant_id];
    WHILE v_parent_id IS NOT NULL AND v_parent_id <> ALL (v_owners) LOOP
        v_owners := v_owners || v_parent_id;
        SELECT m.parent_id INTO v_parent_id FROM subscriptions_merchant m WHERE m.id = v_parent_id;
    END LOOP;

    WITH matched AS MATERIALIZED (
        SELECT e.id AS endpoint_id, e.owner_id, e.is_active,
            -- Delivery ids follow their event's: they sort as the events were published, also within a millisecond.
            (left(p_id::text, 33) || lpad(to_hex(row_number() OVER (ORDER BY e.id)), 3, '0'))::uuid AS id
        FROM subscriptions_endpoint e
        WHERE e.owner_id = ANY (v_owners) AND e.deleted_at IS NULL
        AND (e.event_types IS NULL OR e.event_types::text[] && string_to_array(p_patterns, ' '))
        AND (cardinality(e.accounts) = 0 OR p_account = ANY (e.accounts))
    ),
    new_deliveries AS (
        INSERT INTO deliveries_delivery
            (id, event_id, endpoint_id, owner_id, event_type, account, status,
             attempts_made, attempts_counted, next_attempt_at, created_at)
        SELECT m.id, p_id, m.endpoint_id, m.owner_id, p_type, p_account,
            CASE WHEN m.is_active THEN 'pending' ELSE 'held' END, 0, 0, CASE WHEN m.is_active THEN p_now END, p_now
        FROM matched m
    ),
    new_entries AS (
        INSERT INTO deliveries_laneentry (delivery_id, endpoint_id, due_at, trigger)
        -- Never later than the database's own clock: a web host whose clock is ahead must not delay what it publishes.
        SELECT m.id, m.endpoint_id, LEAST(p_now, clock_timestamp()), 'event' FROM matched m WHERE m.is_active
    ),
    new_lanes AS (
        INSERT INTO deliveries_lane (endpoint_id, in_flight, "window", is_suspect)
        SELECT m.endpoint_id, '{}'::uuid[], p_window, FALSE FROM matched m
        WHERE m.is_active AND NOT EXISTS (SELECT FROM deliveries_lane l WHERE l.endpoint_id = m.endpoint_id)
        ORDER BY m.endpoint_id
        ON CONFLICT DO NOTHING
    )
    SELECT count(*), COALESCE(array_agg(m.endpoint_id) FILTER (WHERE m.is_active), '{}')
    INTO deliveries, endpoints FROM matched m;
    RETURN NEXT;
END
$function$;

CREATE FUNCTION signet_mark_due(p_endpoints uuid[]) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
AS $function$
BEGIN
    -- For this transaction. A mark that a crash of Postgres takes away is what the sweep finds.
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    WITH lane AS MATERIALIZED (
        -- Locked in one order everywhere, so that publishers and drains cannot deadlock.
        SELECT l.endpoint_id, l.due_at, l.not_before FROM deliveries_lane l
        WHERE l.endpoint_id = ANY (p_endpoints) AND (
            l.due_at IS NULL OR l.due_at > GREATEST(clock_timestamp(), l.not_before)
            -- It looks due, but a turn has locked it, which may have read the entries too early to see ours and be about
            -- to say that nothing is due: wait for it and look again. Where nobody has a lock, no mark is needed: whoever
            -- locks the lane from now on reads its entries after that.
            OR l.xmax <> 0
        )
        ORDER BY l.endpoint_id FOR NO KEY UPDATE
    )
    UPDATE deliveries_lane l SET due_at = GREATEST(clock_timestamp(), lane.not_before)
    FROM lane WHERE l.endpoint_id = lane.endpoint_id
    AND (lane.due_at IS NULL OR lane.due_at > GREATEST(clock_timestamp(), lane.not_before));
END
$function$;
"""

BACKWARD = "DROP FUNCTION signet_publish_one; DROP FUNCTION signet_mark_due"


class Migration(migrations.Migration):
    dependencies = [("deliveries", "0005_breaker"), ("subscriptions", "0002_formats_rules_and_modes")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
