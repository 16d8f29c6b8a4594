"""Who may see and change gateways and their prices."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _


def check_may_manage_gateways(user: Any) -> None:
    """Raise PermissionDenied unless the user is an administrator."""
    if not user.is_staff:
        raise PermissionDenied(_("Only administrators can view gateways."))
