"""Budgets of campaigns and, by month, of users: what may still be leased, and the pause when they are used up.

All amounts are micros, see `project.core.money`. A lease reserves the price of its messages, so with the rows of the
campaigns and users locked, no number of workers can spend more than a budget. A campaign is paused only when none of
its messages is being sent: any of them may turn out to cost nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db.models import QuerySet, Sum

from accounts.models import User
from campaigns.models import Campaign, Run, RunCost
from campaigns.states import CampaignStatus
from project.core.clock import now
from project.core.money import to_micros

log = structlog.get_logger("vestnik.sending")


@dataclass(slots=True)
class Account:
    """What is left of one budget, and what is reserved for messages being sent."""

    left: int
    reserved: int = 0


@dataclass(slots=True)
class Budgets:
    """The budgets that apply to some campaigns, locked until the transaction ends.

    `reached` has the campaigns whose next message did not fit, and the budget that it did not fit into.
    """

    campaigns: Mapping[int, Campaign] = field(default_factory=dict)
    accounts: Mapping[int, list[Account]] = field(default_factory=dict)
    """By campaign id; that of a user is shared by all of the user's campaigns."""
    reached: dict[int, Account] = field(default_factory=dict)

    @classmethod
    def lock(cls, campaigns: Collection[Campaign], owners: set[int]) -> "Budgets":
        """Lock the budgets of these campaigns, and of those among their `owners` who have one by month."""
        ids = {
            campaign.pk
            for campaign in campaigns
            if not campaign.transactional and (campaign.budget is not None or campaign.owner_id in owners)
        }
        if not ids:
            return cls()
        months = _months(User.objects.select_for_update(no_key=True), owners)
        rows = {campaign.pk: campaign for campaign in Campaign.objects.locked().filter(pk__in=ids).order_by("pk")}
        own = _accounts(rows.values())
        accounts = {
            pk: [table[key] for table, key in ((own, pk), (months, campaign.owner_id)) if key in table]
            for pk, campaign in rows.items()
        }
        return cls(rows, accounts)

    def __bool__(self) -> bool:
        """Whether there is any budget."""
        return bool(self.campaigns)

    def take(self, campaign_id: int, cost: int) -> bool:
        """Reserve the price of a message if it fits into all budgets of its campaign; return whether it does."""
        accounts = self.accounts.get(campaign_id, [])
        for account in accounts:
            if cost > account.left:
                self.reached[campaign_id] = account
                return False
        for account in accounts:
            account.left -= cost
            account.reserved += cost
        return True

    def pause_exhausted(self, moment: datetime) -> None:
        """Pause the campaigns whose next message did not fit, once nothing is being sent from that budget."""
        for campaign_id, account in self.reached.items():
            if account.reserved == 0:
                self.campaigns[campaign_id].enter(CampaignStatus.PAUSED, budget_reached_at=moment)
                log.warning("campaign paused: budget reached", campaign=campaign_id)


def month_start() -> datetime:
    """Return when the current month began in the installation's time zone."""
    local = now().astimezone(ZoneInfo(settings.TIME_ZONE))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def spent_this_month(owners: Iterable[int]) -> Counter[int]:
    """Return what the campaigns and transactional messages of these users have cost since the month began, by user."""
    owner, since = "run__campaign__owner", month_start()
    rows = RunCost.objects.filter(**{f"{owner}__in": list(owners)}, hour__gte=since).values_list(owner)
    return Counter({pk: int(cost) for pk, cost in rows.annotate(Sum("cost")).order_by()})


class Left(NamedTuple):
    """What is left of a campaign's own budget and of its owner's for this month; None where there is none."""

    campaign: int | None
    month: int | None


def left(campaign: Campaign) -> Left:
    """Return what a campaign may still spend, less what is reserved."""
    own, months = _accounts([campaign]), _months(User.objects.all(), {campaign.owner_id})
    mine, month = own.get(campaign.pk), months.get(campaign.owner_id)
    return Left(None if mine is None else mine.left, None if month is None else month.left)


def _months(users: QuerySet[User], owners: Iterable[int]) -> dict[int, Account]:
    """The accounts of users' monthly budgets, by user."""
    if not owners:
        return {}
    rows = users.filter(pk__in=owners, monthly_budget__isnull=False).order_by("pk")
    budgets = dict(rows.values_list("pk", "monthly_budget"))
    runs = Run.objects.filter(campaign__owner__in=budgets, reserved_cost__gt=0).values_list("campaign__owner")
    reserved = Counter({pk: int(cost) for pk, cost in runs.annotate(Sum("reserved_cost")).order_by()})
    spent = spent_this_month(budgets)
    return {
        pk: Account(to_micros(budget) - spent[pk] - reserved[pk], reserved[pk])
        for pk, budget in budgets.items()
        if budget is not None
    }


def _accounts(campaigns: Iterable[Campaign]) -> dict[int, Account]:
    """The accounts of campaigns' own budgets, by campaign."""
    budgets = {campaign.pk: campaign.budget for campaign in campaigns if campaign.budget is not None}
    runs = Run.objects.filter(campaign__in=budgets).values_list("campaign").order_by()
    sums = runs.annotate(Sum("cost"), Sum("reserved_cost"))
    used = {pk: (int(cost), int(reserved)) for pk, cost, reserved in sums}
    accounts = {}
    for pk, budget in budgets.items():
        cost, reserved = used.get(pk, (0, 0))
        accounts[pk] = Account(to_micros(budget) - cost - reserved, reserved)
    return accounts
