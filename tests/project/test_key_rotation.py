"""SECRET_KEY is changed while work waits: with SECRET_KEY_FALLBACKS nothing is lost, and without them no work is."""

import itertools
from collections.abc import Callable

import pytest
from django.test import Client
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage
from pytest_django import Settings

from accounts.models import User
from accounts.webhooks.models import EventType, Webhook
from accounts.webhooks.tasks import hint_deliver
from campaigns.direct import message_send
from campaigns.tasks import sweep
from directory import bulk
from directory.imports.services import import_start
from directory.models import BulkAction, Contact, Deed
from directory.upsert import Policy
from project.clock import now
from project.queue import EtaBroker
from reports.letters import switch_of, switched_by
from reports.models import Report, Rhythm
from reports.tasks import sweep as sweep_reports
from tests import factories
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft

pytestmark = pytest.mark.django_db

Rotate = Callable[..., None]


@pytest.fixture
def rotate(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Rotate:
    """Restart everything with another key, and the old one as a fallback or not."""

    numbers = itertools.count(1)

    def change(*, keep: bool) -> None:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if keep else []
        settings.SECRET_KEY = f"the-key-{next(numbers)}-" + "x" * 50
        monkeypatch.setattr(Conf, "SECRET_KEY", settings.SECRET_KEY)

    return change


@pytest.fixture
def waiting(alice: User) -> set[str]:
    """Work of every kind, by the functions of its hints."""
    factories.campaign(alice)
    message_send(owner=alice, phone="79161112233", text="Your code is 4711.")
    row = draft(alice, "phone\n79161112244\n")
    import_start(row=row, by=alice, mapping=row.mapping, policy=Policy.UPDATE, tags=())
    BulkAction.objects.create(owner=alice, deed=Deed.DEACTIVATE, last_id=1, total=1)
    bulk.remind()
    webhook = Webhook.objects.create(owner=alice, url="https://8.8.8.8/hook", events=EventType.values)
    webhook.tell([{"type": "message.sent", "timestamp": "", "data": {}}])
    hint_deliver()
    Report.objects.create(user=alice, rhythm=Rhythm.DAILY, day=now().date(), due_at=now())
    sweep_reports()
    return functions()


def functions() -> set[str]:
    return {row.key.split(":")[1] for row in OrmQ.objects.all()}


def taken() -> set[str]:
    """What a worker gets of all that is due."""
    packages = [package for _pk, package in iter(lambda: EtaBroker()._take(), None)]
    return {SignedPackage.loads(package)["func"] for package in packages}


def test_what_waits_is_taken_under_the_new_key(waiting: set[str], rotate: Rotate) -> None:
    rotate(keep=True)
    assert len(waiting) == 7
    assert taken() == waiting


def test_without_the_old_key_the_sweep_asks_for_all_of_it_again(waiting: set[str], rotate: Rotate) -> None:
    rotate(keep=False)
    with pytest.raises(BadSignature):
        taken()
    OrmQ.objects.all().delete()  # django-q2 drops what it can't verify
    sweep()
    sweep_reports()
    assert waiting <= taken()


def test_a_request_that_is_repeated_across_the_change_is_done_once(alice: User, rotate: Rotate) -> None:
    client = ApiClient(alice)
    body = {"phone": "79161234567"}
    sent = [client.post("/contacts", body, "application/json", headers={"Idempotency-Key": "k"})]
    rotate(keep=True)
    sent.append(client.post("/contacts", body, "application/json", headers={"Idempotency-Key": "k"}))
    assert [answer.status_code for answer in sent] == [201, 201]
    assert sent[0].content == sent[1].content
    assert Contact.objects.count() == 1


def test_sessions_and_links_in_letters_outlive_it(alice: User, client: Client, rotate: Rotate) -> None:
    client.force_login(alice)
    link = switch_of(alice, Rhythm.DAILY)
    rotate(keep=True)
    assert client.get("/").status_code == 200
    assert switched_by(link) == (alice, Rhythm.DAILY)
    rotate(keep=False)
    assert client.get("/").status_code == 302
    assert switched_by(link) is None
