"""Which addresses gateways may have."""

import pytest
from pytest_django import Settings

from campaigns.gateways.addresses import is_forbidden


@pytest.mark.parametrize(
    ("host", "forbidden"),
    [
        ("169.254.169.254", True),
        ("[fe80::1%eth0]", True),
        ("::ffff:169.254.0.1", True),
        ("fd00:ec2::254", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("fd00::1", False),
        ("gateway.example.org", False),
        ("", False),
    ],
)
def test_link_local_addresses_are_forbidden_unless_a_setting_allows_them(
    settings: Settings, host: str, *, forbidden: bool
) -> None:
    assert is_forbidden(host) == forbidden
    settings.GATEWAY_ALLOW_LINK_LOCAL = True
    assert not is_forbidden(host)
