"""Campaigns and messages in the JSON API."""
