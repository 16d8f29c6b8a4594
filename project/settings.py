"""The one settings module: read the environment, check it, then derive Django's settings from it.

Every name a deployment may set is read in the first half; a bad or missing value ends the start with one clear line.
"""

import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import django_stubs_ext
from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key
from django.utils.translation import gettext_lazy as _
from environs import EnvValidationError, FileAwareEnv, validate

django_stubs_ext.monkeypatch()  # lets generic Django classes be written as ModelAdmin[User]

BASE_DIR = Path(__file__).resolve().parent.parent

# --- The environment ---

env = FileAwareEnv(eager=False, strip_whitespace=True)
env.read_env(BASE_DIR / ".env", recurse=False)

DEBUG = env.bool("DEBUG", False)
DATA_DIR: Path = env.path("DATA_DIR", BASE_DIR / "var")
SECRET_KEY: str = env.str("SECRET_KEY", "")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
PUBLIC_URL: str = env.str("PUBLIC_URL", "http://localhost:8000", validate=validate.URL(require_tld=False))
PORT: int = env.int("PORT", 8000, validate=validate.Range(1, 65535))
DATABASE: dict[str, Any] = env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'vestnik.sqlite3'}")
EMAIL: dict[str, Any] = env.dj_email_url("EMAIL_URL", f"file:///{DATA_DIR / 'mail'}")
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", "Vestnik <vestnik@localhost>")

GATEWAY: str = env.str("GATEWAY", "probe", validate=validate.OneOf(["probe", "console"]))
GATEWAY_URL: str = env.str("GATEWAY_URL", "http://127.0.0.1:8090/v1", validate=validate.URL(require_tld=False))
GATEWAY_TOKEN: str = env.str("GATEWAY_TOKEN", "sandbox-token")
GATEWAY_TIMEOUT: float = env.float("GATEWAY_TIMEOUT", 10, validate=validate.Range(0.1, 30))
GATEWAY_CONCURRENCY: int = env.int("GATEWAY_CONCURRENCY", 100, validate=validate.Range(1, 5000))
GATEWAY_RATE: float | None = env.float("GATEWAY_RATE", None, validate=validate.Range(0.01))
MAX_ATTEMPTS: int = env.int("MAX_ATTEMPTS", 8, validate=validate.Range(1, 100))
RETRY_BASE: float = env.float("RETRY_BASE", 5, validate=validate.Range(0))
RETRY_CAP: float = env.float("RETRY_CAP", 900, validate=validate.Range(0))

OPEN_SIGNUP: bool = env.bool("OPEN_SIGNUP", True)
EMAIL_VERIFICATION: str = env.str("EMAIL_VERIFICATION", "optional", validate=validate.OneOf(["optional", "mandatory"]))
LOG_FORMAT: str = env.str("LOG_FORMAT", "console" if DEBUG else "json", validate=validate.OneOf(["console", "json"]))
LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
METRICS_ALLOWED: list[Any] = env.list("METRICS_ALLOWED", ["127.0.0.1", "::1"], subcast=ip_network)
TIME_ZONE: str = env.str("TIME_ZONE", "Europe/Moscow")
LANGUAGE_CODE: str = env.str("LANGUAGE_CODE", "en", validate=validate.OneOf(["en", "ru"]))


def _stop(reason: str) -> None:
    """End the start with one line: a traceback would hide which value is wrong."""
    sys.exit(f"Vestnik can't start: {reason}")


try:
    env.seal()
except EnvValidationError as error:
    _stop("; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in dict(error.error_messages).items()))

if not SECRET_KEY and DEBUG:
    _key_file = DATA_DIR / "secret_key"
    if not _key_file.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        _key_file.write_text(get_random_secret_key())
        _key_file.chmod(0o600)
    SECRET_KEY = _key_file.read_text().strip()
if not SECRET_KEY:
    _stop("SECRET_KEY: required when DEBUG is off (or SECRET_KEY_FILE)")

# --- Django ---

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "django_q",
    "lucide",
    "ninja",
    "template_partials",
    "accounts",
    "directory",
    "campaigns",
    "reports",
]
MIDDLEWARE = [
    "project.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.UserPreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["lucide.templatetags.lucide", "project.templatetags"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # templates/django/forms/ draws every form
# Rows stay wide and hot, so a page reads its row once; persistent connections save a handshake per request.
DATABASES = {"default": {**DATABASE, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    # django-q2 writes its status twice a second, and nobody outside the process reads it.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.SignupForm"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = EMAIL_VERIFICATION
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL

LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = DATA_DIR / "media"

EMAIL_BACKEND = EMAIL["EMAIL_BACKEND"]
EMAIL_FILE_PATH = EMAIL["EMAIL_FILE_PATH"]
EMAIL_HOST, EMAIL_PORT = EMAIL["EMAIL_HOST"], EMAIL["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = EMAIL["EMAIL_HOST_USER"], EMAIL["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL["EMAIL_USE_TLS"], EMAIL["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 15

_HTTPS = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# --- Background work ---

_SQLITE = DATABASE["ENGINE"] == "django.db.backends.sqlite3"
Q_CLUSTER = {
    "name": "vestnik",
    "broker_class": "project.queue.EtaBroker",
    "orm": "default",
    "cache": "process",
    "workers": 2 if _SQLITE else 4,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 60,
    "retry": 300,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "recycle": 500,
    "save_limit": 100,
    "label": _("Background tasks"),
}
LOGGING_CONFIG = "project.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": LOG_LEVEL}
