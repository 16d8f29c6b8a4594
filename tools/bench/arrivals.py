"""A gateway that answers at once and reports arrivals of marked messages: `python -m tools.bench.arrivals`."""

import re
import socket
import sys
import time
from typing import Final

from tools.bench.slow import Sink

MARK: Final = re.compile(rb"arrival-(\d+)")


class Arrivals(Sink):
    """Prints `number seconds` for each text with `arrival-number`."""

    def _receive(self, number: int) -> None:
        try:
            data = self.connections[number].recv(65_536, socket.MSG_PEEK)
        except ConnectionError:
            data = b""
        for found in MARK.findall(data):
            print(found.decode(), time.time(), flush=True)
        super()._receive(number)


if __name__ == "__main__":
    sink = Arrivals(0)
    print(sink.port, flush=True)
    try:
        sink.serve()
    except KeyboardInterrupt:
        sys.exit(0)
