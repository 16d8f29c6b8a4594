"""Basics for all packages: clock, environment, SQL, sealed secrets, numbers, version."""
