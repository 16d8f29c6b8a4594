"""The JSON API of the app."""

from ninja import Router

tokens = Router(tags=["tokens"])
users = Router(tags=["users"])
