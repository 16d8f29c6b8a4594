"""Imports of contacts: files are stored in chunks, checked, mapped to fields, written in batches, and can be undone."""
