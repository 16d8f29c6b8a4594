"""Transactional messages, receipts, and unresolved messages."""
