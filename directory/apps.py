"""Django's registration of the app."""

from django.apps import AppConfig


class DirectoryConfig(AppConfig):
    """See the package's docstring."""

    name = "directory"
