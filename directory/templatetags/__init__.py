"""Filters for templates that show contacts."""
