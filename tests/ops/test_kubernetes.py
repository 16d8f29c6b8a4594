"""The files for Kubernetes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.db import connection

from accounts.models import User
from campaigns.models import Campaign, Run
from campaigns.states import CampaignStatus
from tests import factories
from tests.stack import ROOT

FOLDER = ROOT / "ops" / "kubernetes"


def test_the_autoscaler_counts_what_waits(alice: User) -> None:
    for status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED):
        campaign = factories.campaign(alice)
        Campaign.objects.filter(pk=campaign.pk).update(status=status)
        Run.objects.create(campaign=campaign, occurrence=campaign.starts_at, pending=7, sent=3)
    trigger = yaml.safe_load((FOLDER / "example" / "autoscaling.yaml").read_text())["spec"]["triggers"][0]
    with connection.cursor() as cursor:
        cursor.execute(trigger["metadata"]["query"])
        assert cursor.fetchone() == (7,)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not here")
def test_every_container_has_no_rights_and_a_read_only_root(tmp_path: Path) -> None:
    rendered = subprocess.run(
        ["kubectl", "kustomize", FOLDER / "example"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    specs = [each["spec"] for each in yaml.safe_load_all(rendered) if "spec" in each]
    pods = [spec["template"]["spec"] for spec in specs if "template" in spec]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert re.fullmatch(r"registry.example.org/vestnik:[\d.]+", container["image"])
