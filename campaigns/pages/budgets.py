"""What a campaign has cost and may cost, for its page; and the form that continues it with a larger budget."""

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from campaigns import services
from campaigns.models import Campaign
from campaigns.pages.own import own_campaign
from campaigns.sending import budgets
from campaigns.states import CHARGED, CampaignStatus
from campaigns.statistics import Statistics
from project.core.money import amount_field, from_micros, to_micros
from project.http.client import UserRequest
from project.http.errors import show_refusal

_WARNED_AT: Final = Decimal("0.8")


@dataclass(frozen=True)
class Spending:
    """A campaign's cost so far and its budget, in micros; None: no budget."""

    cost: int
    budget: int | None

    @property
    def warned(self) -> bool:
        """Whether most of the budget is used."""
        return self.budget is not None and self.cost >= self.budget * _WARNED_AT


def spending_of(campaign: Campaign, statistics: Statistics) -> Spending:
    """Return what a campaign has cost."""
    return Spending(statistics.cost, None if campaign.budget is None else to_micros(campaign.budget))


class BudgetForm(forms.Form):
    """A larger budget."""

    budget = amount_field(gettext_lazy("New budget"), required=True)


def reached(campaign: Campaign, statistics: Statistics) -> dict[str, Any]:
    """The context of the notice that a budget stopped the campaign; empty unless one did."""
    if campaign.status != CampaignStatus.PAUSED or campaign.budget_reached_at is None:
        return {}
    month = budgets.left(campaign).month
    accepted = sum(statistics.by_status[status] for status in CHARGED)
    rest = statistics.by_status["pending"] * statistics.cost // accepted if accepted else 0
    needed = from_micros(statistics.cost + rest).quantize(Decimal(1), ROUND_UP)
    own = campaign.budget
    form = None if own is None else BudgetForm(initial={"budget": max(needed, own)})
    return {"budget_form": form, "month_left": month}


@require_POST
@login_required
def campaign_continue(request: UserRequest, pk: int) -> HttpResponse:
    """Resume a campaign with a larger budget."""
    row, form = own_campaign(request, pk), BudgetForm(request.POST)
    with show_refusal(request):
        if form.is_valid():
            services.campaign_resume(campaign=row, by=request.user, **form.cleaned_data)
            messages.success(request, _("Campaign “%(name)s” continues with the new budget.") % {"name": row})
        else:
            messages.error(request, " ".join(map(str, form.errors["budget"])))
    return redirect("campaigns:campaign", pk)
