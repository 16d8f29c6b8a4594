"""The maximum parts of a gateway: longer texts are refused before sending."""

from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from accounts.models import User
from campaigns import services
from campaigns.gateways import registry
from campaigns.messages.transactional import message_send
from campaigns.models import Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sending.lease import lease
from campaigns.states import CampaignStatus
from tests import factories
from tests.campaigns.engine import assert_counters_match


class TestTooManyParts:
    """Kannel cuts off parts beyond `max-messages`, and reports success."""

    LONG = "😀" * 400

    @pytest.fixture(autouse=True)
    def kannel(self, settings: Settings) -> None:
        settings.GATEWAY = "kannel"

    def test_a_campaign_is_refused_before_its_launch(self, alice: User, settings: Settings) -> None:
        with pytest.raises(ValidationError, match="13 parts"):
            factories.campaign(alice, text=self.LONG)
        draft = factories.campaign(alice, text=self.LONG, draft=True)
        with pytest.raises(ValidationError, match="at most 10"):
            services.campaign_launch(campaign=draft, by=alice)
        settings.GATEWAY = "probe"
        assert services.campaign_launch(campaign=draft, by=alice).status == CampaignStatus.SCHEDULED

    def test_a_change_is_refused(self, alice: User) -> None:
        campaign = factories.campaign(alice, text="Hello")
        with pytest.raises(ValidationError, match="13 parts"):
            services.campaign_update(campaign=campaign, by=alice, text=self.LONG)

    def test_a_single_message_is_refused(self, alice: User) -> None:
        with pytest.raises(ValidationError, match="13 parts"):
            message_send(owner=alice, phone="79991234567", text=self.LONG)
        assert not Message.objects.exists()

    def test_a_text_that_becomes_too_long_for_a_contact_fails_alone(self, alice: User) -> None:
        factories.contact(alice, attributes={"story": "ж" * 900})
        factories.contact(alice, attributes={"story": "short"})
        campaign = factories.campaign(alice, text="{story}")
        campaign_advance(campaign.pk)
        run = campaign.runs.select_related("campaign").get()
        assert len(lease({run.pk: 10}, uuid4(), registry.route_of("kannel"))) == 1
        assert [m.reason for m in Message.objects.filter(status="failed")] == ["too_many_parts"]
        assert_counters_match(campaign)
