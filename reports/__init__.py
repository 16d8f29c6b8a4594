"""What came of it: figures, charts and exports."""
