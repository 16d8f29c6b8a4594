"""Allowed targets of webhooks: public addresses only, unless a setting allows others.

A name is resolved once per attempt. The checked address is the one that is connected to, so DNS rebinding gains
nothing. Redirects are not followed, and proxies of the environment are ignored.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
MAX_ANSWER: Final = 500
_NAT64: Final = IPv6Network("64:ff9b::/96")
_UNICAST: Final = IPv6Network("2000::/3")
"""The only IPv6 range in which global addresses are assigned."""
_SPECIAL: Final = tuple(
    ip_network(block)
    for block in (
        # https://www.iana.org/assignments/iana-ipv4-special-registry, with what is deprecated, and multicast
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # https://www.iana.org/assignments/iana-ipv6-special-registry, as far as they lie in `_UNICAST`
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)
"""Special-purpose blocks. No receiver is there, even if an address can be reached."""


class Refused(Exception):
    """The target is not allowed; the text is the reason, one word."""


@dataclass(frozen=True)
class Answer:
    """The result of one attempt: a status, or the reason why there is none."""

    status: int | None
    reason: str
    text: str
    duration_ms: int

    @property
    def accepted(self) -> bool:
        """Whether the receiver accepted the request."""
        return self.status is not None and 200 <= self.status < 300


def parse_address(url: str) -> SplitResult:
    """Return the parts of a usable address. Raises Refused (`address`, `https`)."""
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError as error:
        raise Refused("address") from error
    if not usable or parts.username or parts.password or any(character.isspace() for character in url):
        raise Refused("address")
    if parts.scheme != "https" and not settings.WEBHOOKS_ALLOW_PRIVATE:
        raise Refused("https")
    return parts


def resolve(url: str) -> str:
    """Return the IP address to connect to. Raises Refused (`address`, `https`, `dns`, `private`)."""
    parts = parse_address(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused("dns") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not settings.WEBHOOKS_ALLOW_PRIVATE and not all(is_public(address) for address in addresses):
        raise Refused("private")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether the address is public, and embeds no IPv4 address that is not."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        embedded = _embedded_ipv4(found)
        if embedded is not None:
            return is_public(str(embedded))
        if found not in _UNICAST:
            return False
    return found.is_global and not any(found in block for block in _SPECIAL)


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that is embedded in an IPv6 one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


class PinnedAdapter(HTTPAdapter):
    """Connects to one address, whatever the name resolves to. Host header, SNI and certificate use the name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opened: list[HTTPConnection] = []
        super().__init__()

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the connection pool of the address."""
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        options: dict[str, Any] = {**pool}
        if host["scheme"] == "https":
            options |= {"server_hostname": host["host"], "assert_hostname": host["host"]}
        found = self.poolmanager.connection_from_host(self.address, host["port"], host["scheme"], pool_kwargs=options)
        found.ConnectionCls = self._tracked(found.ConnectionCls)
        return found

    def _tracked(self, kind: type[Any]) -> type[Any]:
        """Return a connection class that adds its instances to `opened`."""
        opened = self.opened

        class Tracked(kind):  # type: ignore[misc]
            def connect(self) -> None:
                opened.append(self)
                super().connect()

        return Tracked

    def close_all(self) -> None:
        """Close all connections. An answer that arrives byte by byte never reaches the read timeout."""
        for connection in self.opened:
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Post, and read only as much of the answer as is stored. A failure is an `Answer` too."""
    started = time.monotonic()
    status, text = None, ""
    try:
        status, text = _post(url, body, headers)
        reason = "" if 200 <= status < 300 else f"http_{status}"
    except Refused as error:
        reason = str(error)
    except requests.Timeout:
        reason = "timeout"
    except requests.exceptions.SSLError:
        reason = "tls"
    except (requests.RequestException, HTTPError, OSError, ValueError):
        reason = "connection" if time.monotonic() - started < TOTAL_SECONDS else "timeout"
    return Answer(status, reason, text, round((time.monotonic() - started) * 1000))


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    parts = parse_address(url)
    with requests.Session() as session:
        session.trust_env = False
        adapter = PinnedAdapter(resolve(url))
        session.mount(f"{parts.scheme}://", adapter)
        guard = threading.Timer(TOTAL_SECONDS, adapter.close_all)
        guard.start()
        try:
            answer = session.post(
                url,
                data=body,
                headers={**headers, "Host": parts.netloc},
                timeout=(CONNECT_SECONDS, TOTAL_SECONDS - CONNECT_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            text = answer.raw.read(MAX_ANSWER, decode_content=True) or b""
        finally:
            guard.cancel()
    return answer.status_code, text.decode("utf-8", "replace").replace("\0", "�")[:MAX_ANSWER]
