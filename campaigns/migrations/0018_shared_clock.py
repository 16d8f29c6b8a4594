import project.core.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0017_new_names'),
    ]

    # The defaults come from the program: nothing changes in the database.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='campaign',
                    name='starts_at',
                    field=models.DateTimeField(default=project.core.clock.now, verbose_name='start'),
                ),
                migrations.AlterField(
                    model_name='message',
                    name='changed_at',
                    field=models.DateTimeField(default=project.core.clock.now, verbose_name='last change'),
                ),
                migrations.AlterField(
                    model_name='run',
                    name='started_at',
                    field=models.DateTimeField(default=project.core.clock.now, verbose_name='started'),
                ),
            ]
        )
    ]
