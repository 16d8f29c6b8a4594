"""`{% load reports %}`: what users have spent, for pages of apps that know no costs."""

from typing import Any

from django import template

from accounts.models import User
from campaigns.models import Price, RunCost
from reports.dashboard.budgets import month_spending as spending_of

register = template.Library()


@register.simple_tag
def prices_known() -> bool:
    """Whether messages have or had prices; while they don't, pages show nothing of money."""
    return Price.objects.exists() or RunCost.objects.exists()


@register.inclusion_tag("reports/month_spending.html")
def month_spending(user: User) -> dict[str, Any]:
    """What a user has spent of the budget of this month; nothing without a budget."""
    return {"spending": spending_of(user)}
