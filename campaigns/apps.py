"""Django's registration of the app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """See the package's docstring."""

    name = "campaigns"

    def ready(self) -> None:
        """Register system checks and the audit log; connect signals of the directory and the data export."""
        from auditlog.registry import auditlog  # noqa: PLC0415 — models must be loaded first
        from django.db.models.signals import post_delete  # noqa: PLC0415

        from accounts.profile.data_export import collect_personal_data  # noqa: PLC0415
        from campaigns.models import GATEWAY_RECORDED, RECORDED, Campaign, Gateway  # noqa: PLC0415
        from campaigns.prices.services import delete_prices_of  # noqa: PLC0415
        from campaigns.privacy.data_export import export_campaigns, export_messages  # noqa: PLC0415
        from campaigns.privacy.erasure import erase_messages  # noqa: PLC0415
        from campaigns.sending import checks  # noqa: F401, PLC0415
        from campaigns.services import rename_tag_in_campaigns  # noqa: PLC0415
        from directory.contacts.data_export import collect_contact_data  # noqa: PLC0415
        from directory.contacts.erasure import contact_erased  # noqa: PLC0415
        from directory.tags.services import tag_renamed  # noqa: PLC0415

        auditlog.register(Campaign, include_fields=RECORDED)
        auditlog.register(Gateway, include_fields=GATEWAY_RECORDED)
        post_delete.connect(delete_prices_of, sender=Gateway)
        tag_renamed.connect(rename_tag_in_campaigns)
        contact_erased.connect(erase_messages)
        collect_personal_data.connect(export_campaigns)
        collect_contact_data.connect(export_messages)
