"""The gateway is down, gives invalid answers, or accepts a message without an answer."""

import time

import pytest

from campaigns.sending.circuit_breaker import FAILURES_TO_OPEN, MAX_PAUSE
from tests.faults.oracle import Scale, add_recipients, evidence, long
from tests.stack import Api, Stack, finished, launch, wait_for

WORKERS, CONCURRENCY = 4, 100
# Seconds until all senders know what one of them has learned.
KNOWN_WITHIN = 0.5
NONSENSE = ("error", "throttle", "unavailable", "reset", "hang", "html", "broken", "code", "huge", "redirect")


@pytest.mark.parametrize("scale", [Scale(40), long(2000)], ids=["short", "long"])
def test_invalid_and_lost_answers_neither_lose_nor_duplicate_messages(stack: Stack, api: Api, scale: Scale) -> None:
    shares = {**dict.fromkeys(NONSENSE, 0.3 / len(NONSENSE)), "lost": 0.2}
    stack.sandbox.faults = stack.sandbox.faults.updated(
        {**shares, "retry_after_date": True, "early_grace": KNOWN_WITHIN}
    )
    add_recipients(stack, "nonsense", scale.recipients)
    campaign = launch(api, "nonsense")
    wait_for(lambda: finished(api, campaign), "the campaign's end", 120 + scale.recipients / 5)
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(scale.recipients)
    assert found.statuses == {"sent": scale.recipients}
    assert stack.sandbox.ledger.early == 0
    assert stack.sandbox.ledger.redirected == 0


@pytest.mark.parametrize(
    "scale",
    [Scale(120, rate=40, faults=(5,)), long(20_000, faults=(600,))],
    ids=["short", "long"],
)
def test_an_outage_costs_a_few_probes_and_no_attempts(stack: Stack, api: Api, scale: Scale) -> None:
    stack.sandbox.faults = stack.sandbox.faults.updated({"latency": 0.02})
    add_recipients(stack, "outage", scale.recipients)
    campaign = launch(api, "outage", rate_limit=scale.rate)
    wait_for(lambda: stack.sandbox.ledger.accepted >= scale.recipients / 5, "the first messages")
    stack.sandbox.faults = stack.sandbox.faults.updated({"outage": True})
    (seconds,) = scale.faults
    time.sleep(seconds)
    stack.sandbox.faults = stack.sandbox.faults.updated({"outage": False})
    back_at = time.time()
    wait_for(lambda: finished(api, campaign), "the campaign's end", 120 + scale.recipients / 20)
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(scale.recipients)
    assert found.statuses == {"sent": scale.recipients}
    # Per sender: requests in flight before its last success, the failures that open the circuit, and those in flight.
    stragglers = scale.rate * KNOWN_WITHIN if scale.rate else (WORKERS - 1) * 2 * CONCURRENCY
    probes = 6 + seconds / MAX_PAUSE.total_seconds()
    assert len(found.times("outage")) <= FAILURES_TO_OPEN * (WORKERS - 1) + stragglers + probes
    # These used an attempt each, the probes none. On a busy machine a few more time out before and after.
    ((late,),) = stack.rows(
        "SELECT COUNT(*) FROM campaigns_attempt a JOIN campaigns_message m ON m.id = a.message_id "
        f"JOIN campaigns_run r ON r.id = m.run_id WHERE r.campaign_id = {campaign} AND a.reason <> 'reset'"
    )
    assert sum(attempts - 1 for _, attempts, _ in found.messages.values()) <= (
        FAILURES_TO_OPEN * (WORKERS - 1) + stragglers + late
    )
    first = min(at for at in found.times("accepted") if at > back_at)
    assert first < back_at + MAX_PAUSE.total_seconds() + 2
