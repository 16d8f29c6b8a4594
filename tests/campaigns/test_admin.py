import pytest
from django.test import Client

from accounts.models import User
from campaigns.models import Gateway, Message
from tests import factories
from tests.campaigns.outcomes import retry, started


@pytest.fixture
def chief(db: None) -> Client:
    client = Client()
    client.force_login(factories.user("chief@example.org", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("model", ["campaign", "run", "message", "gateway"])
def test_everything_can_be_viewed_and_nothing_changed(chief: Client, alice: User, model: str) -> None:
    campaign, run = started(alice, contacts=2)
    message = retry(run)
    gateway = Gateway.objects.create(name="probe")
    pk = {"campaign": campaign, "run": run, "message": message, "gateway": gateway}[model].pk
    address = f"/admin/campaigns/{model}/"
    assert chief.get(address).status_code == 200
    page = chief.get(f"{address}{pk}/change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert chief.get(f"{address}add/").status_code == 403
    assert chief.post(f"{address}{pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_message_is_found_by_its_id(chief: Client, alice: User) -> None:
    _campaign, run = started(alice, contacts=2)
    first = run.messages.earliest("pk")
    found = chief.get(f"/admin/campaigns/message/?q={first.pk}").context["cl"].queryset
    assert list(found) == [Message.objects.get(pk=first.pk)]
