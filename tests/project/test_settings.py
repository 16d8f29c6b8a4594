"""The settings of a deployment, loaded in a separate process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from project.core.env import is_local_host, is_strong

ROOT = Path(__file__).resolve().parents[2]
SHOW = "from project import settings; print({})"
KEY = "0123456789" * 5


def start(folder: Path, expression: str = "'started'", **environment: str) -> subprocess.CompletedProcess[str]:
    """Load the settings with only these variables, and print the expression."""
    return subprocess.run(
        [sys.executable, "-c", SHOW.format(expression)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ENV_FILE": "/dev/null", "DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def shown(folder: Path, expression: str, **environment: str) -> str:
    """The value of the expression after a successful start."""
    process = start(folder, f"settings.{expression}", **{"SECRET_KEY": KEY, **environment})
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


BAD = [
    ("DEBUG", "maybe"),
    ("PUBLIC_URL", "sms.example.org"),
    ("PUBLIC_URL", "ftp://sms.example.org"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("DATABASE_URL", "mysql://root@127.0.0.1/vestnik"),
    ("DATABASE_URL", "postgres://127.0.0.1:5432"),
    ("DATABASE_URL", "postgres://127.0.0.1:port/vestnik"),
    ("DATABASE_URL", "postgres://[::1/vestnik"),
    ("DATABASE_URL", "vestnik"),
    ("GATEWAY", "pigeon"),
    ("GATEWAY_URL", "gateway.example.org/v1"),
    ("GATEWAY_TIMEOUT", "0"),
    ("GATEWAY_TIMEOUT", "soon"),
    ("GATEWAY_TIMEOUT", "nan"),
    ("GATEWAY_CONCURRENCY", "0"),
    ("GATEWAY_CONCURRENCY", "1.5"),
    ("GATEWAY_RATE", "0"),
    ("GATEWAY_RATE", "fast"),
    ("STOP_WORDS", "STOP,,"),
    ("START_WORDS", "START,STOP"),
    ("HELP_WORDS", "?"),
    ("STOP_TEXT", "x" * 501),
    ("MAX_ATTEMPTS", "0"),
    ("RETRY_BASE", "-1"),
    ("RETRY_CAP", "x"),
    ("RETRY_CAP", "4"),
    ("EMAIL_URL", "mail.example.org"),
    ("EMAIL_URL", "smtp://"),
    ("EMAIL_URL", "smtp://mail.example.org:port"),
    ("EMAIL_URL", "pop3://mail.example.org"),
    ("DEFAULT_FROM_EMAIL", "Vestnik"),
    ("DEFAULT_FROM_EMAIL", "Vestnik <@example.org>"),
    ("DAILY_REPORT_AT", "25:00"),
    ("DAILY_REPORT_AT", "morning"),
    ("QUIET_HOURS", "21:00"),
    ("CURRENCY", "XXXX"),
    ("QUIET_HOURS", "09:00-09:00"),
    ("OPEN_SIGNUP", "perhaps"),
    ("EMAIL_VERIFICATION", "sometimes"),
    ("LOG_FORMAT", "xml"),
    ("LOG_LEVEL", "LOUD"),
    ("METRICS_ALLOWED", "localhost"),
    ("METRICS_ALLOWED", "127.0.0.1,10.0.0.0/99"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("TIME_ZONE", "../UTC"),
    ("LANGUAGE_CODE", "tlh"),
    ("SECRET_KEY_FILE", "/nowhere/secret"),
    ("SECRET_KEY_FILE", "/"),
    ("GATEWAY_TOKEN_FILE", "/nowhere/token"),
    ("DATABASE_URL", "sqlite:////dev/null/vestnik.sqlite3"),
    ("DATA_DIR", "/dev/null/var"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_stops_the_start_with_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    process = start(tmp_path, **{"SECRET_KEY": KEY, name: value})
    assert process.returncode != 0
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"Vestnik can't start: {name}: ")
    assert line.endswith((".", ")"))


def test_a_secret_key_is_required_in_production(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.returncode != 0
    assert process.stderr == "Vestnik can't start: SECRET_KEY: Required when DEBUG is off (or SECRET_KEY_FILE).\n"


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
def test_a_weak_key_signs_nothing_in_production(tmp_path: Path, name: str) -> None:
    process = start(tmp_path, **{"SECRET_KEY": KEY, name: "too-short"})
    assert process.returncode != 0
    assert process.stderr.startswith(f"Vestnik can't start: {name}: At least 50 random characters")


def test_kannel_requires_user_and_password(tmp_path: Path) -> None:
    process = start(tmp_path, SECRET_KEY=KEY, GATEWAY="kannel", GATEWAY_TOKEN="secret")
    assert process.returncode != 0
    assert process.stderr == "Vestnik can't start: GATEWAY_TOKEN: Must be user:password for kannel.\n"


@pytest.mark.parametrize("key", ["short", "k" * 60, "django-insecure-" + KEY, KEY[1:]])
def test_weak_keys_are_detected(key: str) -> None:
    assert is_strong(KEY)
    assert not is_strong(key)


def test_earlier_keys_are_separated_by_commas(tmp_path: Path) -> None:
    given = f"{KEY}a, {KEY}b"
    assert shown(tmp_path, "SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS=given) == str([f"{KEY}a", f"{KEY}b"])


def test_production_answers_to_named_hosts_only(tmp_path: Path) -> None:
    process = start(tmp_path, SECRET_KEY=KEY, ALLOWED_HOSTS="sms.example.org,*")
    assert process.returncode != 0
    assert process.stderr.startswith("Vestnik can't start: ALLOWED_HOSTS: ")


@pytest.mark.parametrize("others", ["PUBLIC_URL=https://sms.example.org", "ALLOWED_HOSTS=localhost,sms.example.org"])
def test_debug_requires_local_hosts(tmp_path: Path, others: str) -> None:
    name, _, value = others.partition("=")
    process = start(tmp_path, DEBUG="1", **{name: value})
    assert process.returncode != 0
    assert process.stderr.startswith("Vestnik can't start: DEBUG: ")


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost", True), ("[::1]", True), ("192.168.1.7", True), ("box", True), ("box.local", True),
        ("sms.example.org", False), ("*", False), (".example.org", False), ("8.8.8.8", False),
    ],
)  # fmt: skip
def test_local_hosts_are_recognised(host: str, near: bool) -> None:
    assert is_local_host(host) == near


def test_all_invalid_values_are_reported_together(tmp_path: Path) -> None:
    (line,) = start(tmp_path, SECRET_KEY=KEY, PORT="x", TIME_ZONE="y").stderr.splitlines()
    assert "PORT: " in line
    assert "TIME_ZONE: " in line


def test_in_development_the_secret_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "var"
    first = start(folder, "settings.SECRET_KEY", DEBUG="1").stdout.strip()
    assert len(first) >= 50
    assert start(folder, "settings.SECRET_KEY", DEBUG="1").stdout.strip() == first
    assert (folder / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    assert shown(tmp_path, "GATEWAY_TOKEN", GATEWAY_TOKEN_FILE=str(secret)) == "from-a-file"


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("PORT=9000\nMAX_ATTEMPTS=3\n")
    given = shown(tmp_path, "PORT, settings.MAX_ATTEMPTS", ENV_FILE=str(file), PORT="9001")
    assert given == "9001 3"


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    assert shown(tmp_path, "GATEWAY_RATE", GATEWAY_RATE="") == "None"
    assert shown(tmp_path, "PORT", PORT="") == "8000"


def test_an_answer_to_keywords_can_be_turned_off(tmp_path: Path) -> None:
    assert shown(tmp_path, "HELP_TEXT", HELP_TEXT="none") == ""
    assert shown(tmp_path, "HELP_TEXT", HELP_TEXT="") != ""


def test_the_data_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "my data, 100% #1?"
    assert shown(folder, "DATABASES['default']['NAME']") == str(folder / "vestnik.sqlite3")
    assert shown(folder, "EMAIL_FILE_PATH") == str(folder / "mail")


def test_the_public_address_follows_the_port(tmp_path: Path) -> None:
    assert shown(tmp_path, "PUBLIC_URL", PORT="9000") == "http://localhost:9000"


def test_mail_server_urls_are_parsed(tmp_path: Path) -> None:
    which = "EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS, settings.EMAIL_HOST_USER"
    assert shown(tmp_path, which, EMAIL_URL="smtp://mail") == "mail 25 False False"
    assert shown(tmp_path, which, EMAIL_URL="smtp://u%40h:p@mail:587?tls=1") == "mail 587 False True u@h"
    assert shown(tmp_path, which, EMAIL_URL="smtps://u:p@mail") == "mail 465 True False u"


def test_lists_allow_spaces(tmp_path: Path) -> None:
    assert shown(tmp_path, "ALLOWED_HOSTS", ALLOWED_HOSTS="a.example.org, b.example.org") == (
        "['a.example.org', 'b.example.org']"
    )
    assert "10.0.0.0/8" in shown(tmp_path, "METRICS_ALLOWED", METRICS_ALLOWED="::1, 10.1.2.3/8")


@pytest.mark.parametrize("path", ["", "/vestnik"])
def test_forms_are_accepted_from_the_public_address(tmp_path: Path, path: str) -> None:
    origins = shown(tmp_path, "CSRF_TRUSTED_ORIGINS", PUBLIC_URL=f"https://sms.example.org{path}")
    assert origins == "['https://sms.example.org']"


def test_postgresql_is_the_real_database(tmp_path: Path) -> None:
    url = "postgres://u:p%2Fw@db.example.org:5433/vestnik?sslmode=require"
    which = "DATABASES['default']['ENGINE'], settings.DATABASES['default']['PASSWORD']"
    assert shown(tmp_path / "unused", which, DATABASE_URL=url) == "django.db.backends.postgresql p/w"
    assert not (tmp_path / "unused").exists()
