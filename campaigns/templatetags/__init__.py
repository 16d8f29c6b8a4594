"""Tags for templates that show campaigns."""
