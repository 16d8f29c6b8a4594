"""Metrics of all processes: counted in memory, summed in the database, and exported to Prometheus."""
