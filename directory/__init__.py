"""The directory: contacts, tags, the suppression list, and the filters that select an audience."""
