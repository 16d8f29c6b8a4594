"""Addresses that no gateway may have: link-local ones, where clouds serve the secrets of a machine (IMDS).

An administrator chooses a gateway's address, but a name may lead anywhere. Other private addresses are allowed, because
Kannel and phones are in private networks.
"""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from django.conf import settings

_LINK_LOCAL: Final = (
    ip_network("169.254.0.0/16"),  # RFC 3927
    ip_network("fe80::/10"),  # RFC 4291
    ip_network("fd00:ec2::254/128"),  # the metadata service of AWS
)


def is_forbidden(host: str) -> bool:
    """Whether an IP address is forbidden; a name is not."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not settings.GATEWAY_ALLOW_LINK_LOCAL and any(address in block for block in _LINK_LOCAL)
