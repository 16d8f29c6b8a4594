"""The files for Prometheus and Grafana: they are valid, and use only existing metrics."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from django.test import Client

from accounts.metrics import MAILS, WEBHOOK_REQUESTS
from campaigns.metrics import GATEWAY_MESSAGES, GATEWAY_SECONDS, IN_FLIGHT, MESSAGES_RESCUED, START_LATENESS
from campaigns.models import Gateway
from project.observability.request_log import HTTP_SECONDS
from project.queue.broker import TASK_SECONDS, TASK_WAIT
from tests.project.observability.test_prometheus import text_of
from tests.stack import ROOT

ALERTS = ROOT / "ops" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "vestnik.json"
SELECTOR = re.compile(r"(vestnik_\w+)(?:{([^}]*)})?")
GROUPING = re.compile(r"by \(([^)]*)\)")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


@pytest.fixture
def exported(db: None, client: Client) -> dict[str, set[str]]:
    """The labels of every exported metric."""
    Gateway.objects.create(name="probe")
    GATEWAY_MESSAGES.add("probe", "sent")
    MESSAGES_RESCUED.add("pending")
    IN_FLIGHT.set("probe", value=1)
    GATEWAY_SECONDS.observe("probe", "sent", seconds=[1])
    MAILS.add("report", "sent")
    WEBHOOK_REQUESTS.add("failed")
    START_LATENESS.observe(seconds=[1])
    TASK_WAIT.observe("task", seconds=[1])
    TASK_SECONDS.observe("task", "failed", seconds=[1])
    HTTP_SECONDS.observe("home", "GET", "2xx", seconds=[1])
    samples = re.findall(r"^(\w+)(?:{(.*)})? ", text_of(client), re.MULTILINE)
    return {name: set(re.findall(r"(\w+)=", labels)) for name, labels in samples}


def test_dashboards_use_existing_metrics_only(exported: dict[str, set[str]]) -> None:
    asked = [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]
    for expression in asked:
        named = SELECTOR.findall(expression)
        assert named or "up{" in expression, expression
        for name, labels in named:
            assert name in exported, expression
            wanted = set(re.findall(r"(\w+)\s*[!=]", labels))
            wanted |= {label.strip() for group in GROUPING.findall(expression) for label in group.split(",")}
            assert wanted <= exported[name], expression


def test_every_metric_is_documented_and_no_other(exported: dict[str, set[str]]) -> None:
    documented = set(re.findall(r"`(vestnik_\w+)", (ROOT / "docs" / "monitoring.md").read_text()))
    names = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in exported if name.startswith("vestnik_")}
    assert names == documented


def test_alerts_have_severity_and_instructions() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "warn"}
        assert rule["annotations"]["summary"].endswith((".", "?"))
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_panels_do_not_overlap() -> None:
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels()
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_prometheus_accepts_the_files() -> None:
    subprocess.run(["promtool", "check", "config", ALERTS.with_name("prometheus.yml")], check=True, timeout=30)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_alerts_fire_when_they_should() -> None:
    subprocess.run(["promtool", "test", "rules", ALERTS.with_name("alerts_test.yml")], check=True, timeout=30)
