import pytest

from campaigns.gateways.protocol import TransportFailure
from campaigns.wording import reason_words


def test_every_transport_failure_has_a_text() -> None:
    assert all("Unexpected" not in reason_words(failure) for failure in TransportFailure)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("http_400", "Rejected by the gateway (400)"),
        ("http_502", "Internal error of the gateway (502)"),
        ("http_302", "Unexpected response: http_302"),
        ("", ""),
    ],
)
def test_reasons_are_shown_in_words(code: str, words: str) -> None:
    assert reason_words(code) == words
