"""Campaigns, their runs, and every message on its way to the gateway."""
