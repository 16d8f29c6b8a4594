"""`/metrics` for Prometheus: figures read from the database's own counters, so that every process tells the same."""

from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from campaigns.models import Campaign, Gateway, Run
from campaigns.states import CampaignStatus, MessageStatus
from project.queue import worker_alive


def metrics(request: HttpRequest) -> HttpResponse:
    """The text exposition format, for the addresses of `METRICS_ALLOWED` only."""
    if not _allowed(request):
        return HttpResponseForbidden("Not for this address: see METRICS_ALLOWED.\n", content_type="text/plain")
    return HttpResponse(generate_latest(collect()), content_type=CONTENT_TYPE_LATEST)


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
    """Every figure, read now."""
    registry = CollectorRegistry()
    messages = Gauge("vestnik_messages", "Messages by state", ["state"], registry=registry)
    figures = Run.objects.figures()
    for status in MessageStatus:
        messages.labels(state=status.value).set(figures[status])
    campaigns = Gauge("vestnik_campaigns", "Campaigns by state", ["state"], registry=registry)
    counts = dict(Campaign.objects.filter(direct=False).values_list("status").annotate(Count("pk")).order_by())
    for state in CampaignStatus:
        campaigns.labels(state=state.value).set(counts.get(state, 0))
    breaker = Gauge("vestnik_gateway_open", "1 while the gateway's breaker is open", ["gateway"], registry=registry)
    for gateway in Gateway.objects.all():
        breaker.labels(gateway=gateway.name).set(gateway.open_until is not None)
    Gauge("vestnik_worker_alive", "1 while a worker completes tasks", registry=registry).set(worker_alive())
    return registry
