"""Signing in and out: forms, external providers, second factor, invitations, revocation."""
