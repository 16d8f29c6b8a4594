"""Contacts: pages, rules, bulk writes and erasure."""
