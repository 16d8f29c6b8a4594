"""The suppression list: services and pages."""
