from django.db import migrations
from django.db.models import Index, Q

from project.core.sql import IndexAlongside, RemoveIndexAlongside


class Migration(migrations.Migration):
    """Indexes for lists by country, for counts that need the country, and for contacts without it."""

    atomic = False
    dependencies = [("directory", "0010_country")]

    operations = [
        IndexAlongside(
            "contact", Index(fields=["id"], condition=Q(line_type="", phone__gt=0), name="contact_not_derived")
        ),
        IndexAlongside("contact", Index(fields=["country", "id"], name="contact_country")),
        IndexAlongside(
            "contact",
            Index(
                fields=["id", "operator_code", "timezone", "country"],
                condition=Q(is_active=True, opted_out=False),
                name="contact_counted",
            ),
        ),
        RemoveIndexAlongside("contact", "contact_writable"),
    ]
