"""Users, their API tokens and webhooks, and what each user may do."""
