"""The ledger is cut into days: events, deliveries and attempts by the id of the event that they belong to.

What is there already is not copied. The tables as they were become the first partition, `early`, which ends with the
day of the newest row; retention empties it row by row. Days follow as deliveries/services/partitions.py makes them,
right after the migrations and every day. A few deliveries, those of tests, had ids of their own: they get ids that
begin like their event's, because from now on an event's deliveries are looked for there.

The unique indexes that cannot hold the partition key are each partition's own: on (event_id, endpoint_id) of deliveries
and on the id of attempts. docs/storage.md has all of them, docs/adr/0009 the reasons.
"""

from django.db import migrations

ALIGN = """
CREATE TEMP TABLE new_ids ON COMMIT DROP AS
SELECT stray.id AS old_id, (left(stray.event_id::text, 33) || lpad(to_hex(
    COALESCE((
        SELECT max(('x' || lpad(right(d.id::text, 3), 8, '0'))::bit(32)::int) FROM deliveries_delivery d
        WHERE d.event_id = stray.event_id AND left(d.id::text, 33) = left(stray.event_id::text, 33)
    ), 0) + row_number() OVER (PARTITION BY stray.event_id ORDER BY stray.id)
), 3, '0'))::uuid AS new_id
FROM deliveries_delivery stray WHERE left(stray.id::text, 33) <> left(stray.event_id::text, 33);

UPDATE deliveries_delivery d SET id = n.new_id FROM new_ids n WHERE d.id = n.old_id;
UPDATE deliveries_attempt a SET delivery_id = n.new_id FROM new_ids n WHERE a.delivery_id = n.old_id;
UPDATE deliveries_laneentry e SET delivery_id = n.new_id FROM new_ids n WHERE e.delivery_id = n.old_id;
UPDATE deliveries_lane l SET in_flight = (
    SELECT array_agg(COALESCE(n.new_id, f.id) ORDER BY f.place)
    FROM unnest(l.in_flight) WITH ORDINALITY AS f (id, place) LEFT JOIN new_ids n ON n.old_id = f.id
)
WHERE l.in_flight && ARRAY(SELECT old_id FROM new_ids);
"""

RENAME = """
-- Plain indexes are made again as they are, under their names: these are what the models call them.
CREATE TEMP TABLE plain_indexes ON COMMIT DROP AS
SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisunique
AND i.indrelid IN ('deliveries_event'::regclass, 'deliveries_delivery'::regclass, 'deliveries_attempt'::regclass);

DO $rename$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT p.name FROM plain_indexes p LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', name, 'early_' || name);
    END LOOP;
END
$rename$;

ALTER TABLE deliveries_event RENAME TO deliveries_event_early;
ALTER INDEX deliveries_event_pkey RENAME TO deliveries_event_early_pkey;

ALTER TABLE deliveries_delivery RENAME TO deliveries_delivery_early;
ALTER INDEX deliveries_delivery_pkey RENAME TO deliveries_delivery_early_pkey;
ALTER INDEX delivery_once_per_endpoint RENAME TO early_delivery_once_per_endpoint;

-- Its primary key would have to hold the partition key. The index stays, as a partition's own.
ALTER TABLE deliveries_attempt RENAME TO deliveries_attempt_early;
ALTER TABLE deliveries_attempt_early DROP CONSTRAINT deliveries_attempt_pkey;
CREATE UNIQUE INDEX early_attempt_id ON deliveries_attempt_early (id);
ALTER INDEX attempt_number_unique RENAME TO early_attempt_number_unique;
"""

CREATE = """
CREATE TABLE deliveries_event (
    LIKE deliveries_event_early INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE
) PARTITION BY RANGE (id);
ALTER TABLE deliveries_event ADD PRIMARY KEY (id);

CREATE TABLE deliveries_delivery (
    LIKE deliveries_delivery_early INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE
) PARTITION BY RANGE (id);
ALTER TABLE deliveries_delivery ADD PRIMARY KEY (id);

CREATE TABLE deliveries_attempt (
    LIKE deliveries_attempt_early INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE
) PARTITION BY RANGE (delivery_id);
ALTER TABLE deliveries_attempt ADD CONSTRAINT attempt_number_unique UNIQUE (delivery_id, number);

DO $create$
DECLARE
    definition text;
BEGIN
    FOR definition IN SELECT p.definition FROM plain_indexes p LOOP
        EXECUTE definition;
    END LOOP;
END
$create$;
"""

ATTACH = """
DO $attach$
DECLARE
    newest uuid := (
        SELECT id FROM (
            (SELECT id FROM deliveries_event_early ORDER BY id DESC LIMIT 1)
            UNION ALL (SELECT id FROM deliveries_delivery_early ORDER BY id DESC LIMIT 1)
            UNION ALL (SELECT delivery_id FROM deliveries_attempt_early ORDER BY delivery_id DESC LIMIT 1)
        ) n ORDER BY id DESC LIMIT 1
    );
    day_ms CONSTANT bigint := 86400000;
    today bigint := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint / day_ms;
    newest_day bigint := ('x' || left(replace(newest::text, '-', ''), 12))::bit(48)::bigint / day_ms;
    edge uuid := (lpad(to_hex(GREATEST(today, newest_day + 1) * day_ms), 12, '0') || repeat('0', 20))::uuid;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['deliveries_event', 'deliveries_delivery', 'deliveries_attempt'] LOOP
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
            name, name || '_early', edge);
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (MAXVALUE)',
            name || '_late', name, edge);
    END LOOP;
    ALTER TABLE deliveries_delivery_late SET (fillfactor = 50);
    CREATE UNIQUE INDEX ON deliveries_delivery_late (event_id, endpoint_id);
    CREATE UNIQUE INDEX ON deliveries_attempt_late (id);
END
$attach$;
"""


class Migration(migrations.Migration):
    dependencies = [("deliveries", "0010_operations_and_privacy")]
    operations = [migrations.RunSQL(statements) for statements in (ALIGN, RENAME, CREATE, ATTACH)]
