"""The hints that django-q2 carries: each takes an id at most, and calls one service."""

from directory.bulk import bulk_work


def bulk(action_id: int) -> None:
    """A bulk action has something to do."""
    bulk_work(action_id)
