"""What is measured of sending."""

from typing import Final

from measures.meters import Counter, Gauge, Histogram

GATEWAY_SECONDS: Final = Histogram(
    "vestnik_gateway_request_seconds",
    "How long requests to the gateway took, by what came of them",
    ["gateway", "outcome"],
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
)
GATEWAY_MESSAGES: Final = Counter(
    "vestnik_gateway_messages",
    "Messages by the state to which a request or receipt brought them",
    ["gateway", "state"],
)
IN_FLIGHT: Final = Gauge("vestnik_gateway_requests_in_flight", "Requests that await the gateway's answer", ["gateway"])
LEASES_RESCUED: Final = Counter("vestnik_leases_rescued", "Leases that ran out while they held messages")
MESSAGES_RESCUED: Final = Counter(
    "vestnik_messages_rescued",
    "Messages taken back from leases that ran out, by the state they then had",
    ["state"],
)
START_LATENESS: Final = Histogram(
    "vestnik_start_lateness_seconds",
    "How long after the moment at which it was to start a run did",
    [],
    [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300],
)
