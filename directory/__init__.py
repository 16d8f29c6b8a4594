"""Who can be written to: contacts, tags, and the filters that pick an audience."""
