"""The `console` gateway: for development without any. It speaks as `probe` does, to a transport that writes lines."""

from campaigns.gateways.probe import Probe


class Console(Probe):
    """Says yes to everything."""

    kind = "console"

    def __init__(self, *, name: str = "") -> None:
        super().__init__("http://console.invalid", token="", name=name)
