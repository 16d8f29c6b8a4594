"""The metrics of sending."""

from typing import Final

from project.observability.metrics.meters import Counter, Gauge, Histogram

GATEWAY_SECONDS: Final = Histogram(
    "vestnik_gateway_request_seconds",
    "Duration of requests to the gateway, by outcome",
    ["gateway", "outcome"],
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
)
GATEWAY_MESSAGES: Final = Counter(
    "vestnik_gateway_messages",
    "Messages by the state to which a request or receipt brought them",
    ["gateway", "state"],
)
IN_FLIGHT: Final = Gauge("vestnik_gateway_requests_in_flight", "Requests that await the gateway's answer", ["gateway"])
LEASES_RESCUED: Final = Counter("vestnik_leases_rescued", "Leases that expired while they held messages")
MESSAGES_RESCUED: Final = Counter(
    "vestnik_messages_rescued",
    "Messages taken back from expired leases, by resulting state",
    ["state"],
)
START_LATENESS: Final = Histogram(
    "vestnik_start_lateness_seconds",
    "Delay between the planned and the actual start of a run",
    [],
    [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300],
)
