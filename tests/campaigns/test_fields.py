"""A field that is declared in `campaigns/fields.py` is everywhere."""

import inspect
from datetime import time

from accounts.models import User
from campaigns import services
from campaigns.api.schemas import CampaignIn, CampaignOut, CampaignPatch
from campaigns.fields import COLUMNS, FIELDS
from campaigns.models import Campaign
from campaigns.pages.forms import INPUTS, CampaignForm
from campaigns.privacy.data_export import export_campaigns
from tests import factories

NAMES = {field.name for field in FIELDS}


def test_the_form_has_every_field(alice: User) -> None:
    assert INPUTS.keys() == NAMES
    form = CampaignForm(campaign=factories.campaign(alice))
    assert {name for inputs in INPUTS.values() for name in inputs} <= form.fields.keys()
    assert {*COLUMNS} - {"audience"} <= form.initial.keys()


def test_the_data_export_has_every_field(alice: User) -> None:
    campaign = factories.campaign(alice, window=(time(9), time(21)))
    [row] = export_campaigns(alice)["campaigns"]
    assert {column: row[column] for column in COLUMNS} == Campaign.objects.values(*COLUMNS).get(pk=campaign.pk)


def test_the_service_has_every_field() -> None:
    assert inspect.signature(services.campaign_create).parameters.keys() >= NAMES


def test_a_copy_of_all_values_is_the_same(alice: User) -> None:
    campaign = factories.campaign(alice, window=(time(9), time(21)))
    other = Campaign()
    other.set_fields({name: campaign.field_value(name) for name in NAMES})
    assert [getattr(other, column) for column in COLUMNS] == [getattr(campaign, column) for column in COLUMNS]


def test_the_json_schemas_have_the_fields_of_a_campaign() -> None:
    names = {field.name for field in FIELDS}
    assert CampaignIn.model_fields.keys() - {"status"} == names
    assert CampaignPatch.model_fields.keys() - {"status", "version"} == names
    assert names <= CampaignOut.model_fields.keys()
