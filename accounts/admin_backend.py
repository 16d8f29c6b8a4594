"""Read-only access to the Django admin for administrators."""

from typing import Any, Final

from django.contrib.auth.backends import BaseBackend

_HIDDEN_APPS: Final = frozenset({"auth", "django_q"})


class ReadOnlyAdminBackend(BaseBackend):
    """Lets administrators (`is_staff`) view all models, except those of hidden apps."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Allow `app.view_model` and nothing else."""
        app, _dot, right = perm.partition(".")
        return right.startswith("view_") and self.has_module_perms(user_obj, app)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Whether the user is an administrator and the app is not hidden."""
        return user_obj.is_active and user_obj.is_staff and app_label not in _HIDDEN_APPS
