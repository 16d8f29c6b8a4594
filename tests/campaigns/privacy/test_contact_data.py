"""What is stored about a contact, for the contact."""

from accounts.models import User
from campaigns.messages.transactional import message_send
from campaigns.states import MessageStatus
from directory.contacts.erasure import contact_erase
from directory.suppression.services import suppress
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient


def test_a_contact_gets_everything_that_is_stored(alice: User, bob: User) -> None:
    campaign, run = started(alice, contacts=1, text="Hello")
    contact = alice.contacts.get()
    message = settle(run, 1, MessageStatus.SENT)[0]
    message.refresh_from_db()
    direct = message_send(owner=alice, phone=str(contact.phone), text="Your code")
    client = ApiClient(alice)
    client.patch(f"/contacts/{contact.pk}", {"first_name": "Anna"}, content_type="application/json")
    suppress([contact.phone], by=alice, reason="Asked")
    answer = client.get(f"/contacts/{contact.pk}/data")
    assert answer.status_code == 200, answer.content
    data = answer.json()
    assert data["contact"] == client.get(f"/contacts/{contact.pk}").json()
    assert (data["suppression"]["reason"], data["last_contacted_at"]) == ("Asked", None)
    assert {"first_name": {"old": "", "new": "Anna"}} in [entry["changes"] for entry in data["changes"]]
    assert [(row["id"], row["campaign"], row["phone"]) for row in data["messages"]] == [
        (direct.pk, None, str(contact.phone)),
        (message.pk, campaign.pk, str(message.phone)),
    ]
    assert data["messages"][0]["text"] == "Your code"
    assert ApiClient(bob).get(f"/contacts/{contact.pk}/data").status_code == 403


def test_nothing_is_left_after_an_erasure(alice: User) -> None:
    started(alice, contacts=1)
    contact = alice.contacts.get()
    contact_erase(contact=contact, by=alice)
    assert ApiClient(alice).get(f"/contacts/{contact.pk}/data").status_code == 409
