"""The clerk: what it asks the database for, and in which order."""

from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from campaigns.models import Run
from campaigns.sending import clerk
from campaigns.sending.clerk import Clerk
from campaigns.sending.lease import Leased, lease
from tests.campaigns.engine import Inline
from tests.campaigns.outcomes import started


def test_runs_are_counted_in_the_order_in_which_outcomes_are(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two who lease, or one who leases and one who records, wait for each other until the database ends one."""
    runs = [started(alice, contacts=2, text=f"Text {number}")[1] for number in range(3)]
    counted: list[int] = []

    def leased(run: Run, *options: Any) -> list[Leased]:
        counted.append(run.pk)
        return lease(run, *options)

    monkeypatch.setattr(clerk, "lease", leased)
    taken = Clerk("probe", uuid4(), 0.0, Inline()).lease([(run, 1) for run in reversed(runs)]).result()
    assert counted == sorted(run.pk for run in runs)
    assert [len(messages) for _run, _asked, messages in taken] == [1, 1, 1]
