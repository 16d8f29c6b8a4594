#!/usr/bin/env python
"""Vestnik's command line: `manage.py help` lists the commands."""

import os
import signal
import sys

if __name__ == "__main__":
    # The first process of a container ignores SIGTERM until it handles it, and the imports take seconds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if sys.argv[1:] == ["--version"]:
        from project.core.version import VERSION

        sys.stdout.write(f"{VERSION}\n")
        sys.exit()
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    execute_from_command_line(sys.argv)
