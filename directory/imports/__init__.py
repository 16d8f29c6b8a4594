"""Contacts out of files: stored in pieces, looked at, matched to fields, written slice by slice, and undone."""
