"""Descriptions of SMS providers as data (docs/providers.md), for the `http` driver. Pure: no database, no I/O."""
