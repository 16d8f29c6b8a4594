"""Planning: recurrence, recipients, and the lifecycle of campaigns and runs."""
