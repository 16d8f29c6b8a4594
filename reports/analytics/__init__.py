"""Reports on periods, from tallies of messages."""
