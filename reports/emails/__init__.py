"""Report e-mails: schedule, digest, rendering, delivery."""
