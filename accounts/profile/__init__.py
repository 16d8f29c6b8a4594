"""A user's own account pages and data export."""
