"""Tags: rules, services and pages."""
