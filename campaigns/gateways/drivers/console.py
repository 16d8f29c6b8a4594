"""The `console` gateway, for development without one: it writes each message to the log and accepts it."""

from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.protocol import Connection, _


class Console(Probe):
    """Accepts every message."""

    kind = "console"
    label = _("Log")
    addable = False
    offline = True
    receipts_help = _("This gateway sends no delivery receipts.")

    @classmethod
    def connect(cls, connection: Connection) -> "Console":
        """Create the driver; it connects to nothing."""
        return cls("http://console.invalid", "", name=connection.name)
