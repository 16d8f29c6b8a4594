"""SECRET_KEY changes while work waits: with SECRET_KEY_FALLBACKS nothing is lost, without them no work is lost."""

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
from campaigns.messages.transactional import message_send
from campaigns.tasks import sweep
from directory.bulk_actions import work
from directory.contacts.upsert import Policy
from directory.imports.services import import_start
from directory.models import BulkAction, BulkActionType, Contact
from project.core.clock import now
from project.queue.broker import EtaBroker
from reports.emails.rendering import read_unsubscribe_token, unsubscribe_token
from reports.models import Report, ReportFrequency
from reports.tasks import sweep as sweep_reports
from tests import factories
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft

pytestmark = pytest.mark.django_db

Rotate = Callable[..., None]


@pytest.fixture
def rotate(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Rotate:
    """Restart everything with another key, and the old one optionally as fallback."""

    numbers = itertools.count(1)

    def change(*, keep: bool) -> None:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if keep else []
        settings.SECRET_KEY = f"the-key-{next(numbers)}-" + "x" * 50
        monkeypatch.setattr(Conf, "SECRET_KEY", settings.SECRET_KEY)

    return change


@pytest.fixture
def waiting(alice: User) -> set[str]:
    """Work of every kind, by the functions of its tasks."""
    factories.campaign(alice)
    message_send(owner=alice, phone="79161112233", text="Your code is 4711.")
    row = draft(alice, "phone\n79161112244\n")
    import_start(row=row, by=alice, mapping=row.mapping, policy=Policy.UPDATE, tags=())
    BulkAction.objects.create(owner=alice, kind=BulkActionType.DEACTIVATE, last_id=1, total=1)
    work.requeue_unfinished()
    webhook = Webhook.objects.create(owner=alice, url="https://8.8.8.8/hook", events=EventType.values)
    webhook.add_events([{"type": "message.sent", "timestamp": "", "data": {}}])
    hint_deliver()
    Report.objects.create(user=alice, frequency=ReportFrequency.DAILY, day=now().date(), due_at=now())
    sweep_reports()
    return functions()


def functions() -> set[str]:
    return {row.key.split(":")[1] for row in OrmQ.objects.all()}


def taken() -> set[str]:
    """The due tasks that a worker would get."""
    packages = [package for _pk, package in iter(lambda: EtaBroker()._take(), None)]
    return {SignedPackage.loads(package)["func"] for package in packages}


def test_queued_tasks_survive_a_change_of_key(waiting: set[str], rotate: Rotate) -> None:
    rotate(keep=True)
    assert len(waiting) == 7
    assert taken() == waiting


def test_sweep_recreates_tasks_after_losing_the_old_key(waiting: set[str], rotate: Rotate) -> None:
    rotate(keep=False)
    with pytest.raises(BadSignature):
        taken()
    OrmQ.objects.all().delete()  # django-q2 drops what it can't verify
    sweep()
    sweep_reports()
    assert waiting <= taken()


def test_repeated_request_across_a_key_change_is_executed_once(alice: User, rotate: Rotate) -> None:
    client = ApiClient(alice)
    body = {"phone": "79161234567"}
    sent = [client.post("/contacts", body, "application/json", headers={"Idempotency-Key": "k"})]
    rotate(keep=True)
    sent.append(client.post("/contacts", body, "application/json", headers={"Idempotency-Key": "k"}))
    assert [answer.status_code for answer in sent] == [201, 201]
    assert sent[0].content == sent[1].content
    assert Contact.objects.count() == 1


def test_sessions_and_email_links_survive_a_change_of_key(alice: User, client: Client, rotate: Rotate) -> None:
    client.force_login(alice)
    link = unsubscribe_token(alice, ReportFrequency.DAILY)
    rotate(keep=True)
    assert client.get("/").status_code == 200
    assert read_unsubscribe_token(link) == (alice, ReportFrequency.DAILY)
    rotate(keep=False)
    assert client.get("/").status_code == 302
    assert read_unsubscribe_token(link) is None
