"""Data for the tests that visit all pages."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from allauth.usersessions.models import UserSession

from accounts.models import ApiToken, User
from accounts.webhooks.models import Delivery, EventType, Webhook
from campaigns.messages.transactional import message_send
from campaigns.models import Message, Price
from campaigns.states import MessageStatus
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.bulk_actions.work import bulk_start
from directory.models import BulkActionType, Tag
from directory.suppression.services import suppress
from reports.emails.rendering import unsubscribe_token
from reports.models import ReportFrequency
from tests.campaigns.outcomes import settle, started
from tests.directory.imports.helpers import draft
from tests.project.page_matrix import SECRET


@pytest.fixture
def places(alice: User) -> dict[tuple[str, str], Any]:
    """Alice's objects for each URL parameter, by the beginnings of the URLs that have it."""
    campaign, run = started(alice, contacts=2, text=SECRET)
    message = settle(run, 1, MessageStatus.UNKNOWN, "quarantined")[0]
    Message.objects.filter(pk=message.pk).update(text=SECRET)
    contact = alice.contacts.earliest("pk")
    contact.tags.add(best := Tag.objects.create(name="best"), Tag.objects.create(name="spare"))
    suppress([contact.phone], by=alice)
    webhook = Webhook.objects.create(owner=alice, url=f"https://8.8.8.8/{SECRET}", events=EventType.values)
    price = Price.objects.create(gateway="probe", area="KZ", price=Decimal(1), valid_from=date(2026, 1, 1))
    return {
        ("/reports/", "<pk>"): campaign.pk,
        ("/reports/", "<str:token>"): unsubscribe_token(alice, ReportFrequency.DAILY),
        ("/users/", "<int:pk>"): alice.pk,
        ("/accounts/2fa/", "<int:pk>"): 1,
        ("/account/sessions/", "<int:pk>"): UserSession.objects.create(user=alice, ip="::1", session_key="x").pk,
        ("/account/tokens/", "<int:pk>"): ApiToken.issue(alice, SECRET)[0].pk,
        ("/account/webhooks/", "<int:pk>"): webhook.pk,
        ("/account/webhooks/", "<int:delivery_pk>"): Delivery.objects.create(webhook=webhook, events=[], number=0).pk,
        ("/gateways/", "<int:pk>"): price.pk,
        ("/contacts/", "<int:pk>"): contact.pk,
        ("/contacts/", "<int:phone>"): contact.phone,
        ("/contacts/tags/", "<int:pk>"): best.pk,
        ("/contacts/audiences/", "<int:pk>"): audience_save(by=alice, name="Best", audience=Audience()).pk,
        ("/contacts/imports/", "<int:pk>"): draft(alice, f"phone,{SECRET}\n79161112233,x\n", f"{SECRET}.csv").pk,
        ("/contacts/bulk/", "<int:pk>"): bulk_start(by=alice, kind=BulkActionType.TAG, tag="best", ids=[contact.pk]).pk,
        ("/campaigns/", "<int:pk>"): campaign.pk,
        ("/campaigns/", "<int:contact_pk>"): contact.pk,
        ("/campaigns/", "<int:message_pk>"): message.pk,
        ("/campaigns/test/", "<int:message_pk>"): message_send(owner=alice, phone="79161112233", text=SECRET).pk,
    }
