"""Where deliveries may go: to public addresses only, unless a setting allows others.

A name is resolved once for each attempt; what is checked is what is connected to, so that a name which changes its
address in between (DNS rebinding) gains nothing. Redirects are not followed, and no proxy of the environment is asked.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
KEPT_ANSWER: Final = 500
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class Refused(Exception):
    """Nothing is sent there; the text says why, in a word."""


@dataclass(frozen=True)
class Answer:
    """What came of one attempt: a status, or the reason why there is none."""

    status: int | None
    reason: str
    text: str
    duration_ms: int

    @property
    def good(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def parsed(url: str) -> SplitResult:
    """The parts of an address that can be posted to; Refused (`address`, `https`)."""
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
    """The IP address to connect to; Refused (`address`, `https`, `dns`, `private`)."""
    parts = parsed(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused("dns") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not settings.WEBHOOKS_ALLOW_PRIVATE and not all(is_public(address) for address in addresses):
        raise Refused("private")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether it is one of the internet at large, and hides none that is not."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = _inside(found)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


class PinnedAdapter(HTTPAdapter):
    """Connects to one address, whatever the name says; Host header, SNI and certificate stay the name's."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opened: list[HTTPConnection] = []
        super().__init__()

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool of the address."""
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        options: dict[str, Any] = {**pool}
        if host["scheme"] == "https":
            options |= {"server_hostname": host["host"], "assert_hostname": host["host"]}
        found = self.poolmanager.connection_from_host(self.address, host["port"], host["scheme"], pool_kwargs=options)
        found.ConnectionCls = self._noted(found.ConnectionCls)
        return found

    def _noted(self, kind: type[Any]) -> type[Any]:
        """The same kind of connection, kept in `opened`."""
        opened = self.opened

        class Noted(kind):  # type: ignore[misc]
            def connect(self) -> None:
                opened.append(self)
                super().connect()

        return Noted

    def cut(self) -> None:
        """End whatever goes on: an answer that comes byte by byte would outlast any time-out between two bytes."""
        for connection in self.opened:
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Post, and read no more of the answer than is kept; a failure is an `Answer` too."""
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
    parts = parsed(url)
    with requests.Session() as session:
        session.trust_env = False
        adapter = PinnedAdapter(resolve(url))
        session.mount(f"{parts.scheme}://", adapter)
        guard = threading.Timer(TOTAL_SECONDS, adapter.cut)
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
            text = answer.raw.read(KEPT_ANSWER, decode_content=True) or b""
        finally:
            guard.cancel()
    return answer.status_code, text.decode("utf-8", "replace").replace("\0", "�")[:KEPT_ANSWER]
