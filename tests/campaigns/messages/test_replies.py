"""Replies: stop, start and help words take effect once, are confirmed once a day, and stop what is being sent."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.audit_log import history_of
from accounts.models import User
from campaigns import tasks
from campaigns.gateways.protocol import Incoming
from campaigns.messages import receipts, replies, transactional
from campaigns.messages.incoming import incoming_store
from campaigns.messages.receipts import apply_receipts
from campaigns.models import Gateway, IncomingMessage, Message, Run
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from directory.contacts.erasure import contact_erase
from directory.contacts.services import contact_deactivate
from directory.models import Contact, Source, Suppression
from directory.suppression.services import suppress
from tests import factories
from tests.campaigns.engine import assert_counters_match, campaign_to, hints, run_session, statuses

pytestmark = pytest.mark.django_db

PHONE, OTHER = 79161234567, 79167654321
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
APPLY = "campaigns.tasks.apply_receipts"


def receive(*texts: str, phone: int | str = PHONE, gateway: str = "probe") -> None:
    """Store messages from a phone, and process what waits."""
    start = IncomingMessage.objects.count()
    rows = [Incoming(str(phone), text, f"i-{start + number}", "4711") for number, text in enumerate(texts)]
    incoming_store(gateway, rows)
    apply_receipts()


def actions() -> list[str]:
    return list(IncomingMessage.objects.order_by("pk").values_list("action", flat=True))


def sources() -> dict[int, str]:
    return dict(Suppression.objects.values_list("phone", "source"))


def answers() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("text", flat=True))


def test_a_stop_opts_out_the_phone_and_its_contact(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    receive("стоп!!!")
    receive("Stop.", phone=OTHER)
    assert sources() == {PHONE: Source.REPLY, OTHER: Source.REPLY}
    contact.refresh_from_db()
    assert contact.opted_out
    assert history_of(contact)[0].by is None
    assert actions() == ["stop", "stop"]
    assert not IncomingMessage.objects.filter(processed_at=None).exists()


def test_another_message_is_only_marked() -> None:
    receive("Stop please", "When do you open?", "ДА", "YES")
    assert actions() == [""] * 4
    assert not Suppression.objects.exists()
    assert not replies.replies_waiting()


def test_a_start_takes_back_the_stop_and_yes_does_so_only_after_a_stop(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    receive("stop")
    receive("Да!")
    contact.refresh_from_db()
    assert (contact.opted_out, sources(), actions()) == (False, {}, ["stop", "start"])
    receive("START")
    assert (sources(), actions()[-1]) == ({}, "start")


def test_messages_of_one_batch_apply_in_their_order(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    receive("stop", "start", "стоп")
    contact.refresh_from_db()
    assert (contact.opted_out, sources()) == (True, {PHONE: Source.REPLY})
    receive("yes", "stop", "yes")
    contact.refresh_from_db()
    assert (contact.opted_out, sources()) == (False, {})


@pytest.mark.parametrize("source", [Source.PERSON, Source.API, Source.IMPORT])
def test_a_start_does_not_undo_what_others_have_decided(alice: User, source: Source) -> None:
    contact = factories.contact(alice, phone=PHONE)
    suppress([PHONE], by=alice, source=source, reason="Complained to the operator")
    receive("stop", "start", "yes")
    contact.refresh_from_db()
    assert (contact.opted_out, sources()) == (True, {PHONE: source})
    assert actions() == ["stop", "start", ""]


def test_a_start_does_not_release_the_phone_of_an_erased_contact(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    receive("stop")
    contact_erase(contact=contact, by=alice)
    receive("start")
    assert sources() == {PHONE: Source.PERSON}


def test_processing_twice_or_again_after_a_crash_changes_nothing(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    contact = factories.contact(admin, phone=PHONE)
    with monkeypatch.context() as broken:
        broken.setattr(transactional, "log_messages", lambda _ids: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            receive("stop")
    assert (sources(), answers()) == ({}, [])
    for _ in range(2):
        apply_receipts()
    contact.refresh_from_db()
    assert (sources(), contact.opted_out, len(answers())) == ({PHONE: Source.REPLY}, True, 1)
    assert len(history_of(contact)) == 2


def test_an_error_holds_up_no_receipt_and_is_not_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[bool] = []

    def apply_batch() -> bool:
        applied.append(True)
        return False

    monkeypatch.setattr(receipts, "_apply_batch", apply_batch)
    monkeypatch.setattr(receipts, "replies_apply", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        receive("stop")
    OrmQ.objects.all().delete()  # a worker that runs a task has taken it
    with pytest.raises(ZeroDivisionError):
        apply_receipts()
    assert (len(applied), hints(APPLY)) == (2, 0)


def test_a_stored_message_leaves_a_hint_and_the_sweep_another() -> None:
    incoming_store("probe", [Incoming(str(PHONE), "stop")])
    assert hints(APPLY) == 1
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert hints(APPLY) == 1
    OrmQ.objects.all().delete()
    apply_receipts()
    tasks.sweep()
    assert hints(APPLY) == 0


def test_many_messages_take_as_many_queries_as_few(
    admin: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(300):
        factories.contact(admin, phone=PHONE + number)
    rows = [Incoming(str(PHONE + number), "stop" if number % 2 else "Hello") for number in range(300)]
    incoming_store("probe", rows)
    with django_assert_max_num_queries(80):
        apply_receipts()
    assert (Suppression.objects.count(), Message.objects.count()) == (150, 150)
    assert Contact.objects.filter(opted_out=True).count() == 150


class TestSending:
    def test_a_running_campaign_sends_nothing_to_a_phone_after_its_stop(self, alice: User, sandbox: Sandbox) -> None:
        campaign = campaign_to(alice, 3)
        campaign_advance(campaign.pk)
        receive("СТОП", phone=79050000001)
        run_session(sandbox)
        assert statuses(campaign) == {"sent": 2, "cancelled": 1}
        assert {each.message.phone for each in sandbox.ledger.last} == {79050000000, 79050000002}
        assert_counters_match(campaign)

    def test_it_takes_effect_for_messages_that_are_leased_already(self, alice: User, sandbox: Sandbox) -> None:
        """A message that is on its way while the stop word is processed may arrive, and none a second later."""
        campaign = campaign_to(alice, 20, rate_limit=5)
        campaign_advance(campaign.pk)
        said: list[int] = []
        until: list[float] = []

        def stopping() -> bool:
            if not said and sandbox.ledger.last:
                came = {each.message.phone for each in sandbox.ledger.last}
                said.extend(phone for phone in range(79050000000, 79050000020) if phone not in came)
                for phone in said:
                    receive("stop", phone=phone)
                until.append(time.time() + 1)
            return False

        run_session(sandbox, seconds=3, stopping=stopping)
        assert len(said) > 5
        assert not [each for each in sandbox.ledger.last if each.message.phone in said and each.at > until[0]]
        run_session(sandbox)
        assert len(sandbox.ledger.last) < 10
        assert statuses(campaign).keys() == {"sent", "cancelled"}
        assert_counters_match(campaign)


class TestAnswers:
    def test_a_stop_is_confirmed_although_the_phone_is_suppressed(self, admin: User, sandbox: Sandbox) -> None:
        factories.contact(admin, phone=PHONE)
        receive("Stop")
        row, message = IncomingMessage.objects.get(), Message.objects.get()
        assert row.answer_id == message.pk
        run_session(sandbox)
        message.refresh_from_db()
        assert (message.status, message.phone) == ("sent", PHONE)
        assert "START" in sandbox.ledger.last[0].message.text
        assert message.run.campaign.owner == admin
        assert_counters_match(message.run.campaign)

    def test_no_other_message_gets_through(self, admin: User, sandbox: Sandbox) -> None:
        factories.contact(admin, phone=PHONE)
        waiting = transactional.message_send(owner=admin, phone=PHONE, text="Your code")
        receive("Stop")
        run_session(sandbox)
        waiting.refresh_from_db()
        assert waiting.status == "cancelled"
        assert len(sandbox.ledger.last) == 1

    def test_what_is_suppressed_for_another_reason_meanwhile_gets_none(self, admin: User, sandbox: Sandbox) -> None:
        contact = factories.contact(admin, phone=PHONE)
        receive("Stop")
        contact_deactivate(contact=contact, by=admin)
        run_session(sandbox)
        assert Message.objects.get().status == "cancelled"

    @pytest.mark.parametrize(
        ("text", "answer"),
        [("stop", "STOP_TEXT"), ("Стоп", "STOP_TEXT_RU"), ("help", "HELP_TEXT"), ("инфо", "HELP_TEXT_RU")],
    )
    def test_the_language_is_that_of_the_keyword(self, admin: User, settings: Settings, text: str, answer: str) -> None:
        receive(text)
        assert answers() == [getattr(settings, answer)]

    def test_help_changes_nothing(self, admin: User) -> None:
        receive("HELP")
        assert (actions(), sources(), len(answers())) == (["help"], {}, 1)

    def test_a_text_is_sent_word_for_word_and_none_means_no_answer(self, admin: User, settings: Settings) -> None:
        settings.STOP_TEXT, settings.START_TEXT = "Bye {first_name}", ""
        receive("stop", phone=OTHER)
        receive("stop", "start")
        assert answers() == ["Bye {first_name}"] * 2

    def test_one_answer_in_24_hours(self, admin: User) -> None:
        for hours, number in ((0, 1), (1, 1), (23.9, 1), (24.1, 2), (25, 2)):
            with time_machine.travel(NOON + timedelta(hours=hours), tick=False):
                receive("help")
            assert len(answers()) == number, hours

    def test_only_a_change_is_confirmed(self, admin: User) -> None:
        for days, text in enumerate(["start", "stop", "STOP", "stop", "start"]):
            with time_machine.travel(NOON + timedelta(days=2 * days), tick=False):
                receive(text)
        assert [row.answer_id is not None for row in IncomingMessage.objects.order_by("pk")] == [
            *(False, True, False, False, True)
        ]

    def test_two_robots_fall_silent(self, admin: User, settings: Settings) -> None:
        settings.STOP_TEXT = settings.STOP_TEXT_RU = "STOP"
        receive("stop")
        for _ in range(10):
            receive(*answers())
        assert len(answers()) == 1

    def test_the_last_change_is_confirmed(self, admin: User, settings: Settings) -> None:
        receive("stop", "старт", "help")
        assert answers() == [settings.START_TEXT_RU]

    @pytest.mark.parametrize("sender", ["4711", "Bank", "+12025550100"])
    def test_short_numbers_names_and_foreign_phones_get_none(self, admin: User, sender: str) -> None:
        receive("stop", "help", phone=sender)
        assert answers() == []

    def test_a_phone_that_is_suppressed_for_another_reason_gets_none(self, admin: User) -> None:
        suppress([PHONE], by=admin)
        contact_deactivate(contact=factories.contact(admin, phone=OTHER), by=admin)
        receive("stop", "help")
        receive("stop", "help", phone=OTHER)
        assert answers() == []
        assert sources() == {PHONE: Source.PERSON, OTHER: Source.REPLY}

    def test_late_processing_opts_out_without_an_answer(self, admin: User) -> None:
        incoming_store("probe", [Incoming(str(PHONE), "stop")])
        IncomingMessage.objects.update(received_at=NOON - timedelta(days=900))
        apply_receipts()
        assert (sources(), answers()) == ({PHONE: Source.REPLY}, [])

    def test_without_an_administrator_there_is_none(self, alice: User) -> None:
        receive("stop")
        assert (sources(), answers()) == ({PHONE: Source.REPLY}, [])

    def test_it_takes_the_gateway_that_the_message_came_to(self, admin: User) -> None:
        second = Gateway.objects.create(name="second", kind="probe", url="https://8.8.8.8/v1", secret="s")
        receive("stop", gateway="second")
        receive("stop", phone=OTHER)
        receive("help", phone=OTHER + 1, gateway="gone")
        gateways = dict(Message.objects.values_list("phone", "run__campaign__gateway"))
        assert gateways == {PHONE: second.pk, OTHER: None}
        assert sorted(Run.objects.values_list("pending", flat=True)) == [1, 1]

    @pytest.mark.parametrize(("allowed", "sender"), [("+4711", "+4711"), ("4711", "4711"), ("Shop", None)])
    def test_its_sender_is_where_the_keyword_was_sent_to(self, admin: User, allowed: str, sender: str | None) -> None:
        Gateway.objects.create(
            name="second",
            kind="kannel",
            url="https://8.8.8.8",
            secret="s",
            senders=[{"name": allowed, "countries": []}],
        )
        receive("stop", gateway="second")
        assert Message.objects.get().sender == sender
