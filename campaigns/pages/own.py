"""The campaign that a page is about."""

from django.shortcuts import get_object_or_404

from accounts.policies import check_may_change
from campaigns.models import Campaign
from project.http.client import UserRequest


def own_campaign(request: UserRequest, pk: int) -> Campaign:
    """Return the campaign; 403 if the user may not open it."""
    row = get_object_or_404(Campaign.objects.visible().select_related("owner"), pk=pk)
    check_may_change(request.user, row)
    return row
