"""Heartbeats of workers and beat, and the trace that an event belongs to."""

from django.db import migrations, models

FORWARD = """
-- A handful of rows, each written every few seconds.
ALTER TABLE deliveries_heartbeat SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500
)
"""
BACKWARD = """
ALTER TABLE deliveries_heartbeat RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('deliveries', '0008_lane_not_before'),
    ]

    operations = [
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('node', models.CharField(help_text='Its name and host: `drain-8000@web1`.', max_length=255, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('drain', 'Drain'), ('tasks', 'Tasks'), ('beat', 'Beat')], max_length=8)),
                ('pid', models.PositiveIntegerField()),
                ('started_at', models.DateTimeField()),
                ('beat_at', models.DateTimeField(help_text='When it last said that it is there.')),
                ('progressed_at', models.DateTimeField(help_text="A drain's last turn, the end of the last task of the others, beat's last tick that Redis took.")),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddField(
            model_name='event',
            name='traceparent',
            field=models.CharField(help_text='The span that published it; null where it is not traced.', max_length=55, null=True),
        ),
    ]
