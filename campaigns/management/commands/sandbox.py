"""`manage.py sandbox`: run the stand-in for the probe gateway."""

import argparse
import asyncio
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns.gateways.definitions.presets import preset_texts, presets
from campaigns.sandbox.dialect import Dialect
from campaigns.sandbox.faults import FIELDS, Faults, FaultsError
from campaigns.sandbox.server import ProviderSandbox, Sandbox


class Command(BaseCommand):
    """Serves until SIGTERM or Ctrl-C. It needs no database."""

    help = "Runs a stand-in for the probe gateway, with faults that can be switched on (docs/sandbox.md)."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See docs/sandbox.md."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8090, help="0 takes any free one")
        parser.add_argument("--token", default=settings.GATEWAY_TOKEN, help="the token, or all secrets of a provider")
        parser.add_argument("--as", dest="provider", choices=sorted(preset_texts()), help="the provider to play")
        parser.add_argument("--callback", default="", help="address of a provider's receipts and incoming messages")
        parser.add_argument(
            "--fault",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"may be given many times; the names: {', '.join(FIELDS)}",
        )
        parser.add_argument("--latency", help="seconds before every answer, the same as --fault latency=…")
        parser.add_argument("--seed", type=int, help="makes the faults come in the same order again")
        parser.add_argument("--log", type=Path, metavar="FILE", help="append one JSON line a request")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the options, then serve; CommandError explains invalid options in one line."""
        pairs = [pair.partition("=")[::2] for pair in options["fault"]]
        if options["latency"] is not None:
            pairs.append(("latency", options["latency"]))
        try:
            faults = Faults().updated_from_text(dict(pairs))
        except FaultsError as error:
            raise CommandError(str(error)) from None
        with ExitStack() as stack:
            try:
                log: IO[str] | None = options["log"] and stack.enter_context(options["log"].open("a", buffering=1))
                sandbox = _sandbox(faults, log, options)
                asyncio.run(self.serve(sandbox, options["host"], options["port"]))
            except (OSError, OverflowError) as error:
                raise CommandError(f"The sandbox can't start: {error}") from None

    async def serve(self, sandbox: Sandbox, host: str, port: int) -> None:
        """Listen until a signal comes, then stop at once."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        runner = await sandbox.start(host, port)
        self.stdout.write(f"Sandbox gateway on {sandbox.url}, its page on {sandbox.url.removesuffix('/v1')}/")
        self.stdout.flush()
        await stop.wait()
        await runner.cleanup()


def _sandbox(faults: Faults, log: IO[str] | None, options: dict[str, Any]) -> Sandbox:
    """The sandbox that the options describe."""
    common = {"token": options["token"], "seed": options["seed"], "log": log}
    if options["provider"] is None:
        return Sandbox(faults, **common)
    dialect = Dialect(presets()[options["provider"]], options["token"])
    return ProviderSandbox(faults, **common, dialect=dialect, callback=options["callback"])
