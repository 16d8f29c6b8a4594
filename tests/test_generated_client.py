"""A client generated from the API's description does the whole main job."""

import importlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from tests.stack import EMAIL, PASSWORD, Api, Stack, wait_for


class Generated:
    """The generated package: models by name, operations by id."""

    def __init__(self, folder: Path) -> None:
        self.root = importlib.import_module("vestnik_client")
        self.models: ModuleType = importlib.import_module("vestnik_client.models")
        self.modules = {path.stem: path.parent.name for path in folder.glob("api/*/*.py")}

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation, and return the model of the response."""
        module = importlib.import_module(f"vestnik_client.api.{self.modules[operation]}.{operation}")
        return module.sync(**arguments)


@pytest.fixture(scope="module")
def generated(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(requests.get(f"{stack.url}/api/v1/openapi.json", timeout=10).text)
    (folder / "config.yml").write_text(json.dumps({"post_hooks": []}))
    command = ["generate", "--path", "openapi.json", "--output-path", "vestnik_client", "--meta", "none"]
    made = subprocess.run(
        [Path(sys.executable).parent / "openapi-python-client", *command, "--config", "config.yml"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    return Generated(folder / "vestnik_client")


def test_the_generated_client_does_the_main_job(stack: Stack, api: Api, generated: Generated) -> None:
    models = generated.models
    visitor = generated.root.Client(base_url=stack.url)
    token = generated.call("create_token", client=visitor, body=models.TokenIn(email=EMAIL, password=PASSWORD))
    client = generated.root.AuthenticatedClient(base_url=stack.url, token=token.token)

    for phone in ("+7 926 100-00-01", "+7 926 100-00-02"):
        contact = models.ContactIn(phone=phone, first_name="Ирина", tags=["generated"])
        assert generated.call("create_contact", client=client, body=contact).tags == ["generated"]
    audience = models.AudienceIn(tags=["generated"])
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    text = "{first_name|friend}, it is generated."
    preview = generated.call("preview_campaign", client=client, body=models.PreviewIn(text=text, audience=audience))
    assert (preview.recipients, preview.samples[0].text) == (2, "Ирина, it is generated.")

    body = models.CampaignIn(name="Generated", text=text, audience=audience, ends_at=ends_at)
    campaign = generated.call("create_campaign", client=client, body=body, idempotency_key="generated-1")
    again = generated.call("create_campaign", client=client, body=body, idempotency_key="generated-1")
    assert again.id == campaign.id

    def is_finished() -> Any:
        stats = generated.call("show_campaign_stats", campaign_id=campaign.id, client=client)
        return stats if stats.finished_at else None

    stats = wait_for(is_finished, "the campaign's end")
    assert (stats.total, stats.by_status["sent"]) == (2, 2)
    page = generated.call("list_messages", campaign_id=campaign.id, client=client, status=models.MessageStatus.SENT)
    message = generated.call("show_message", message_id=page.items[0].id, client=client)
    assert (message.text, page.next_) == ("Ирина, it is generated.", None)

    sent = generated.call(
        "send_message", client=client, body=models.MessageIn(phone="+7 926 100-00-01", text="Your code is 4711.")
    )
    wait_for(
        lambda: generated.call("show_message", message_id=sent.id, client=client).status == models.MessageStatus.SENT,
        "the message",
    )
    refused = generated.call("create_contact", client=client, body=models.ContactIn(phone="+7 926 100-00-01"))
    assert "already exists" in refused.detail
