"""How the tables of the statistics lie on disk: room for heap-only updates, and vacuum that comes early and often."""

from django.db import migrations

FORWARD = """
-- A delta lives for seconds.
ALTER TABLE deliveries_countdelta SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_threshold = 2000,
    toast.autovacuum_vacuum_cost_delay = 0
);
-- The rows of the present hour are added to at every roll-up, and no index holds a column that this changes.
ALTER TABLE deliveries_hourlycount SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000
);
"""

BACKWARD = """
ALTER TABLE deliveries_countdelta RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay,
    toast.autovacuum_vacuum_scale_factor, toast.autovacuum_vacuum_threshold, toast.autovacuum_vacuum_cost_delay
);
ALTER TABLE deliveries_hourlycount RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold
);
"""


class Migration(migrations.Migration):
    dependencies = [("deliveries", "0003_replays_and_statistics")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
