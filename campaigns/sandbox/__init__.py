"""A stand-in for the probe gateway: accepts messages, keeps a ledger of them, and misbehaves on request."""
