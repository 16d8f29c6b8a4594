"""The JSON API of the app."""

from ninja import Router

contacts = Router(tags=["contacts"])
