"""`/metrics` for Prometheus: figures read from the database, so that every process tells the same."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.db import Error
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from campaigns.models import Campaign, Gateway, Run
from campaigns.states import CampaignStatus, MessageStatus
from measures.meters import families
from project.clock import now
from project.queue import worker_alive


def metrics(request: HttpRequest) -> HttpResponse:
    """The text exposition format, for the addresses of `METRICS_ALLOWED` only; 503 without the database."""
    if not _allowed(request):
        return HttpResponseForbidden("Not for this address: see METRICS_ALLOWED.\n", content_type="text/plain")
    try:
        return HttpResponse(generate_latest(collect()), content_type=CONTENT_TYPE_LATEST)
    except Error:
        # Half of the figures would look like all of them.
        return HttpResponse("The database can't be asked: see /readyz.\n", content_type="text/plain", status=503)


def _allowed(request: HttpRequest) -> bool:
    """Whether every address on the request's way is allowed.

    X-Forwarded-For can only forbid: it tells that a proxy on an allowed address asks for somebody else.
    """
    forwarded = request.headers.get("X-Forwarded-For")
    way = [request.META["REMOTE_ADDR"], *(forwarded.split(",") if forwarded else [])]
    return all(_address_allowed(text.strip()) for text in way)


def _address_allowed(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in settings.METRICS_ALLOWED)


def collect() -> CollectorRegistry:
    """Every figure, read now: what stands in the database's own rows and counters, and what processes have measured."""
    registry = CollectorRegistry()
    registry.register(Measured())
    messages = Gauge("vestnik_messages", "Messages by state", ["state"], registry=registry)
    figures = Run.objects.figures()
    for status in MessageStatus:
        messages.labels(state=status.value).set(figures[status])
    campaigns = Gauge("vestnik_campaigns", "Campaigns by state", ["state"], registry=registry)
    counts = dict(Campaign.objects.filter(direct=False).values_list("status").annotate(Count("pk")).order_by())
    for state in CampaignStatus:
        campaigns.labels(state=state.value).set(counts.get(state, 0))
    _gateways(registry)
    _backlog(registry)
    Gauge("vestnik_worker_alive", "1 while a worker completes tasks", registry=registry).set(worker_alive())
    return registry


class Measured(Collector):
    """What all processes have measured."""

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        return families()


def _gateways(registry: CollectorRegistry) -> None:
    """Whether each may be sent to."""
    breaker = Gauge("vestnik_gateway_open", "1 while the gateway's breaker is open", ["gateway"], registry=registry)
    held = Gauge("vestnik_gateway_held", "1 while the gateway has asked to wait", ["gateway"], registry=registry)
    for gateway in Gateway.objects.all():
        breaker.labels(gateway=gateway.name).set(gateway.open_until is not None)
        held.labels(gateway=gateway.name).set(gateway.held_until is not None and gateway.held_until > now())


def _backlog(registry: CollectorRegistry) -> None:
    """What should be on its way."""
    messages, seconds = Run.objects.backlog()
    Gauge("vestnik_backlog_messages", "Messages that wait in runs of which one is due", registry=registry).set(messages)
    Gauge(
        "vestnik_backlog_age_seconds", "For how long the message that waits the longest has been due", registry=registry
    ).set(seconds)
