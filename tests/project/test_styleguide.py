from pytest_django import Settings

from accounts.models import User
from project.styleguide import STYLESHEET, tokens
from tests.campaigns.browser_client import browser


def test_every_token_is_shown_and_is_used(alice: User, settings: Settings) -> None:
    settings.DEBUG = True
    content = browser(alice).get("/styleguide/").content.decode()
    sheet = (settings.BASE_DIR / STYLESHEET).read_text()
    for name in (name for _kind, names in tokens() for name in names):
        assert f"--{name}</code>" in content
        assert f"var(--{name})" in sheet, f"--{name} is used nowhere"
