"""Audience filters and saved audiences."""
