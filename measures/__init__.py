"""What processes count and time while they work, added up in the database for all of them, and told to Prometheus."""
