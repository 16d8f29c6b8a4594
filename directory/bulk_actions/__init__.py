"""Actions on many contacts at once."""
