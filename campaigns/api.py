"""The JSON API of the app."""

from ninja import Router

campaigns = Router(tags=["campaigns"])
messages = Router(tags=["messages"])
