"""`/metrics` for Prometheus: figures read from the database's own counters, so that every process tells the same."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from campaigns.models import Campaign, Gateway, Run
from campaigns.states import CampaignStatus, MessageStatus
from project.queue import worker_alive


def metrics(request: HttpRequest) -> HttpResponse:
    """The text exposition format, for the addresses of `METRICS_ALLOWED` only."""
    address = ip_address(request.META["REMOTE_ADDR"])
    if not any(address in network for network in settings.METRICS_ALLOWED):
        return HttpResponseForbidden("Not for this address: see METRICS_ALLOWED.\n", content_type="text/plain")
    return HttpResponse(generate_latest(collect()), content_type=CONTENT_TYPE_LATEST)


def collect() -> CollectorRegistry:
    """Every figure, read now."""
    registry = CollectorRegistry()
    messages = Gauge("vestnik_messages", "Messages by state", ["state"], registry=registry)
    figures = Run.objects.figures()
    for status in MessageStatus:
        messages.labels(state=status.value).set(figures[status])
    campaigns = Gauge("vestnik_campaigns", "Campaigns by state", ["state"], registry=registry)
    for state in CampaignStatus:
        campaigns.labels(state=state.value).set(Campaign.objects.filter(status=state).count())
    breaker = Gauge("vestnik_gateway_open", "1 while the gateway's breaker is open", ["gateway"], registry=registry)
    for gateway in Gateway.objects.all():
        breaker.labels(gateway=gateway.name).set(gateway.open_until is not None)
    Gauge("vestnik_worker_alive", "1 while a worker completes tasks", registry=registry).set(worker_alive())
    return registry
