"""The gateways by name. A new one is a file beside these and a line in `ADAPTERS`."""

from collections.abc import Callable
from typing import Final

from django.conf import settings

from campaigns.gateways.base import Adapter
from campaigns.gateways.console import Console
from campaigns.gateways.probe import Probe

ADAPTERS: Final[dict[str, Callable[[], Adapter]]] = {
    "probe": lambda: Probe(settings.GATEWAY_URL, settings.GATEWAY_TOKEN),
    "console": Console,
}


def adapter() -> Adapter:
    """The adapter that the settings choose."""
    return ADAPTERS[settings.GATEWAY]()
