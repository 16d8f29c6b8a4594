"""Gateways: their drivers, how they are set up, which messages each carries, and their pages."""
