"""`manage.py reseal`: encrypt the secrets in the database with the current SECRET_KEY after it changed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.sign_in import mfa
from project.core import sealed_secrets


class Command(BaseCommand):
    """Can run at any time, and repeatedly."""

    help = (
        "Encrypt every secret in the database with the current SECRET_KEY; SECRET_KEY_FALLBACKS must name the old one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seal all secrets again and report their number."""
        try:
            self.stdout.write(
                f"{sealed_secrets.reseal() + mfa.reseal()} secrets are encrypted with the current SECRET_KEY."
            )
        except sealed_secrets.Locked as error:
            raise CommandError(str(error)) from error
