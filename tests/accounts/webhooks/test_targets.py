"""Allowed targets of deliveries, and that the checked address is the one connected to."""

import socket
from typing import Any

import pytest
from pytest_django import Settings

from accounts.webhooks import targets
from tests.accounts.webhooks.receiver import running_receiver

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:db8::1",
    "192.0.0.8",
    "192.0.0.9",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "fec0::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "100:0:0:1::1",
    "::7f00:1",
    "64:ff9b:1::808:808",
    "2001:2::1",
    "2001:20::1",
    "2620:4f:8000::1",
    "4000::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_address_is_private(address: str) -> None:
    assert not targets.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_address_is_public(address: str) -> None:
    assert targets.is_public(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1/hook", "private"),
        ("https://localhost/hook", "private"),
        ("https://[::1]/hook", "private"),
        ("https://[::ffff:127.0.0.1]/hook", "private"),
        ("https://2130706433/hook", "private"),
        ("https://0x7f.1/hook", "private"),
        ("https://0177.0.0.1/", "private"),
        ("https://169.254.169.254/latest/meta-data/", "private"),
        ("http://example.org/hook", "https"),
        ("ftp://example.org/hook", "address"),
        ("https://", "address"),
        ("https://user:pass@example.org/", "address"),
        ("https://example.org:0/", "address"),
        ("https://example.org:99999/", "address"),
        ("https://exa mple.org/", "address"),
        ("https://[::1/", "address"),
        ("javascript:alert(1)", "address"),
        ("no-such-host", "address"),
        ("https://no-such-host.invalid/", "dns"),
        ("https://" + "a" * 64 + ".org/", "dns"),
    ],
)
def test_invalid_webhooks_are_refused(url: str, why: str) -> None:
    with pytest.raises(targets.Refused, match=why):
        targets.resolve(url)


def answering(*addresses: str) -> Any:
    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("8.8.8.8", "10.0.0.1"))
    with pytest.raises(targets.Refused, match="private"):
        targets.resolve("https://example.org/")


def test_name_that_becomes_private_later_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("8.8.8.8"))
    targets.resolve("https://example.org/")
    monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.1"))
    assert targets.post("https://example.org/", b"{}", {}).reason == "private"


def test_connection_uses_the_checked_address_and_the_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    real = socket.getaddrinfo
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "hooks.example.org" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with running_receiver() as receiver:
        port = receiver.server_address[1]
        answer = targets.post(f"http://hooks.example.org:{port}/", b"{}", {})
        assert answer.accepted
        assert receiver.requests[0][0]["host"] == f"hooks.example.org:{port}"
    assert asked.count("hooks.example.org") == 1


def test_proxies_of_the_environment_are_ignored(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with running_receiver() as receiver:
        assert targets.post(receiver.url, b"{}", {}).accepted
