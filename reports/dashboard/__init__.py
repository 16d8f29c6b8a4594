"""The home page and its figures."""
