from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0002_formats_rules_and_modes'),
    ]

    operations = [
        migrations.AddField(
            model_name='endpoint',
            name='unreadable_since',
            field=models.DateTimeField(blank=True, help_text='Since when a secret that it needs does not decrypt; nothing is sent meanwhile.', null=True),
        ),
        migrations.CreateModel(
            name='LoginTries',
            fields=[
                ('who', models.CharField(help_text='Keyed SHA-256 of an address, or of a name and an address.', max_length=64, primary_key=True, serialize=False)),
                ('count', models.PositiveIntegerField()),
                ('last_at', models.DateTimeField()),
                ('closed_until', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'login tries',
                'indexes': [models.Index(fields=['last_at'], name='login_tries_by_age')],
            },
        ),
    ]
