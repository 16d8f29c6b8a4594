"""A stand-in for the probe gateway: accepts messages, records them in a ledger, and simulates faults."""
