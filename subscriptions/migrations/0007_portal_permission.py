from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0005_operational_and_retention")]

    operations = [
        migrations.AlterModelOptions(
            name="merchant",
            options={"permissions": [("enter_portal", "Can look into a merchant's portal, read only")]},
        ),
    ]
