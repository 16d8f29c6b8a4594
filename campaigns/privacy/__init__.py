"""Erasure, retention and data export of campaigns."""
