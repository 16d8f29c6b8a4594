"""Shared by the calls for campaigns and messages: ids, errors, scopes, and the owner check."""

from typing import Annotated, Final

from django.shortcuts import get_object_or_404
from ninja import Path

from accounts.api_access.tokens import TokenAuth
from accounts.models import Scope
from accounts.policies import check_may_change
from campaigns.models import Campaign
from project.http.client import UserRequest

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
ERRORS: Final = frozenset({401, 403, 404, 422})
READS: Final = TokenAuth(Scope.READ)
SENDS: Final = TokenAuth(Scope.SEND)


def own_campaign(request: UserRequest, campaign_id: int) -> Campaign:
    """The campaign, if the user may open it."""
    campaign = get_object_or_404(Campaign.objects.visible(), pk=campaign_id)
    check_may_change(request.user, campaign)
    return campaign
