"""What administrators may do in the Django admin: look."""

from typing import Any, Final

from django.contrib.auth.backends import BaseBackend

_MACHINERY: Final = frozenset({"auth", "django_q"})


class AdministratorsLook(BaseBackend):
    """Gives whoever is `is_staff` the right to view each model, save those of the machinery."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """As Django asks, `app.view_model`."""
        app, _dot, right = perm.partition(".")
        return right.startswith("view_") and self.has_module_perms(user_obj, app)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Whether the app is on the list."""
        return user_obj.is_active and user_obj.is_staff and app_label not in _MACHINERY
