"""`manage.py gateway_address NAME`: where the gateway has to send its receipts."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from campaigns.connections import callback_address


class Command(BaseCommand):
    """The address holds the key, so it is a secret."""

    help = "Print the address, with its key, that a gateway has to send its receipts to."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which one."""
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        self.stdout.write(callback_address(options["name"]))
