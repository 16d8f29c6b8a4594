from itertools import pairwise

import pytest

from campaigns.counters import moved
from campaigns.models import Campaign, Message, Run
from campaigns.pages.progress import tally
from campaigns.states import (
    ACCEPTED,
    CAMPAIGN_TRANSITIONS,
    ENDED,
    MESSAGE_TRANSITIONS,
    OPEN,
    UNFINISHED,
    UNSUCCESSFUL,
    CampaignStatus,
    IllegalTransition,
    MessageStatus,
    Repeat,
    campaign_may,
)

FINAL_CAMPAIGN = {"finished", "cancelled"}
FINAL_MESSAGE = {"delivered", "undelivered", "failed", "expired", "cancelled", "unknown"}


def test_the_names_are_those_of_the_contract() -> None:
    assert set(CampaignStatus.values) == {"draft", "scheduled", "running", "paused", *FINAL_CAMPAIGN}
    assert set(MessageStatus.values) == {"pending", "sending", "sent", *FINAL_MESSAGE}
    assert set(Repeat.values) == {"once", "daily", "weekly", "monthly"}


def test_every_state_has_a_row_and_final_states_have_no_exit() -> None:
    assert set(CAMPAIGN_TRANSITIONS) == set(CampaignStatus)
    assert set(MESSAGE_TRANSITIONS) == set(MessageStatus)
    assert {status.value for status, exits in CAMPAIGN_TRANSITIONS.items() if not exits} == FINAL_CAMPAIGN - {
        "finished"
    }
    ends = {status.value for status, exits in MESSAGE_TRANSITIONS.items() if not exits}
    assert ends == FINAL_MESSAGE - {"failed", "unknown", "delivered", "cancelled"}


def test_only_a_user_or_a_receipt_changes_failed_and_unknown_messages() -> None:
    assert CAMPAIGN_TRANSITIONS[CampaignStatus.FINISHED] == {CampaignStatus.RUNNING}
    assert MESSAGE_TRANSITIONS[MessageStatus.FAILED] == {MessageStatus.PENDING}
    by_hand = {MessageStatus.PENDING, MessageStatus.SENT, MessageStatus.FAILED}
    by_receipt = {MessageStatus.DELIVERED, MessageStatus.UNDELIVERED}
    assert MESSAGE_TRANSITIONS[MessageStatus.UNKNOWN] == by_hand | by_receipt


@pytest.mark.parametrize("status", CampaignStatus)
def test_every_unfinished_campaign_can_be_cancelled(status: CampaignStatus) -> None:
    assert campaign_may(status.value, CampaignStatus.CANCELLED) is (status.value not in FINAL_CAMPAIGN)


def test_a_campaign_only_returns_from_a_pause() -> None:
    way = ["draft", "scheduled", "running", "paused", "running", "finished"]
    for status, target in pairwise(way):
        assert campaign_may(status, CampaignStatus(target))
    assert not campaign_may("running", CampaignStatus.SCHEDULED)
    assert not campaign_may("running", CampaignStatus.DRAFT)
    assert not campaign_may("draft", CampaignStatus.RUNNING)


def test_only_open_or_accepted_messages_change_by_themselves() -> None:
    assert set(OPEN) == {MessageStatus.PENDING, MessageStatus.SENDING}
    assert set(UNFINISHED) == {CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.PAUSED}
    assert {MessageStatus.DELIVERED, MessageStatus.UNDELIVERED} == MESSAGE_TRANSITIONS[MessageStatus.SENT]
    assert {MessageStatus.UNDELIVERED} == MESSAGE_TRANSITIONS[MessageStatus.DELIVERED]


def test_every_state_of_a_message_is_shown_in_the_meter() -> None:
    shown = {group.name for group in tally(dict.fromkeys(MessageStatus.values, 1), retrying=0).groups}
    assert shown == {status.value for status in ENDED} | {"waiting", "retrying"}
    assert set(ACCEPTED) | set(UNSUCCESSFUL) < set(ENDED)


def test_every_name_fits_its_column_and_is_a_counter_of_a_run() -> None:
    assert all(len(name) <= (Campaign._meta.get_field("status").max_length or 0) for name in CampaignStatus.values)
    assert all(len(name) <= (Message._meta.get_field("status").max_length or 0) for name in MessageStatus.values)
    assert set(MessageStatus.values) <= {field.name for field in Run._meta.get_fields()}


@pytest.mark.parametrize("source", MessageStatus)
@pytest.mark.parametrize("target", MessageStatus)
def test_messages_are_counted_by_allowed_transitions_only(source: MessageStatus, target: MessageStatus) -> None:
    if target in MESSAGE_TRANSITIONS[source]:
        assert moved(source, target, 3) == {source.value: -3, target.value: 3}
    else:
        with pytest.raises(IllegalTransition):
            moved(source, target, 3)


@pytest.mark.parametrize("source", CampaignStatus)
@pytest.mark.parametrize("target", CampaignStatus)
def test_a_campaign_changes_only_as_the_table_allows(source: CampaignStatus, target: CampaignStatus) -> None:
    campaign = Campaign(status=source)
    if target in CAMPAIGN_TRANSITIONS[source]:
        campaign.become(target)
        assert campaign.status == target
    else:
        with pytest.raises(IllegalTransition):
            campaign.become(target)
        assert campaign.status == source
