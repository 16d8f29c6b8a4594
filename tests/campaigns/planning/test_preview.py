import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.planning.preview import SAMPLES, campaign_preview
from directory.audiences.audience import Audience
from tests import factories

EVERYONE = Audience()


def test_a_fixed_text_is_measured_exactly(alice: User) -> None:
    for _ in range(SAMPLES + 2):
        factories.contact(alice)
    preview = campaign_preview(text="я" * 71, audience=EVERYONE)
    assert (preview.recipients, preview.encoding, preview.characters) == (SAMPLES + 2, "UCS-2", 71)
    assert (preview.parts, preview.total_parts) == (2, 2 * (SAMPLES + 2))
    assert len(preview.samples) == SAMPLES


def test_the_samples_include_the_longest_text_and_missing_values(alice: User) -> None:
    for name in [*["Al"] * SAMPLES, "", "Alexandra"]:
        factories.contact(alice, first_name=name)
    preview = campaign_preview(text="{first_name|you}", audience=EVERYONE)
    assert {sample.text for sample in preview.samples} == {"Al", "you", "Alexandra"}
    assert [(gap.name, gap.fallback, gap.number) for gap in preview.gaps] == [("first_name", "you", 1)]


def test_only_recipients_count(alice: User) -> None:
    vip = factories.contact(alice, tags=("vip",), first_name="Anna", last_name="Kim")
    factories.contact(alice)
    factories.contact(alice, tags=("vip",), opted_out=True)
    factories.contact(alice, tags=("vip",), is_active=False)
    preview = campaign_preview(text="Hi {first_name|friend}!", audience=Audience(tags=("vip",)))
    assert preview.recipients == 1
    (sample,) = preview.samples
    assert (sample.phone, sample.name, sample.text, sample.parts) == (vip.phone, "Anna Kim", "Hi Anna!", 1)


def test_the_preview_shows_the_longest_text_and_total_parts(alice: User) -> None:
    for points in ("1", "2" * 200, "3"):
        factories.contact(alice, attributes={"points": points})
    preview = campaign_preview(text="{points}", audience=EVERYONE)
    assert (preview.parts, preview.characters, preview.total_parts) == (2, 200, 4)


def test_the_longest_of_texts_with_equal_parts_is_shown(alice: User) -> None:
    for name in ("Al", "Alexandra", "Bob"):
        factories.contact(alice, first_name=name)
    assert campaign_preview(text="{first_name}", audience=EVERYONE).characters == 9


def test_one_name_may_force_another_encoding(alice: User) -> None:
    factories.contact(alice, first_name="Anna")
    factories.contact(alice, first_name="Анна")
    preview = campaign_preview(text="{first_name}" + "a" * 80, audience=EVERYONE)
    assert (preview.encoding, preview.parts, preview.total_parts) == ("UCS-2", 2, 3)


@pytest.mark.parametrize(("text", "characters"), [("", 0), ("Hi!", 3), ("Hi {first_name|friend}!", 10), ("{nick}", 0)])
def test_without_recipients_the_text_is_measured_with_fallbacks(db: None, text: str, characters: int) -> None:
    preview = campaign_preview(text=text, audience=EVERYONE)
    assert (preview.recipients, preview.total_parts, preview.samples) == (0, 0, [])
    assert (preview.encoding, preview.characters, preview.parts) == ("GSM-7", characters, 1)


def test_the_number_of_queries_is_constant(alice: User) -> None:
    spent = []
    for number in (1, 20):
        for _ in range(number):
            factories.contact(alice, tags=("a", "b"))
        with CaptureQueriesContext(connection) as queries:
            campaign_preview(text="{first_name}", audience=Audience(tags=("a", "b")))
        spent.append(len(queries))
    assert spent[0] == spent[1] <= 8
