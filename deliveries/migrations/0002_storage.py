"""How the busy tables lie on disk: room for heap-only updates, and vacuum that comes early and often."""

from django.db import migrations

FORWARD = """
-- Every delivery gets an outcome, and those of one page get theirs together: with half of the page free the new rows
-- stay on it and no index is touched. docs/adr/0003 has the measurement.
ALTER TABLE deliveries_delivery SET (fillfactor = 50);
-- A lane is rewritten at every turn of its drain, an entry lives for milliseconds.
ALTER TABLE deliveries_lane SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE deliveries_laneentry SET (
    fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
"""

BACKWARD = """
ALTER TABLE deliveries_delivery RESET (fillfactor);
ALTER TABLE deliveries_lane RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay
);
ALTER TABLE deliveries_laneentry RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay
);
"""


class Migration(migrations.Migration):
    dependencies = [("deliveries", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
