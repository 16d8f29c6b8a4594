"""How far the budgets of campaigns and users are used."""

from accounts.models import User
from campaigns.pages.budgets import Spending
from campaigns.sending.budgets import spent_this_month
from project.core.money import to_micros


def month_spending(user: User) -> Spending | None:
    """What the user has spent of the budget of this month; None without a budget."""
    if user.monthly_budget is None:
        return None
    return Spending(spent_this_month([user.pk])[user.pk], to_micros(user.monthly_budget))
