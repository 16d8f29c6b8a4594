from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns.models import Message
from directory.contacts.services import contact_update
from directory.contacts.upsert import Policy
from directory.imports import services, work
from directory.imports.models import Batch, Import, ImportStatus
from directory.models import Contact
from project.http.errors import Conflict
from project.queue.broker import enqueue
from tests import factories
from tests.directory.imports.helpers import draft, run, worked


def file_of(number: int, *, first: int = 79990000000) -> str:
    rows = "".join(f"{first + n},Анна,{n}\n" for n in range(number))
    return f"phone,first_name,points\n{rows}"


def start(row: Import, policy: Policy = Policy.UPDATE) -> None:
    services.import_start(row=row, by=row.owner, mapping=row.mapping, policy=policy, tags=[])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "BATCH", 10)


@pytest.mark.usefixtures("small_batches")
class TestInterruptions:
    """The death of a worker."""

    def test_failed_batch_is_repeated_without_duplicates(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        row = draft(alice, file_of(45) + "12,Анна,\n")
        start(row)
        record = work._record
        calls = []

        def dies(*args: Any) -> None:
            calls.append(args)
            record(*args)
            if len(calls) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(work, "_record", dies)
        with pytest.raises(KeyboardInterrupt):
            work.import_advance(row.pk, lambda: False)
        row.refresh_from_db()
        assert (row.created, Contact.objects.count()) == (20, 20)
        done = worked(row)
        assert (done.created, done.rejected, Contact.objects.count()) == (45, 1, 45)
        assert sorted(pk for batch in Batch.objects.all() for pk in batch.created) == sorted(
            Contact.objects.values_list("pk", flat=True)
        )

    @pytest.mark.parametrize("status", [ImportStatus.RUNNING, ImportStatus.READING, ImportStatus.UNDOING])
    def test_import_fails_after_three_attempts(
        self, alice: User, monkeypatch: pytest.MonkeyPatch, status: ImportStatus
    ) -> None:
        row = draft(alice, file_of(45))
        start(row)
        Import.objects.filter(pk=row.pk).update(status=status)

        def dies(*_args: Any) -> bool:
            raise MemoryError

        monkeypatch.setitem(work._STEPS, status, dies)
        for _ in range(3):
            with pytest.raises(MemoryError):
                work.import_advance(row.pk, lambda: False)
        done = worked(row)
        assert (done.status, "interrupted 3 times" in done.error) == (ImportStatus.FAILED, True)

    def test_progress_resets_the_failure_count(self, alice: User) -> None:
        row = draft(alice, file_of(45))
        start(row)
        Import.objects.filter(pk=row.pk).update(failures=2)
        answers = iter([False, True])
        work.import_advance(row.pk, lambda: next(answers))
        row.refresh_from_db()
        assert (row.status, row.failures) == (ImportStatus.RUNNING, 0)

    def test_two_workers_write_nothing_twice(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        row = draft(alice, file_of(45))
        start(row)
        write, other = work._write_batch, list[bool]()

        def while_another_works(*args: Any) -> bool:
            if not other:
                other.append(True)
                work.import_advance(row.pk, lambda: False)
            return write(*args)

        monkeypatch.setattr(work, "_write_batch", while_another_works)
        hinted: list[int] = []
        monkeypatch.setattr(services, "hint", hinted.append)
        work.import_advance(row.pk, lambda: False)
        assert hinted == []  # the other worker continued, so this one does not enqueue the import
        done = worked(row)
        assert (done.created, done.unchanged, done.duplicate) == (45, 0, 0)

    def test_stopping_worker_leaves_the_rest_to_another(self, alice: User) -> None:
        row = draft(alice, file_of(45))
        start(row)
        answers = iter([False, False, True])
        work.import_advance(row.pk, lambda: next(answers))
        row.refresh_from_db()
        assert (row.status, row.created) == (ImportStatus.RUNNING, 20)
        assert worked(row).created == 45

    def test_import_yields_to_due_tasks(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(work, "YIELD_AFTER_SECONDS", 0)
        row = draft(alice, file_of(45))
        start(row)
        OrmQ.objects.all().delete()
        enqueue("campaigns.tasks.send", lane="worker-of-somebody")
        enqueue("campaigns.tasks.send", due=now() + timedelta(hours=1))
        assert work.ImportSession(lambda: False).has_time()
        enqueue("campaigns.tasks.sweep")
        assert not work.ImportSession(lambda: False).has_time()
        work.import_advance(row.pk, lambda: False)
        row.refresh_from_db()
        assert (row.status, row.created) == (ImportStatus.RUNNING, 0)
        assert OrmQ.objects.filter(key__contains="work_on_import").exists()

    def test_import_can_be_stopped(self, alice: User) -> None:
        row = draft(alice, file_of(45))
        start(row)
        answers = iter([False, True])
        work.import_advance(row.pk, lambda: next(answers))
        services.import_stop(row=row, by=alice)
        work.import_advance(row.pk, lambda: False)
        row.refresh_from_db()
        assert (row.status, row.created, row.chunks.count()) == (ImportStatus.STOPPED, 10, 0)

    def test_repeats_far_apart_are_one_contact(self, alice: User) -> None:
        again = "79990000003,Ольга,\n79990000044,,\n"
        done = run(alice, file_of(45) + again)
        assert (done.created, done.updated + done.unchanged + done.duplicate) == (45, 2)
        assert Contact.objects.get(phone=79990000003).first_name == "Ольга"


class TestUndo:
    """Undoing an import."""

    def undone(self, row: Import) -> Import:
        services.import_undo(row=row, by=row.owner)
        return worked(row)

    def test_undo_removes_created_and_restores_changed_contacts(self, alice: User, small_batches: None) -> None:
        there = factories.contact(
            alice, phone=79990000007, first_name="Инна", tags=("old",), attributes={"points": "x", "gold": True}
        )
        row = draft(alice, file_of(25) + "79990000003,Ольга,\n79990000003,Вера,\n")
        services.import_start(row=row, by=alice, mapping=row.mapping, policy=Policy.UPDATE, tags=["vip"])
        done = worked(row)
        assert (done.created, done.updated, done.duplicate) == (24, 2, 1)
        before = Contact.objects.get(pk=there.pk).updated_at
        undone = self.undone(done)
        assert (undone.status, undone.removed, undone.restored, undone.kept) == (ImportStatus.UNDONE, 24, 2, 0)
        there = Contact.objects.get()
        assert (there.first_name, there.attributes) == ("Инна", {"points": "x", "gold": True})
        assert [tag.name for tag in there.tags.all()] == ["old"]
        assert there.updated_at > before

    def test_undo_keeps_and_reports_contacts_changed_since(self, alice: User) -> None:
        done = run(alice, file_of(3))
        changed = Contact.objects.get(phone=79990000001)
        contact_update(contact=changed, by=alice, last_name="Ким")
        undone = self.undone(done)
        assert (undone.removed, undone.kept, undone.kept_contacts) == (2, 1, [changed.pk])
        assert Contact.objects.get().last_name == "Ким"

    def test_undo_deactivates_contacts_with_messages(self, alice: User) -> None:
        done = run(alice, file_of(3))
        written_to = Contact.objects.get(phone=79990000001)
        run_ = factories.campaign(alice).runs.create(occurrence=now())
        Message.objects.create(run=run_, contact=written_to, due_at=now())
        undone = self.undone(done)
        assert (undone.removed, undone.deactivated) == (2, 1)
        assert not Contact.objects.get().is_active

    def test_undo_without_changes_is_refused(self, alice: User) -> None:
        done = run(alice, "phone\n12\n")
        with pytest.raises(Conflict):
            services.import_undo(row=done, by=alice)


@pytest.mark.parametrize("status", ImportStatus.values)
def test_an_import_can_be_discarded_in_any_state(alice: User, status: str) -> None:
    row = run(alice, file_of(3)) if status != ImportStatus.READING else draft(alice, file_of(3))
    Import.objects.filter(pk=row.pk).update(status=status)
    written = Contact.objects.count()
    services.import_discard(row=row, by=alice)
    work.import_advance(row.pk, lambda: False)
    assert (Import.objects.count(), Contact.objects.count()) == (0, written)


def test_import_discarded_during_work_writes_nothing_more(
    alice: User, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = draft(alice, file_of(45))
    start(row)
    write, calls = work._write_batch, list[int]()

    def discarded_meanwhile(*args: Any) -> bool:
        calls.append(1)
        if len(calls) == 3:
            services.import_discard(row=Import.objects.get(), by=alice)
        return write(*args)

    monkeypatch.setattr(work, "_write_batch", discarded_meanwhile)
    work.import_advance(row.pk, lambda: False)
    assert (Import.objects.count(), Contact.objects.count()) == (0, 20)


def test_long_rows_make_small_batches(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "BATCH_CHARACTERS", 100)
    done = run(alice, file_of(45))
    assert (done.created, done.batches.count() > 5) == (45, True)


def test_other_users_cannot_change_an_import(alice: User, bob: User, admin: User) -> None:
    row = draft(alice, file_of(1))
    for act in (services.import_stop, services.import_discard):
        with pytest.raises(PermissionDenied):
            act(row=row, by=bob)
    services.import_discard(row=row, by=admin)
    assert not Import.objects.exists()


def test_contacts_of_others_are_skipped_and_listed(alice: User, bob: User) -> None:
    factories.contact(bob, phone=79990000001, first_name="Инна")
    done = run(alice, file_of(3))
    assert (done.created, done.not_owned) == (2, 1)
    assert done.rejected_rows.get().row == 3
    assert Contact.objects.get(phone=79990000001).first_name == "Инна"


def test_policy_and_tags_apply_to_all_rows(alice: User) -> None:
    factories.contact(alice, phone=79990000001, first_name="Инна")
    assert run(alice, file_of(2), policy=Policy.SKIP, tags=("a",)).skipped == 1
    assert run(alice, file_of(2), policy=Policy.TAG, tags=("b",)).updated == 2
    assert [[tag.name for tag in contact.tags.all()] for contact in Contact.objects.order_by("phone")] == [
        ["a", "b"],
        ["b"],
    ]
    assert Contact.objects.get(phone=79990000001).first_name == "Инна"


def test_sweep_recreates_lost_hints_and_deletes_old_drafts(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hinted: list[int] = []
    monkeypatch.setattr(services, "hint", hinted.append)
    running, old = draft(alice, file_of(1)), draft(alice, file_of(1))
    start(running)
    Import.objects.filter(pk=old.pk).update(created_at=now() - timedelta(days=2))
    hinted.clear()
    services.imports_sweep()
    assert hinted == [running.pk]
    assert list(Import.objects.all()) == [running]
