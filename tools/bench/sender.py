"""One worker that sends all that is due, slice by slice, in a process of its own, and tells what it took.

    python -m tools.bench.sender

It says that it is ready, waits for a line, and prints one JSON object in the end. The rest is in the environment.
"""

import json
import resource
import sys
import time

import django

django.setup()

from campaigns import tasks  # noqa: E402
from campaigns.models import Run  # noqa: E402
from project.watchdog import spare_the_collector  # noqa: E402


def main() -> None:
    """Do as a worker does with the hint to send, until nothing is left."""
    spare_the_collector()
    print("ready", flush=True)
    sys.stdin.readline()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    while Run.objects.next_due() is not None:
        tasks.send()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "memory_mb": after.ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
