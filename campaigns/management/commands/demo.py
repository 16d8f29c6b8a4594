"""`manage.py demo`: create the data that `make run` shows at first. Never in production."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from campaigns.demo import LOGINS, PASSWORD, make_demo


class Command(BaseCommand):
    """Fill an empty database with users, contacts and history; do nothing otherwise. Prints URL and logins."""

    help = "Fill an empty database with demo data (development only)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse outside of debug mode, because the passwords are public."""
        if not settings.DEBUG:
            raise CommandError("Demo data has well-known passwords: it is for DEBUG=1 only.")
        with transaction.atomic():
            made = make_demo()
        self.stdout.write("Demo data is there." if made else "Demo data was there already; nothing was changed.")
        self.stdout.write(f"\n  Vestnik   {settings.PUBLIC_URL}")
        for email, role in LOGINS.items():
            self.stdout.write(f"  {role:<14}{email}  {PASSWORD}")
        self.stdout.write("  Sandbox gateway http://localhost:8090\n")
