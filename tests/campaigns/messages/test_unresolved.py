"""Resolution of unknown messages, one by one and all at once."""

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
from campaigns import services, tasks
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.routing import Route
from campaigns.messages import unresolved
from campaigns.messages.transactional import message_send
from campaigns.models import Attempt, Campaign, Gateway, Message, Run
from campaigns.planning import lifecycle
from campaigns.planning.lifecycle import advance, campaign_advance
from campaigns.planning.recipients import freeze
from campaigns.sandbox.server import Sandbox
from campaigns.sending.lease import lease
from campaigns.sending.outcomes import release
from campaigns.states import CampaignStatus, MessageStatus, Resolution
from directory.models import Contact
from project.http.errors import Conflict
from tests import factories
from tests.campaigns.engine import assert_counters_match, hints, run_session, send_everything, statuses
from tests.campaigns.outcomes import settle, started

SENDING = (Resolution.RETRY, Resolution.RESEND)


def with_unknown(
    owner: User, number: int, reason: str = "quarantined", **fields: Any
) -> tuple[Campaign, Run, list[Message]]:
    """A campaign with this many unknown messages."""
    campaign, run = started(owner, contacts=number, **fields)
    messages = settle(run, number, MessageStatus.UNKNOWN, reason)
    Attempt.objects.bulk_create(
        Attempt(message=message, at=now(), reason="worker_died", uncertain=True) for message in messages
    )
    return campaign, run, list(Message.objects.filter(run=run).select_related("run__campaign").order_by("pk"))


def in_state(campaign: Campaign, status: str) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(status=status)


def resolve_all(campaign: Campaign, resolution: Resolution) -> None:
    services.campaign_resolve(campaign=campaign, by=campaign.owner, resolution=resolution)
    campaign_advance(campaign.pk)


