from itertools import pairwise

import pytest

from campaigns.models import Campaign, Message, Run
from campaigns.states import (
    CAMPAIGN_TRANSITIONS,
    MESSAGE_TRANSITIONS,
    OPEN,
    UNFINISHED,
    CampaignStatus,
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


def test_every_state_has_its_row_and_the_final_ones_have_no_exit() -> None:
    assert set(CAMPAIGN_TRANSITIONS) == set(CampaignStatus)
    assert set(MESSAGE_TRANSITIONS) == set(MessageStatus)
    assert {status.value for status, exits in CAMPAIGN_TRANSITIONS.items() if not exits} == FINAL_CAMPAIGN - {
        "finished"
    }
    ends = {status.value for status, exits in MESSAGE_TRANSITIONS.items() if not exits}
    assert ends == FINAL_MESSAGE - {"failed", "unknown"}


def test_only_a_person_or_a_receipt_brings_back_what_failed_or_is_unknown() -> None:
    assert CAMPAIGN_TRANSITIONS[CampaignStatus.FINISHED] == {CampaignStatus.RUNNING}
    assert MESSAGE_TRANSITIONS[MessageStatus.FAILED] == {MessageStatus.PENDING}
    by_hand = {MessageStatus.PENDING, MessageStatus.SENT, MessageStatus.FAILED}
    by_receipt = {MessageStatus.DELIVERED, MessageStatus.UNDELIVERED}
    assert MESSAGE_TRANSITIONS[MessageStatus.UNKNOWN] == by_hand | by_receipt


@pytest.mark.parametrize("status", CampaignStatus)
def test_every_campaign_that_is_not_over_can_be_cancelled(status: CampaignStatus) -> None:
    assert campaign_may(status.value, CampaignStatus.CANCELLED) is (status.value not in FINAL_CAMPAIGN)


def test_a_campaign_goes_its_way_and_back_from_a_pause_only() -> None:
    way = ["draft", "scheduled", "running", "paused", "running", "finished"]
    for status, target in pairwise(way):
        assert campaign_may(status, CampaignStatus(target))
    assert not campaign_may("running", CampaignStatus.SCHEDULED)
    assert not campaign_may("running", CampaignStatus.DRAFT)
    assert not campaign_may("draft", CampaignStatus.RUNNING)


def test_only_what_is_open_or_waits_for_its_receipt_has_an_exit() -> None:
    assert set(OPEN) == {MessageStatus.PENDING, MessageStatus.SENDING}
    assert set(UNFINISHED) == {CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.PAUSED}
    assert {MessageStatus.DELIVERED, MessageStatus.UNDELIVERED} == MESSAGE_TRANSITIONS[MessageStatus.SENT]


def test_every_name_fits_its_column_and_is_a_counter_of_a_run() -> None:
    assert all(len(name) <= (Campaign._meta.get_field("status").max_length or 0) for name in CampaignStatus.values)
    assert all(len(name) <= (Message._meta.get_field("status").max_length or 0) for name in MessageStatus.values)
    assert set(MessageStatus.values) <= {field.name for field in Run._meta.get_fields()}
