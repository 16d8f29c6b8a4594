"""`/metrics` for Prometheus. Figures come from the database, so every process returns the same."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

import structlog
from django.conf import settings
from django.db import Error
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from campaigns.models import Campaign, Gateway, Run
from campaigns.states import CampaignStatus, MessageStatus
from project.core.clock import now
from project.core.version import VERSION
from project.observability.metrics.meters import families
from project.queue.broker import worker_alive

log = structlog.get_logger("vestnik.metrics")


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the text exposition format, for addresses in `METRICS_ALLOWED` only.

    Without the database there are only `vestnik_build_info` and `vestnik_database_up 0`: others are absent, not zero.
    """
    if not _allowed(request):
        return HttpResponseForbidden("Not for this address: see METRICS_ALLOWED.\n", content_type="text/plain")
    process = CollectorRegistry()
    Gauge("vestnik_build_info", "1, with the version", ["version"], registry=process).labels(version=VERSION).set(1)
    database = Gauge("vestnik_database_up", "1 if the database could be asked", registry=process)
    try:
        figures = generate_latest(collect())
        database.set(1)
    except Error as error:
        log.warning("database out of reach", error=str(error).strip())
        figures = b""
    return HttpResponse(generate_latest(process) + figures, content_type=CONTENT_TYPE_LATEST)


def _allowed(request: HttpRequest) -> bool:
    """Whether the peer and all addresses in X-Forwarded-For are allowed.

    X-Forwarded-For can only forbid: it shows that a proxy with an allowed address forwards for another client.
    """
    forwarded = request.headers.get("X-Forwarded-For")
    addresses = [request.META["REMOTE_ADDR"], *(forwarded.split(",") if forwarded else [])]
    return all(_address_allowed(text.strip()) for text in addresses)


def _address_allowed(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in settings.METRICS_ALLOWED)


def collect() -> CollectorRegistry:
    """Collect all figures now: from rows and counters of the database, and from the metrics of processes."""
    registry = CollectorRegistry()
    registry.register(ProcessMetrics())
    messages = Gauge("vestnik_messages", "Messages by state", ["state"], registry=registry)
    figures = Run.objects.figures()
    for status in MessageStatus:
        messages.labels(state=status.value).set(figures[status])
    campaigns = Gauge("vestnik_campaigns", "Campaigns by state", ["state"], registry=registry)
    counts = dict(Campaign.objects.planned().values_list("status").annotate(Count("pk")).order_by())
    for state in CampaignStatus:
        campaigns.labels(state=state.value).set(counts.get(state, 0))
    _gateways(registry)
    _backlog(registry)
    Gauge("vestnik_worker_alive", "1 while a worker completes tasks", registry=registry).set(worker_alive())
    return registry


class ProcessMetrics(Collector):
    """The metrics of all processes."""

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        return families()


def _gateways(registry: CollectorRegistry) -> None:
    """Add the circuit breaker and hold of each gateway."""
    circuit_breaker = Gauge(
        "vestnik_gateway_open", "1 while the gateway's breaker is open", ["gateway"], registry=registry
    )
    held = Gauge("vestnik_gateway_held", "1 while the gateway has asked to wait", ["gateway"], registry=registry)
    for gateway in Gateway.objects.all():
        circuit_breaker.labels(gateway=gateway.name).set(gateway.open_until is not None)
        held.labels(gateway=gateway.name).set(gateway.held_until is not None and gateway.held_until > now())


def _backlog(registry: CollectorRegistry) -> None:
    """Add the size and age of the backlog."""
    messages, seconds = Run.objects.backlog()
    Gauge("vestnik_backlog_messages", "Messages that wait in runs of which one is due", registry=registry).set(messages)
    Gauge(
        "vestnik_backlog_age_seconds", "For how long the message that waits the longest has been due", registry=registry
    ).set(seconds)
