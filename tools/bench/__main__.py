"""Run benchmarks: `python -m tools.bench --help`."""

import argparse
import os
from collections.abc import Callable

from tools.bench.database import database

NAMES = [
    "throughput",
    "providers",
    "whole",
    "slow",
    "scale",
    "rates",
    "many",
    "starts",
    "beside",
    "api",
    "urgent",
    "pages",
]
OWN_DATA = ["directory", "reports", "browser"]
"""Benchmarks that need none of the prepared contacts."""


def main() -> None:
    """Run the selected benchmarks on a temporary database."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description="One JSON line per figure.")
    parser.add_argument("--messages", type=int, help="messages in the comparisons (200 000, on SQLite 10 000)")
    parser.add_argument(
        "--report-messages",
        type=int,
        metavar="MESSAGES",
        help="messages in the reports (10 000 000, on SQLite 100 000)",
    )
    parser.add_argument(
        "--scale", type=int, metavar="MESSAGES", help="messages of the large campaign, for example 1000000"
    )
    parser.add_argument("--contacts", type=int, help="contacts in the directory (1 000 000, on SQLite 100 000)")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=[*NAMES, *OWN_DATA], help=", ".join([*NAMES, *OWN_DATA])
    )
    options = parser.parse_args()
    postgres = os.environ.get("DATABASE_URL", "").startswith("postgres")
    number = options.messages or (200_000 if postgres else 10_000)
    with database():
        from tools.bench import (  # noqa: PLC0415 - their settings are made by now
            api,
            browser,
            directory,
            figures,
            pages,
            reports,
            timing,
        )

        chosen = options.only or [*NAMES, *OWN_DATA]
        if "directory" in chosen:
            directory.directory(options.contacts or (1_000_000 if postgres else 100_000))
        if "reports" in chosen:
            reports.reports(options.report_messages or (10_000_000 if postgres else 100_000))
        if "browser" in chosen:
            browser.first_paints()
        if set(chosen) <= set(OWN_DATA):
            return
        figures.prepare(max(number, options.scale or 0, api.MESSAGES if "urgent" in chosen else 0))
        parts: dict[str, Callable[[], None]] = {
            "throughput": lambda: figures.throughput(number),
            "providers": lambda: figures.providers(number),
            "whole": lambda: timing.whole(number),
            "slow": lambda: figures.slow_gateway(number),
            "scale": lambda: figures.scale(number // 6, options.scale or number),
            "rates": timing.rates,
            "many": timing.many,
            "starts": timing.starts,
            "beside": lambda: timing.beside(options.scale or number),
            "api": api.calls,
            "urgent": api.urgent,
            "pages": lambda: pages.refreshes(options.scale or number),
        }
        for name in [name for name in parts if name in chosen]:
            parts[name]()


if __name__ == "__main__":
    main()
