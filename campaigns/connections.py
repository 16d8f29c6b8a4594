"""The gateways as they are set up: the adapter of each, and the address that its receipts come to."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import Http404

from campaigns.gateways.base import Adapter
from campaigns.gateways.console import Console
from campaigns.gateways.kannel import Kannel
from campaigns.gateways.probe import Probe

ADAPTERS: Final[dict[str, Callable[[str, str, str], Adapter]]] = {
    "probe": lambda name, url, secret: Probe(url, secret, name=name),
    "kannel": lambda name, url, secret: Kannel(url, *_user_of(secret), callback_address(name), name=name),
    "console": lambda name, _url, _secret: Console(name=name),
}
"""By kind, what makes an adapter of a gateway's name, address and secret."""


def adapter() -> Adapter:
    """That of the gateway that the settings name."""
    return ADAPTERS[settings.GATEWAY](settings.GATEWAY, settings.GATEWAY_URL, settings.GATEWAY_TOKEN)


def named(name: str) -> Adapter:
    """That of the gateway of this name; Http404 if there is none."""
    if name != settings.GATEWAY:
        raise Http404
    return adapter()


def callback_address(name: str) -> str:
    """Where the gateway has to send its receipts, with the key that it shows; a secret."""
    return f"{settings.PUBLIC_URL}/api/v1/callbacks/{name}?key={_keys().signature(name)}"


def key_fits(name: str, key: str) -> bool:
    """Whether whoever shows this key is the gateway, compared in constant time; keys of an earlier SECRET_KEY fit."""
    try:
        _keys().unsign(f"{name}:{key}")
    except BadSignature:
        return False
    return True


def _keys() -> Signer:
    return Signer(salt="campaigns.callbacks")


def _user_of(secret: str) -> tuple[str, str]:
    """`user:password`."""
    username, _, password = secret.partition(":")
    return username, password
