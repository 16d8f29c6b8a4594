"""How far the budgets of campaigns and users are used."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Sum
from django.db.models.functions import Coalesce

from accounts.models import User
from campaigns.models import Campaign
from campaigns.pages.budgets import Spending
from campaigns.sending.budgets import spent_this_month
from campaigns.states import CampaignStatus
from project.core.money import to_micros
from reports.dashboard import figures

_SHOWN: Final = 8


@dataclass(frozen=True)
class BudgetProblems:
    """Campaigns that a budget has paused, running ones that have used most of theirs, and the user's own month."""

    paused: list[Campaign]
    nearly_used: list[tuple[Campaign, Spending]]
    month: Spending | None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.paused or self.nearly_used or self.month)


def budget_problems(user: User) -> BudgetProblems:
    """The problems with budgets that the user may see, latest first."""
    visible = figures.reported(user).visible()
    paused = visible.filter(status=CampaignStatus.PAUSED, budget_reached_at__isnull=False)
    month = month_spending(user)
    return BudgetProblems(
        paused=list(paused.order_by("-budget_reached_at")[:_SHOWN]),
        nearly_used=[(row, spending) for row, spending in _running(user) if spending.warned][:_SHOWN],
        month=month if month is not None and month.warned else None,
    )


def month_spending(user: User) -> Spending | None:
    """What the user has spent of the budget of this month; None without a budget."""
    if user.monthly_budget is None:
        return None
    return Spending(spent_this_month([user.pk])[user.pk], to_micros(user.monthly_budget))


def _running(user: User) -> list[tuple[Campaign, Spending]]:
    """Running campaigns with a budget."""
    rows = figures.reported(user).visible().filter(status=CampaignStatus.RUNNING, budget__isnull=False)
    spent: Iterable[Any] = rows.annotate(spent=Coalesce(Sum("runs__cost"), 0)).order_by("-pk")
    return [(row, Spending(int(row.spent), to_micros(row.budget))) for row in spent]
