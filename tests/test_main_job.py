"""The main job on a real stack: processes, HTTP and signals, through the API only."""

from datetime import UTC, datetime, timedelta

from tests.stack import Api, Stack, add_contacts, finished, launch, wait_for


def test_a_campaign_goes_from_nothing_to_the_last_message(stack: Stack, api: Api) -> None:
    add_contacts(api, "first", 30)
    campaign = launch(api, "first", rate_limit=15)
    wait_for(lambda: stack.sandbox.ledger.accepted >= 5, "the first messages")
    api.call("POST", "/contacts", 201, phone="+7 (999) 123-45-67", first_name="Поздний", tags=["first"])
    stats = wait_for(lambda: finished(api, campaign), "the campaign's end", 60)
    assert stats["total"] == stats["by_status"]["sent"] == 31
    assert stack.sandbox.ledger.accepted == stack.sandbox.ledger.requests == 31
    page = api.call("GET", f"/campaigns/{campaign}/messages?status=sent&limit=500")
    assert {row["id"] for row in page["items"]} == set(stack.sandbox.ledger.messages)


def test_killing_the_worker_loses_nothing(stack: Stack, api: Api) -> None:
    add_contacts(api, "killed", 80)
    stack.sandbox.faults = stack.sandbox.faults.updated({"latency": 0.3})
    campaign = launch(api, "killed", rate_limit=40)
    wait_for(lambda: stack.sandbox.ledger.accepted >= 20, "the middle of the campaign")
    stack.kill_worker()
    accepted = stack.sandbox.ledger.accepted
    assert accepted < 80
    # Expire the leases of the killed worker now instead of waiting a minute.
    past = "from campaigns.models import Lease; from django.utils.timezone import now; "
    stack.manage("shell", "-v0", "-c", past + "Lease.objects.update(until=now())")
    stack.start_worker()
    stats = wait_for(lambda: finished(api, campaign), "the campaign's end", 60)
    assert stats["by_status"]["sent"] == stats["total"] == 80
    assert stack.sandbox.ledger.accepted == 80
    assert stack.sandbox.ledger.conflicts == 0


def test_a_campaign_starts_on_the_second(stack: Stack, api: Api) -> None:
    add_contacts(api, "timed", 1)
    start = datetime.now(UTC) + timedelta(seconds=5)
    launch(api, "timed", starts_at=start.isoformat())
    wait_for(lambda: stack.sandbox.ledger.accepted, "the message")
    late = next(iter(stack.sandbox.ledger.messages.values())).first_at - start.timestamp()
    assert 0 <= late < 2


def test_sigterm_stops_the_worker_and_leaves_no_process(stack: Stack) -> None:
    assert stack.stop_worker() == 0
    assert stack.worker_pids() == []
    stack.start_worker()
