"""Metrics of e-mails and webhooks."""

from typing import Final

from project.observability.metrics.meters import Counter

MAILS: Final = Counter("vestnik_mails", "E-mails by kind (account, report, webhook) and outcome", ["kind", "outcome"])
WEBHOOK_REQUESTS: Final = Counter("vestnik_webhook_requests", "Requests to webhooks by outcome", ["outcome"])
