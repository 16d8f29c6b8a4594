"""`manage.py gateway_address NAME`: print the address for the gateway's receipts."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from campaigns.gateways.registry import callback_address


class Command(BaseCommand):
    """The address contains the key, so it is secret."""

    help = "Print the address, with its key, to which a gateway sends its receipts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The gateway's name."""
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the address."""
        self.stdout.write(callback_address(options["name"]))
