"""Template filters for contacts."""
