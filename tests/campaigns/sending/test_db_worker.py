"""The database worker: its queries and their order."""

from uuid import uuid4

from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.sending.buffer import SendableRun
from campaigns.sending.db_worker import DatabaseWorker
from tests.campaigns.engine import Inline, assert_counters_match
from tests.campaigns.outcomes import started


def test_the_number_of_statements_does_not_grow_with_the_number_of_runs(alice: User) -> None:
    """With a database at a distance each statement costs a round trip."""
    texts = ["Hello", "{first_name}", "{city|there}"]
    campaigns = [started(alice, contacts=2, text=f"{text} {number}")[0] for number in range(10) for text in texts]
    runs = [SendableRun(campaign.runs.get().pk, campaign.pk, None, None) for campaign in campaigns]
    worker = DatabaseWorker("probe", uuid4(), 0.0, Inline())

    def statements(number: int) -> int:
        with CaptureQueriesContext(connection) as queries:
            results = worker.lease([(run, 1) for run in reversed(runs[:number])]).result()
        assert [(run, len(messages)) for run, _, messages in results] == [(run, 1) for run in reversed(runs[:number])]
        return len(queries)

    assert statements(2) == statements(30) <= 14
    for campaign in campaigns:
        assert_counters_match(campaign)
