"""One worker process that sends everything that is due, session by session, and reports what it used.

    python -m tools.bench.sender

It reports that it is ready, waits for a line, and prints one JSON object at the end. The environment configures it.
"""

import json
import os
import resource
import sys
import time

import django

django.setup()

from campaigns import tasks  # noqa: E402
from campaigns.models import Run  # noqa: E402
from project.queue.watchdog import reduce_gc_work  # noqa: E402


def main() -> None:
    """Run the sending task like a worker until nothing is left."""
    reduce_gc_work()
    print("ready", flush=True)
    sys.stdin.readline()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    while Run.objects.next_due() is not None:
        tasks.send(os.environ.get("BENCH_GATEWAY", ""))
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "memory_mb": after.ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
