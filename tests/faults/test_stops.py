"""A campaign is stopped at full speed, or its end comes."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.oracle import Scale, add_recipients, evidence, long
from tests.stack import Api, Stack, finished, launch, wait_for

SCALES = [Scale(400, rate=100), long(10_000, rate=1000)]


@pytest.mark.parametrize("scale", SCALES, ids=["short", "long"])
def test_no_request_begins_after_the_end(stack: Stack, api: Api, scale: Scale) -> None:
    stack.sandbox.faults = stack.sandbox.faults.updated({"latency": 0.2, "error": 0.1, "lost": 0.1})
    add_recipients(stack, "ended", scale.recipients)
    end = datetime.now(UTC) + timedelta(seconds=4)
    campaign = launch(api, "ended", rate_limit=scale.rate, ends_at=end.isoformat())
    wait_for(lambda: finished(api, campaign), "the campaign's end", 60)
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(scale.recipients)
    assert found.statuses.keys() <= {"sent", "expired", "unknown"}
    assert found.statuses["sent"]
    assert found.statuses["expired"]
    assert max(found.times()) < end.timestamp()
    # A request must not outlast the end, so the last answers are not received.
    uncertain = {pk for (pk,) in stack.rows("SELECT message_id FROM campaigns_attempt WHERE uncertain")}
    assert {pk for pk, (status, _, _) in found.messages.items() if status == "unknown"} <= uncertain


@pytest.mark.parametrize("action", ["pause", "cancel"])
@pytest.mark.parametrize("scale", SCALES, ids=["short", "long"])
def test_no_request_begins_a_second_after_a_stop(stack: Stack, api: Api, scale: Scale, action: str) -> None:
    add_recipients(stack, action, scale.recipients)
    campaign = launch(api, action, rate_limit=scale.rate)
    wait_for(lambda: stack.sandbox.ledger.accepted >= scale.recipients / 10, "the first messages")
    api.call("POST", f"/campaigns/{campaign}/{action}")
    stopped_at = time.time()
    wait_for(lambda: time.time() > stopped_at + 2, "two seconds")
    found = evidence(stack, campaign)
    assert max(found.times()) < stopped_at + 1
    assert found.statuses["sent"] < scale.recipients
    if action == "pause":
        api.call("PATCH", f"/campaigns/{campaign}", rate_limit=None)
        api.call("POST", f"/campaigns/{campaign}/resume")
        wait_for(lambda: finished(api, campaign), "the campaign's end", 60)
        found = evidence(stack, campaign)
        assert found.statuses == {"sent": scale.recipients}
    else:
        assert found.statuses.keys() == {"sent", "cancelled"}
    found.assert_nothing_lost_or_doubled(scale.recipients)
