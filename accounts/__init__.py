"""Who uses Vestnik: users, their API tokens, and what they may do."""
