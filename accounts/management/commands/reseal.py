"""`manage.py reseal`: after a change of SECRET_KEY, encrypt the database's secrets under the new one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import mfa
from project import vault


class Command(BaseCommand):
    """May be run at any time, and again."""

    help = "Encrypt every secret in the database under today's SECRET_KEY; SECRET_KEY_FALLBACKS must name the old one."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many there were."""
        try:
            self.stdout.write(f"{vault.reseal() + mfa.reseal()} secrets are encrypted under today's SECRET_KEY.")
        except vault.Locked as error:
            raise CommandError(str(error)) from error
