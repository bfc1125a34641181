from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('deliveries', '0006_publish_one'),
    ]

    operations = [
        migrations.AlterField(
            model_name='lane',
            name='not_before',
            field=models.DateTimeField(help_text='Nothing is sent before this: the latest of what holds the lane back.', null=True),
        ),
        migrations.AddField(
            model_name='lane',
            name='retry_at',
            field=models.DateTimeField(help_text='An ordered lane waits as a whole for its first delivery.', null=True),
        ),
        migrations.AddField(
            model_name='lane',
            name='paced_until',
            field=models.DateTimeField(help_text='The rate limit allows nothing before this.', null=True),
        ),
        migrations.AddField(
            model_name='lane',
            name='is_ordered',
            field=models.BooleanField(db_default=False, default=False, help_text="Whether its entries stand in order; follows the endpoint's wish."),
        ),
        migrations.AddField(
            model_name='lane',
            name='warned_at',
            field=models.DateTimeField(help_text='When its members were told that it fails.', null=True),
        ),
        migrations.RemoveField(model_name='lane', name='is_warned'),
    ]
