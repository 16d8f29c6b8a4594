"""The JSON API of the app."""

from ninja import Router

stats = Router(tags=["stats"])
