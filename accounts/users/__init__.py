"""Administrators' pages about users."""
