"""Django's registration of the app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """See the package's docstring."""

    name = "campaigns"

    def ready(self) -> None:
        """Register the system checks; have what people do to campaigns and gateways recorded; follow the directory."""
        from auditlog.registry import auditlog  # noqa: PLC0415 — models must be loaded first

        from accounts.personal import told  # noqa: PLC0415
        from campaigns import checks  # noqa: F401, PLC0415
        from campaigns.erasure import messages_forget  # noqa: PLC0415
        from campaigns.models import GATEWAY_RECORDED, RECORDED, Campaign, Gateway  # noqa: PLC0415
        from campaigns.personal import campaigns_told  # noqa: PLC0415
        from campaigns.services import campaigns_follow_tag  # noqa: PLC0415
        from directory.erasure import contact_erased  # noqa: PLC0415
        from directory.tags import tag_renamed  # noqa: PLC0415

        auditlog.register(Campaign, include_fields=RECORDED)
        auditlog.register(Gateway, include_fields=GATEWAY_RECORDED)
        tag_renamed.connect(campaigns_follow_tag)
        contact_erased.connect(messages_forget)
        told.connect(campaigns_told)
