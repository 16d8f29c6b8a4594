"""Show all events of one message, contact, campaign, run or request from the JSON log, in order.

python -m tools.story message 123 web.log worker.log
docker compose logs --no-log-prefix web worker | python -m tools.story contact 45
"""

import argparse
import fileinput
import json
from collections.abc import Iterable
from typing import Any, Final

KINDS: Final = ("message", "contact", "campaign", "run", "user", "request_id", "task_id")
_ASIDE: Final = ("timestamp", "event", "level", "logger")
Event = dict[str, Any]


def main() -> None:
    """Print a line for each event of the story."""
    parser = argparse.ArgumentParser(prog="python -m tools.story", description="All log events of one object.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("id")
    parser.add_argument("files", nargs="*", metavar="FILE", help="JSON logs of all processes; standard input without")
    options = parser.parse_args()
    with fileinput.input(options.files, encoding="utf-8", errors="replace") as lines:
        for event in story(options.kind, options.id, events(lines)):
            print(format_event(event))


def events(lines: Iterable[str]) -> list[Event]:
    """Parse the events in the lines. Prefixes before the JSON are skipped, as are other lines."""
    found = []
    for line in lines:
        try:
            found.append(json.loads(line[max(0, line.find("{")) :]))
        except ValueError:
            continue
    return [event for event in found if "timestamp" in event]


def story(kind: str, value: str, log: list[Event]) -> list[Event]:
    """Return the events that name it, those of its requests, and the milestones of its runs and campaigns."""
    own = [event for event in log if str(event.get(kind)) == value]
    requests = {event["request_id"] for event in own if "request_id" in event}
    messages = {event["message"] for event in own if "message" in event} if kind == "contact" else set()
    campaigns = {event["campaign"] for event in own if "message" in event and "campaign" in event}

    def belongs(event: Event) -> bool:
        if str(event.get(kind)) == value or event.get("request_id") in requests or event.get("message") in messages:
            return True
        return event.get("campaign") in campaigns and not event.keys() & {"message", "contact", "request_id"}

    return sorted(filter(belongs, log), key=lambda event: str(event["timestamp"]))


def format_event(event: Event) -> str:
    """Format an event for people."""
    facts = " ".join(f"{name}={value}" for name, value in event.items() if name not in _ASIDE and value is not None)
    return f"{event['timestamp']}  {event['event']:<22} {facts}"


if __name__ == "__main__":
    main()
