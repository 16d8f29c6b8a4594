"""What people make of messages that are unknown, one by one and all at once."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import lifecycle, services, tasks, unknown
from campaigns.audience import freeze
from campaigns.direct import message_send
from campaigns.gateways.probe import Probe
from campaigns.lifecycle import ADVANCE, campaign_advance
from campaigns.models import Attempt, Campaign, Message, Run
from campaigns.routing import Route
from campaigns.sandbox.server import Sandbox
from campaigns.sending.lease import lease
from campaigns.sending.record import release
from campaigns.states import CampaignStatus, MessageStatus, Remedy
from directory.models import Contact
from project.http import Conflict
from tests import factories
from tests.campaigns.engine import assert_counters_true, hints, send_everything, slice_of, statuses
from tests.campaigns.outcomes import settle, started

SENDING = (Remedy.RETRY, Remedy.RESEND)


def in_doubt(
    owner: User, number: int, reason: str = "quarantined", **fields: Any
) -> tuple[Campaign, Run, list[Message]]:
    """A campaign of which so many messages may have been accepted."""
    campaign, run = started(owner, contacts=number, **fields)
    messages = settle(run, number, MessageStatus.UNKNOWN, reason)
    Attempt.objects.bulk_create(
        Attempt(message=message, at=now(), reason="worker_died", uncertain=True) for message in messages
    )
    return campaign, run, list(Message.objects.filter(run=run).select_related("run__campaign").order_by("pk"))


def in_state(campaign: Campaign, status: str) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(status=status)


def remedy_all(campaign: Campaign, remedy: Remedy) -> None:
    services.campaign_remedy(campaign=campaign, by=campaign.owner, remedy=remedy)
    campaign_advance(campaign.pk)


class TestOne:
    def test_it_is_sent_again_under_a_new_id_with_the_same_payload(self, alice: User, sandbox: Sandbox) -> None:
        campaign, run, [message] = in_doubt(alice, 1)
        again = services.message_remedy(message=message, by=alice, remedy=Remedy.RESEND)
        assert again.pk != message.pk
        assert (again.run, again.contact_id, again.resend_of_id) == (run, message.contact_id, message.pk)
        send_everything(campaign, sandbox)
        assert [(each.message.id, each.message.phone, each.message.text) for each in sandbox.ledger.last] == [
            (again.pk, message.phone, message.text)
        ]
        message.refresh_from_db()
        assert (message.status, message.reason) == ("unknown", "resent")
        assert statuses(campaign) == {"unknown": 1, "sent": 1}
        assert_counters_true(campaign)

    def test_its_payload_stays_the_same_when_it_has_gone_back_unsent(self, alice: User) -> None:
        _campaign, run, [message] = in_doubt(alice, 1)
        again = services.message_remedy(message=message, by=alice, remedy=Remedy.RESEND)
        token = uuid4()
        release(token, lease(Run.objects.select_related("campaign").get(pk=run.pk), token, 1, Route("probe")))
        again.refresh_from_db()
        assert (again.status, again.attempts) == ("pending", 0)
        assert (again.phone, again.text, again.parts) == (message.phone, message.text, message.parts)

    def test_what_was_stopped_is_tried_again_under_its_own_id(self, alice: User, sandbox: Sandbox) -> None:
        campaign, _run, [message] = in_doubt(alice, 1)
        tried = services.message_remedy(message=message, by=alice, remedy=Remedy.RETRY)
        assert (tried.pk, tried.status, tried.attempts, tried.leases) == (message.pk, "pending", 0, 0)
        send_everything(campaign, sandbox)
        assert [(each.message.id, each.message.text) for each in sandbox.ledger.last] == [(message.pk, "As sent")]
        assert statuses(campaign) == {"sent": 1}
        assert_counters_true(campaign)

    @pytest.mark.parametrize("remedy", [Remedy.SENT, Remedy.FAILED])
    def test_it_is_taken_for_what_a_person_says(self, alice: User, remedy: Remedy) -> None:
        campaign, run, [message] = in_doubt(alice, 1)
        told = services.message_remedy(message=message, by=alice, remedy=remedy)
        assert (told.pk, told.status, told.reason) == (message.pk, remedy, "marked")
        assert_counters_true(campaign)
        run.refresh_from_db()
        assert run.parts == (1 if remedy == Remedy.SENT else 0)

    @pytest.mark.parametrize("remedy", Remedy)
    def test_it_happens_once(self, alice: User, remedy: Remedy) -> None:
        _campaign, _run, [message] = in_doubt(alice, 1)
        services.message_remedy(message=message, by=alice, remedy=remedy)
        with pytest.raises(Conflict):
            services.message_remedy(message=message, by=alice, remedy=remedy)

    @pytest.mark.parametrize("remedy", Remedy)
    @pytest.mark.parametrize("status", sorted(set(MessageStatus) - {MessageStatus.UNKNOWN}))
    def test_only_what_is_unknown_needs_it(self, alice: User, remedy: Remedy, status: MessageStatus) -> None:
        _campaign, run = started(alice, contacts=1)
        Message.objects.update(status=status)
        with pytest.raises(Conflict):
            services.message_remedy(message=run.messages.get(), by=alice, remedy=remedy)

    def test_only_what_was_stopped_may_be_tried_again(self, alice: User) -> None:
        _campaign, _run, [message] = in_doubt(alice, 1, "worker_died")
        with pytest.raises(Conflict):
            services.message_remedy(message=message, by=alice, remedy=Remedy.RETRY)

    def test_a_gateway_that_would_write_twice_gets_a_new_message(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Probe, "idempotent", False)
        _campaign, _run, [message] = in_doubt(alice, 1)
        with pytest.raises(Conflict):
            services.message_remedy(message=message, by=alice, remedy=Remedy.RETRY)
        services.message_remedy(message=message, by=alice, remedy=Remedy.RESEND)

    @pytest.mark.parametrize("remedy", Remedy)
    def test_after_the_end_nothing_leaves_but_it_can_be_marked(self, alice: User, remedy: Remedy) -> None:
        campaign, _run, [message] = in_doubt(alice, 1)
        with time_machine.travel(campaign.ends_at, tick=False):
            campaign_advance(campaign.pk)
            if remedy in SENDING:
                with pytest.raises(Conflict):
                    services.message_remedy(message=message, by=alice, remedy=remedy)
            else:
                services.message_remedy(message=message, by=alice, remedy=remedy)
        campaign.refresh_from_db()
        assert campaign.status == "finished"
        assert_counters_true(campaign)

    @pytest.mark.parametrize("remedy", Remedy)
    def test_it_is_for_the_creator_and_administrators(
        self, alice: User, bob: User, admin: User, remedy: Remedy
    ) -> None:
        _campaign, _run, [message] = in_doubt(alice, 1)
        with pytest.raises(PermissionDenied):
            services.message_remedy(message=message, by=bob, remedy=remedy)
        services.message_remedy(message=message, by=admin, remedy=remedy)

    def test_one_to_a_single_phone_is_sent_again_today(self, alice: User, sandbox: Sandbox) -> None:
        long_ago = now() - timedelta(days=9)
        with time_machine.travel(long_ago, tick=False):
            old = message_send(owner=alice, phone="+7 999 123-45-67", text="Hello")
            settle(old.run, 1, MessageStatus.UNKNOWN, "quarantined")
            Message.objects.update(phone=79991234567)
        again = services.message_remedy(message=old, by=alice, remedy=Remedy.RESEND)
        assert again.run != old.run
        slice_of(sandbox)
        assert statuses(again.run.campaign) == {"unknown": 1, "sent": 1}
        assert_counters_true(again.run.campaign)
        with pytest.raises(Conflict):
            services.message_remedy(message=old, by=alice, remedy=Remedy.RESEND)

    def test_one_to_a_single_phone_is_not_sent_again_to_who_opted_out(self, alice: User) -> None:
        message = message_send(owner=alice, phone="+7 999 123-45-67", text="Hello")
        settle(message.run, 1, MessageStatus.UNKNOWN)
        message.refresh_from_db()
        factories.contact(alice, phone=message.phone, opted_out=True)
        with pytest.raises(ValidationError):
            services.message_remedy(message=message, by=alice, remedy=Remedy.RESEND)

    def test_one_that_opted_out_meanwhile_is_not_written_to_again(self, alice: User, sandbox: Sandbox) -> None:
        campaign, _run, [message] = in_doubt(alice, 1)
        services.message_remedy(message=message, by=alice, remedy=Remedy.RESEND)
        Contact.objects.update(opted_out=True)
        send_everything(campaign, sandbox)
        assert statuses(campaign) == {"unknown": 1, "cancelled": 1}
        assert not sandbox.ledger.requests


class TestAll:
    @pytest.mark.parametrize(
        ("remedy", "found"),
        [
            (Remedy.RETRY, {"pending": 5, "unknown": 2}),
            (Remedy.RESEND, {"pending": 7, "unknown": 7}),
            (Remedy.SENT, {"sent": 7}),
            (Remedy.FAILED, {"failed": 7}),
        ],
    )
    def test_each_gets_it_in_batches(
        self, alice: User, monkeypatch: pytest.MonkeyPatch, remedy: Remedy, found: dict[str, int]
    ) -> None:
        monkeypatch.setattr(unknown, "_BATCH", 2)
        campaign, run, messages = in_doubt(alice, 7)
        Message.objects.filter(pk__in=[message.pk for message in messages[:2]]).update(reason="worker_died")
        remedy_all(campaign, remedy)
        assert statuses(campaign) == found
        assert_counters_true(campaign)
        run.refresh_from_db()
        assert (run.remedy, run.remedy_before) == ("", None)

    def test_the_figures_add_up_when_all_were_sent_again(self, alice: User, sandbox: Sandbox) -> None:
        campaign, _run, messages = in_doubt(alice, 3)
        remedy_all(campaign, Remedy.RESEND)
        send_everything(campaign, sandbox)
        assert statuses(campaign) == {"unknown": 3, "sent": 3}
        assert sandbox.ledger.accepted == 3
        assert not sandbox.ledger.messages.keys() & {message.pk for message in messages}
        assert campaign.status == "finished"
        assert_counters_true(campaign)
        with pytest.raises(Conflict):
            services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.RESEND)

    @pytest.mark.parametrize("remedy", SENDING)
    def test_a_finished_campaign_runs_again(self, alice: User, remedy: Remedy) -> None:
        campaign, run, _messages = in_doubt(alice, 1)
        campaign_advance(campaign.pk)
        campaign.refresh_from_db()
        assert campaign.status == "finished"
        remedy_all(campaign, remedy)
        campaign.refresh_from_db()
        run.refresh_from_db()
        assert (campaign.status, campaign.finished_at, run.finished_at) == ("running", None, None)

    @pytest.mark.parametrize("status", [CampaignStatus.FINISHED, CampaignStatus.CANCELLED])
    def test_one_that_is_over_can_be_marked(self, alice: User, status: CampaignStatus) -> None:
        campaign, _run, _messages = in_doubt(alice, 1)
        in_state(campaign, status)
        remedy_all(campaign, Remedy.SENT)
        assert statuses(campaign) == {"sent": 1}
        campaign.refresh_from_db()
        assert campaign.status == status

    @pytest.mark.parametrize("remedy", SENDING)
    def test_a_cancelled_one_sends_nothing_more(self, alice: User, remedy: Remedy) -> None:
        campaign, _run, _messages = in_doubt(alice, 1)
        in_state(campaign, "cancelled")
        with pytest.raises(Conflict):
            services.campaign_remedy(campaign=campaign, by=alice, remedy=remedy)

    def test_a_cancel_that_comes_in_between_is_respected(self, alice: User) -> None:
        campaign, run, _messages = in_doubt(alice, 1)
        services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.RESEND)
        services.campaign_cancel(campaign=campaign, by=alice)
        campaign_advance(campaign.pk)
        run.refresh_from_db()
        assert (statuses(campaign), run.remedy, bool(run.finished_at)) == ({"unknown": 1}, "", True)

    def test_what_becomes_unknown_later_is_left_alone(self, alice: User) -> None:
        campaign, run, _messages = in_doubt(alice, 1)
        services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.SENT)
        factories.contact(alice)
        freeze(run)
        settle(run, 1, MessageStatus.UNKNOWN)
        campaign_advance(campaign.pk)
        assert statuses(campaign) == {"sent": 1, "unknown": 1}

    def test_one_thing_at_a_time(self, alice: User) -> None:
        campaign, _run, _messages = in_doubt(alice, 1)
        services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.SENT)
        with pytest.raises(Conflict):
            services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.FAILED)

    def test_a_lost_hint_is_made_anew(self, alice: User) -> None:
        campaign, _run, _messages = in_doubt(alice, 1)
        in_state(campaign, "finished")
        services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.SENT)
        OrmQ.objects.all().delete()
        tasks.sweep()
        assert hints(ADVANCE) == 1

    def test_a_mark_that_comes_while_a_run_is_tended_keeps_it_open(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        campaign, run, _messages = in_doubt(alice, 1)
        services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.RESEND)
        monkeypatch.setattr(lifecycle, "remedy_marked", lambda campaign: False)
        campaign_advance(campaign.pk)
        campaign.refresh_from_db()
        run.refresh_from_db()
        assert (campaign.status, run.finished_at) == ("running", None)

    def test_what_takes_long_is_left_for_another_time(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        campaign, _run, _messages = in_doubt(alice, 1)
        services.campaign_remedy(campaign=campaign, by=alice, remedy=Remedy.SENT)
        OrmQ.objects.all().delete()
        with monkeypatch.context() as late:
            late.setattr(unknown, "_SECONDS", 0.0)
            campaign_advance(campaign.pk)
        assert (statuses(campaign), hints(ADVANCE)) == ({"unknown": 1}, 1)
        OrmQ.objects.all().delete()
        campaign_advance(campaign.pk)
        assert (statuses(campaign), hints(ADVANCE)) == ({"sent": 1}, 0)

    def test_no_contact_is_written_to_twice_by_the_plan(self, alice: User) -> None:
        campaign, run, _messages = in_doubt(alice, 1)
        remedy_all(campaign, Remedy.RESEND)
        Run.objects.update(joined_at=None)
        campaign_advance(campaign.pk)
        assert Message.objects.count() == 2
        contact = Contact.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            Message.objects.create(run=run, contact=contact, due_at=now())
