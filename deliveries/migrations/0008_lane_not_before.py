"""`not_before` follows from what holds a lane back, and lanes in trouble are found without reading the others."""

from django.db import migrations, models
from django.db.models.functions import Greatest


class Migration(migrations.Migration):

    dependencies = [
        ('deliveries', '0007_lane_waits'),
    ]

    operations = [
        migrations.RemoveField(model_name='lane', name='not_before'),
        migrations.AddField(
            model_name='lane',
            name='not_before',
            field=models.GeneratedField(
                db_persist=True,
                expression=Greatest('retry_at', 'paced_until', 'open_until'),
                help_text='Nothing is sent before this: the latest of what holds the lane back.',
                output_field=models.DateTimeField(null=True),
            ),
        ),
        migrations.AddIndex(
            model_name='lane',
            index=models.Index(
                condition=models.Q(
                    ('retry_at__isnull', False),
                    ('open_until__isnull', False),
                    ('failing_since__isnull', False),
                    _connector='OR',
                ),
                fields=['endpoint_id'],
                name='lane_troubled',
            ),
        ),
    ]