class TestOneMessage:
    def test_resend_uses_a_new_id_and_the_same_payload(self, alice: User, sandbox: Sandbox) -> None:
        campaign, run, [message] = with_unknown(alice, 1)
        resent = services.message_resolve(message=message, by=alice, resolution=Resolution.RESEND)
        assert resent.pk != message.pk
        assert (resent.run, resent.contact_id, resent.resend_of_id) == (run, message.contact_id, message.pk)
        send_everything(campaign, sandbox)
        assert [(each.message.id, each.message.phone, each.message.text) for each in sandbox.ledger.last] == [
            (resent.pk, message.phone, message.text)
        ]
        message.refresh_from_db()
        assert (message.status, message.reason) == ("unknown", "resent")
        assert statuses(campaign) == {"unknown": 1, "sent": 1}
        assert_counters_match(campaign)

    def test_a_released_resend_keeps_its_payload(self, alice: User) -> None:
        _campaign, run, [message] = with_unknown(alice, 1)
        resent = services.message_resolve(message=message, by=alice, resolution=Resolution.RESEND)
        token = uuid4()
        release(token, lease({run.pk: 1}, token, Route("probe")))
        resent.refresh_from_db()
        assert (resent.status, resent.attempts) == ("pending", 0)
        assert (resent.phone, resent.text, resent.parts) == (message.phone, message.text, message.parts)

    def test_a_quarantined_message_is_retried_with_its_own_id(self, alice: User, sandbox: Sandbox) -> None:
        campaign, _run, [message] = with_unknown(alice, 1)
        tried = services.message_resolve(message=message, by=alice, resolution=Resolution.RETRY)
        assert (tried.pk, tried.status, tried.attempts, tried.leases) == (message.pk, "pending", 0, 0)
        send_everything(campaign, sandbox)
        assert [(each.message.id, each.message.text) for each in sandbox.ledger.last] == [(message.pk, "As sent")]
        assert statuses(campaign) == {"sent": 1}
        assert_counters_match(campaign)

    @pytest.mark.parametrize("resolution", [Resolution.SENT, Resolution.FAILED])
    def test_it_is_marked_as_the_user_decides(self, alice: User, resolution: Resolution) -> None:
        campaign, run, [message] = with_unknown(alice, 1)
        resolved = services.message_resolve(message=message, by=alice, resolution=resolution)
        assert (resolved.pk, resolved.status, resolved.reason) == (message.pk, resolution, "marked")
        assert_counters_match(campaign)
        run.refresh_from_db()
        assert run.parts == (1 if resolution == Resolution.SENT else 0)

    @pytest.mark.parametrize("resolution", Resolution)
    def test_a_message_is_resolved_once(self, alice: User, resolution: Resolution) -> None:
        _campaign, _run, [message] = with_unknown(alice, 1)
        services.message_resolve(message=message, by=alice, resolution=resolution)
        with pytest.raises(Conflict):
            services.message_resolve(message=message, by=alice, resolution=resolution)

    @pytest.mark.parametrize("resolution", Resolution)
    @pytest.mark.parametrize("status", sorted(set(MessageStatus) - {MessageStatus.UNKNOWN}))
    def test_only_unknown_messages_can_be_resolved(
        self, alice: User, resolution: Resolution, status: MessageStatus
    ) -> None:
        _campaign, run = started(alice, contacts=1)
        Message.objects.update(status=status)
        with pytest.raises(Conflict):
            services.message_resolve(message=run.messages.get(), by=alice, resolution=resolution)

    @pytest.mark.parametrize("gateway", ["probe", "kannel"])
    def test_only_a_message_whose_gateway_is_idempotent_can_be_retried(self, alice: User, gateway: str) -> None:
        _campaign, _run, [message] = with_unknown(alice, 1, "timeout")
        Gateway.objects.get_or_create(name=gateway, defaults={"kind": gateway})
        Message.objects.update(gateway=gateway)
        if gateway == "probe":
            tried = services.message_resolve(message=message, by=alice, resolution=Resolution.RETRY)
            assert (tried.pk, tried.status) == (message.pk, "pending")
            return
        with pytest.raises(Conflict):
            services.message_resolve(message=message, by=alice, resolution=Resolution.RETRY)

    def test_a_gateway_that_is_not_idempotent_gets_a_new_message(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Probe, "idempotent", False)
        _campaign, _run, [message] = with_unknown(alice, 1)
        with pytest.raises(Conflict):
            services.message_resolve(message=message, by=alice, resolution=Resolution.RETRY)
        services.message_resolve(message=message, by=alice, resolution=Resolution.RESEND)

    @pytest.mark.parametrize("resolution", Resolution)
    def test_after_the_end_messages_can_only_be_marked(self, alice: User, resolution: Resolution) -> None:
        campaign, _run, [message] = with_unknown(alice, 1)
        with time_machine.travel(campaign.ends_at, tick=False):
            campaign_advance(campaign.pk)
            if resolution in SENDING:
                with pytest.raises(Conflict):
                    services.message_resolve(message=message, by=alice, resolution=resolution)
            else:
                services.message_resolve(message=message, by=alice, resolution=resolution)
        campaign.refresh_from_db()
        assert campaign.status == "finished"
        assert_counters_match(campaign)

    @pytest.mark.parametrize("resolution", Resolution)
    def test_it_is_for_the_creator_and_administrators(
        self, alice: User, bob: User, admin: User, resolution: Resolution
    ) -> None:
        _campaign, _run, [message] = with_unknown(alice, 1)
        with pytest.raises(PermissionDenied):
            services.message_resolve(message=message, by=bob, resolution=resolution)
        services.message_resolve(message=message, by=admin, resolution=resolution)

    def test_a_transactional_message_is_resent_in_the_run_of_today(self, alice: User, sandbox: Sandbox) -> None:
        long_ago = now() - timedelta(days=9)
        with time_machine.travel(long_ago, tick=False):
            old = message_send(owner=alice, phone="+7 999 123-45-67", text="Hello")
            settle(old.run, 1, MessageStatus.UNKNOWN, "quarantined")
            Message.objects.update(phone=79991234567)
        resent = services.message_resolve(message=old, by=alice, resolution=Resolution.RESEND)
        assert resent.run != old.run
        run_session(sandbox)
        assert statuses(resent.run.campaign) == {"unknown": 1, "sent": 1}
        assert_counters_match(resent.run.campaign)
        with pytest.raises(Conflict):
            services.message_resolve(message=old, by=alice, resolution=Resolution.RESEND)

    def test_a_transactional_message_is_not_resent_to_an_opted_out_phone(self, alice: User) -> None:
        message = message_send(owner=alice, phone="+7 999 123-45-67", text="Hello")
        settle(message.run, 1, MessageStatus.UNKNOWN)
        message.refresh_from_db()
        factories.contact(alice, phone=message.phone, opted_out=True)
        with pytest.raises(ValidationError):
            services.message_resolve(message=message, by=alice, resolution=Resolution.RESEND)

    def test_nothing_is_resent_to_a_contact_who_opted_out(self, alice: User, sandbox: Sandbox) -> None:
        campaign, _run, [message] = with_unknown(alice, 1)
        services.message_resolve(message=message, by=alice, resolution=Resolution.RESEND)
        Contact.objects.update(opted_out=True)
        send_everything(campaign, sandbox)
        assert statuses(campaign) == {"unknown": 1, "cancelled": 1}
        assert not sandbox.ledger.requests


