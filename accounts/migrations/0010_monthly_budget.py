from django.db import migrations

import project.core.money


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_plain_names")]

    operations = [
        migrations.AddField(
            "user",
            "monthly_budget",
            project.core.money.MoneyField(blank=True, null=True, verbose_name="monthly budget"),
        ),
    ]
