"""The database worker: its queries and their order."""

from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from campaigns.models import Run
from campaigns.sending import db_worker
from campaigns.sending.db_worker import DatabaseWorker
from campaigns.sending.lease import Leased, lease
from tests.campaigns.engine import Inline
from tests.campaigns.outcomes import started


def test_runs_are_counted_in_the_same_order_as_outcomes(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two transactions that lease or record would deadlock."""
    runs = [started(alice, contacts=2, text=f"Text {number}")[1] for number in range(3)]
    counted: list[int] = []

    def leased(run: Run, *options: Any) -> list[Leased]:
        counted.append(run.pk)
        return lease(run, *options)

    monkeypatch.setattr(db_worker, "lease", leased)
    results = DatabaseWorker("probe", uuid4(), 0.0, Inline()).lease([(run, 1) for run in reversed(runs)]).result()
    assert counted == sorted(run.pk for run in runs)
    assert [len(messages) for _run, _requested, messages in results] == [1, 1, 1]
