import project.core.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_kept_scopes'),
    ]

    # The defaults come from the program: nothing changes in the database.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='signin',
                    name='at',
                    field=models.DateTimeField(db_index=True, default=project.core.clock.now),
                ),
                migrations.AlterField(
                    model_name='user',
                    name='date_joined',
                    field=models.DateTimeField(default=project.core.clock.now, verbose_name='joined'),
                ),
            ]
        )
    ]