class TestAllMessages:
    @pytest.mark.parametrize(
        ("resolution", "found"),
        [
            (Resolution.RETRY, {"pending": 5, "unknown": 2}),
            (Resolution.RESEND, {"pending": 7, "unknown": 7}),
            (Resolution.SENT, {"sent": 7}),
            (Resolution.FAILED, {"failed": 7}),
        ],
    )
    def test_all_messages_are_resolved_in_batches(
        self, alice: User, monkeypatch: pytest.MonkeyPatch, resolution: Resolution, found: dict[str, int]
    ) -> None:
        monkeypatch.setattr(unresolved, "_BATCH", 2)
        campaign, run, messages = with_unknown(alice, 7)
        Gateway.objects.create(name="kannel", kind="kannel")
        Message.objects.filter(pk__in=[message.pk for message in messages[:2]]).update(gateway="kannel")
        resolve_all(campaign, resolution)
        assert statuses(campaign) == found
        assert_counters_match(campaign)
        run.refresh_from_db()
        assert (run.resolution, run.resolution_before) == ("", None)

    def test_the_figures_add_up_after_resending_all(self, alice: User, sandbox: Sandbox) -> None:
        campaign, _run, messages = with_unknown(alice, 3)
        resolve_all(campaign, Resolution.RESEND)
        send_everything(campaign, sandbox)
        assert statuses(campaign) == {"unknown": 3, "sent": 3}
        assert sandbox.ledger.accepted == 3
        assert not sandbox.ledger.messages.keys() & {message.pk for message in messages}
        assert campaign.status == "finished"
        assert_counters_match(campaign)
        with pytest.raises(Conflict):
            services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.RESEND)

    @pytest.mark.parametrize("resolution", SENDING)
    def test_a_finished_campaign_runs_again(self, alice: User, resolution: Resolution) -> None:
        campaign, run, _messages = with_unknown(alice, 1)
        campaign_advance(campaign.pk)
        campaign.refresh_from_db()
        assert campaign.status == "finished"
        resolve_all(campaign, resolution)
        campaign.refresh_from_db()
        run.refresh_from_db()
        assert (campaign.status, campaign.finished_at, run.finished_at) == ("running", None, None)

    @pytest.mark.parametrize("status", [CampaignStatus.FINISHED, CampaignStatus.CANCELLED])
    def test_messages_of_an_ended_campaign_can_be_marked(self, alice: User, status: CampaignStatus) -> None:
        campaign, _run, _messages = with_unknown(alice, 1)
        in_state(campaign, status)
        resolve_all(campaign, Resolution.SENT)
        assert statuses(campaign) == {"sent": 1}
        campaign.refresh_from_db()
        assert campaign.status == status

    @pytest.mark.parametrize("resolution", SENDING)
    def test_a_cancelled_campaign_sends_nothing_more(self, alice: User, resolution: Resolution) -> None:
        campaign, _run, _messages = with_unknown(alice, 1)
        in_state(campaign, "cancelled")
        with pytest.raises(Conflict):
            services.campaign_resolve(campaign=campaign, by=alice, resolution=resolution)

    def test_a_cancel_in_between_is_respected(self, alice: User) -> None:
        campaign, run, _messages = with_unknown(alice, 1)
        services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.RESEND)
        services.campaign_cancel(campaign=campaign, by=alice)
        campaign_advance(campaign.pk)
        run.refresh_from_db()
        assert (statuses(campaign), run.resolution, bool(run.finished_at)) == ({"unknown": 1}, "", True)

    def test_messages_that_become_unknown_later_are_not_resolved(self, alice: User) -> None:
        campaign, run, _messages = with_unknown(alice, 1)
        services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.SENT)
        factories.contact(alice)
        freeze(run)
        settle(run, 1, MessageStatus.UNKNOWN)
        campaign_advance(campaign.pk)
        assert statuses(campaign) == {"sent": 1, "unknown": 1}

    def test_only_one_resolution_at_a_time_is_accepted(self, alice: User) -> None:
        campaign, _run, _messages = with_unknown(alice, 1)
        services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.SENT)
        with pytest.raises(Conflict):
            services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.FAILED)

    def test_a_lost_hint_is_recreated(self, alice: User) -> None:
        campaign, _run, _messages = with_unknown(alice, 1)
        in_state(campaign, "finished")
        services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.SENT)
        OrmQ.objects.all().delete()
        tasks.sweep()
        assert hints(advance.name) == 1

    def test_a_mark_set_while_a_run_is_advanced_keeps_it_open(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        campaign, run, _messages = with_unknown(alice, 1)
        services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.RESEND)
        monkeypatch.setattr(lifecycle, "resolve_marked", lambda campaign: False)
        campaign_advance(campaign.pk)
        campaign.refresh_from_db()
        run.refresh_from_db()
        assert (campaign.status, run.finished_at) == ("running", None)

    def test_long_work_is_continued_by_another_task(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        campaign, _run, _messages = with_unknown(alice, 1)
        services.campaign_resolve(campaign=campaign, by=alice, resolution=Resolution.SENT)
        OrmQ.objects.all().delete()
        with monkeypatch.context() as late:
            late.setattr(unresolved, "_MAX_SECONDS", 0.0)
            campaign_advance(campaign.pk)
        assert (statuses(campaign), hints(advance.name)) == ({"unknown": 1}, 1)
        OrmQ.objects.all().delete()
        campaign_advance(campaign.pk)
        assert (statuses(campaign), hints(advance.name)) == ({"sent": 1}, 0)

    def test_replanning_creates_no_second_message(self, alice: User) -> None:
        campaign, run, _messages = with_unknown(alice, 1)
        resolve_all(campaign, Resolution.RESEND)
        Run.objects.update(joined_at=None)
        campaign_advance(campaign.pk)
        assert Message.objects.count() == 2
        contact = Contact.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            Message.objects.create(run=run, contact=contact, due_at=now())
