"""Every set-up behind a proxy trusts that proxy, or limits by address would count it for everyone."""

import re

import yaml

from tests.stack import ROOT


def test_compose_trusts_caddy() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.production.yml").read_text())["services"]
    assert services["web"]["environment"]["TRUSTED_PROXIES"] == "${TRUSTED_PROXIES:-1}"


def test_kubernetes_trusts_the_ingress() -> None:
    place = yaml.safe_load((ROOT / "ops" / "kubernetes" / "example" / "kustomization.yaml").read_text())
    assert "TRUSTED_PROXIES=1" in place["configMapGenerator"][0]["literals"]


def test_the_page_for_a_host_trusts_nginx() -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if block.startswith("SECRET_KEY=")]
    assert "TRUSTED_PROXIES=1\n" in block
    assert "X-Forwarded-For $remote_addr;" in (ROOT / "ops" / "nginx.conf").read_text()
