"""The settings: read and check the environment, then derive Django's settings from it.

The first half reads every name that a deployment may set. An invalid value stops the start with one clear line.
"""

import os
from datetime import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key
from django.utils.translation import gettext_lazy as _
from environs import validate

from campaigns.gateways.drivers import DRIVERS
from campaigns.messages.keywords import HELP_WORDS as _HELP_WORDS
from campaigns.messages.keywords import START_WORDS as _START_WORDS
from campaigns.messages.keywords import STOP_WORDS as _STOP_WORDS
from campaigns.messages.keywords import Keywords
from project.core.env import WEB_ADDRESS, Environment, is_local_host, is_strong, process_name, stop

django_stubs_ext.monkeypatch()  # lets generic Django classes be written as ModelAdmin[User]

BASE_DIR = Path(__file__).resolve().parent.parent

# --- The environment ---

env = Environment()
env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"), recurse=False)

DEBUG: bool = env.bool("DEBUG", False)
DATA_DIR: Path = BASE_DIR / env.path("DATA_DIR", Path("var"))
SECRET_KEY: str = env.str("SECRET_KEY", "")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [], subcast=str.strip)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], subcast=str.strip)
PORT: int = env.int("PORT", 8000, validate=validate.Range(1, 65535))
WEB_CONCURRENCY: int = env.int("WEB_CONCURRENCY", 2, validate=validate.Range(1, 256))
PUBLIC_URL: str = env.str("PUBLIC_URL", f"http://localhost:{PORT}", validate=WEB_ADDRESS)
HSTS_SECONDS: int = env.int("HSTS_SECONDS", 31_536_000, validate=validate.Range(0))
HSTS_SUBDOMAINS: bool = env.bool("HSTS_SUBDOMAINS", True)
HSTS_PRELOAD: bool = env.bool("HSTS_PRELOAD", True)
DATABASE: dict[str, Any] = env.database("DATABASE_URL", f"sqlite:///{quote(str(DATA_DIR))}/vestnik.sqlite3")
EMAIL: dict[str, Any] = env.mail("EMAIL_URL", f"file://{quote(str(DATA_DIR))}/mail")
DEFAULT_FROM_EMAIL: str = env.sender("DEFAULT_FROM_EMAIL", "Vestnik <vestnik@localhost>")

_KINDS = [kind for kind, driver in DRIVERS.items() if not driver.described]
GATEWAY: str = env.str("GATEWAY", "probe", validate=validate.OneOf(_KINDS))
GATEWAY_URL: str = env.str("GATEWAY_URL", "http://127.0.0.1:8090/v1", validate=WEB_ADDRESS)
GATEWAY_TOKEN: str = env.str("GATEWAY_TOKEN", "sandbox-token")
GATEWAY_TIMEOUT: float = env.float("GATEWAY_TIMEOUT", 10.0, validate=validate.Range(0.1, 15))
GATEWAY_CONCURRENCY: int = env.int("GATEWAY_CONCURRENCY", 100, validate=validate.Range(1, 5000))
GATEWAY_RATE: float | None = env.float("GATEWAY_RATE", None, validate=validate.Range(0.01))
GATEWAY_ALLOW_LINK_LOCAL: bool = env.bool("GATEWAY_ALLOW_LINK_LOCAL", False)
MAX_ATTEMPTS: int = env.int("MAX_ATTEMPTS", 8, validate=validate.Range(1, 100))
RETRY_BASE: float = env.float("RETRY_BASE", 5.0, validate=validate.Range(0))
RETRY_CAP: float = env.float("RETRY_CAP", 900.0, validate=validate.Range(0))
MESSAGE_RETENTION_DAYS: int | None = env.int("MESSAGE_RETENTION_DAYS", None, validate=validate.Range(1))

PHONE_COUNTRIES: list[str] = env.countries("PHONE_COUNTRIES", "RU,KZ")
LANDLINES: str = env.str("LANDLINES", "warn", validate=validate.OneOf(["accept", "warn", "refuse"]))
WORKER_MEMORY: int = env.int("WORKER_MEMORY", 1024, validate=validate.Range(256))
API_RATE: int = env.int("API_RATE", 120_000, validate=validate.Range(1))
WEBHOOKS_ALLOW_PRIVATE: bool = env.bool("WEBHOOKS_ALLOW_PRIVATE", False)

DAILY_REPORT_AT: time = env.clock_time("DAILY_REPORT_AT", "08:00")
CURRENCY: str = env.currency("CURRENCY", "RUB")
QUIET_HOURS: tuple[time, time] | None = env.hours("QUIET_HOURS", "")
STOP_WORDS: list[str] = env.list("STOP_WORDS", list(_STOP_WORDS), subcast=str.strip)
START_WORDS: list[str] = env.list("START_WORDS", list(_START_WORDS), subcast=str.strip)
HELP_WORDS: list[str] = env.list("HELP_WORDS", list(_HELP_WORDS), subcast=str.strip)
STOP_TEXT: str = env.answer("STOP_TEXT", "You will get no more messages. To get them again, reply START.")
STOP_TEXT_RU: str = env.answer("STOP_TEXT_RU", "Вы больше не получите сообщений. Вернуть: ответьте СТАРТ")
START_TEXT: str = env.answer("START_TEXT", "You will get messages again. To get no more, reply STOP.")
START_TEXT_RU: str = env.answer("START_TEXT_RU", "Вы снова получаете сообщения. Отказ: ответьте СТОП")
HELP_TEXT: str = env.answer("HELP_TEXT", "To get no more messages, reply STOP. To get them again, reply START.")
HELP_TEXT_RU: str = env.answer("HELP_TEXT_RU", "Отказ от сообщений: ответьте СТОП. Вернуть: СТАРТ")
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", 0, validate=validate.Range(0, 10))
OPEN_SIGNUP: bool = env.bool("OPEN_SIGNUP", True)
EMAIL_VERIFICATION: str = env.str("EMAIL_VERIFICATION", "optional", validate=validate.OneOf(["optional", "mandatory"]))
LOG_FORMAT: str = env.str("LOG_FORMAT", "console" if DEBUG else "json", validate=validate.OneOf(["console", "json"]))
LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
LOG_SENT_SHARE: float = env.float("LOG_SENT_SHARE", 1.0, validate=validate.Range(0, 1))
METRICS_ALLOWED: list[Any] = env.networks("METRICS_ALLOWED", "127.0.0.1,::1")
OIDC_URL: str | None = env.str("OIDC_URL", None, validate=WEB_ADDRESS)
OIDC_CLIENT_ID: str = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET: str = env.str("OIDC_CLIENT_SECRET", "")
OIDC_NAME: str = env.str("OIDC_NAME", "OpenID Connect")
TIME_ZONE: str = env.time_zone("TIME_ZONE", "Europe/Moscow")
LANGUAGE_CODE: str = env.str("LANGUAGE_CODE", "en", validate=validate.OneOf(["en", "ru"]))

SETTING_NAMES: list[str] = ["ENV_FILE", *env.names]
env.finish()
if RETRY_BASE > RETRY_CAP:
    stop("RETRY_CAP: Must not be less than RETRY_BASE.")
try:
    KEYWORDS = Keywords(STOP_WORDS, START_WORDS, HELP_WORDS)
except ValueError as _error:
    stop(str(_error))
if DEBUG and not all(map(is_local_host, [str(urlsplit(PUBLIC_URL).hostname), *ALLOWED_HOSTS])):
    stop("DEBUG: Shows settings and data to anyone, so not with a PUBLIC_URL or ALLOWED_HOSTS that others can reach.")
if not DEBUG:
    if not SECRET_KEY:
        stop("SECRET_KEY: Required when DEBUG is off (or SECRET_KEY_FILE).")
    for _name, _keys in (("SECRET_KEY", [SECRET_KEY]), ("SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS)):
        if not all(map(is_strong, _keys)):
            stop(f"{_name}: At least 50 random characters: openssl rand -base64 48 makes some.")
    if "*" in ALLOWED_HOSTS:
        stop("ALLOWED_HOSTS: Name the hosts: * would answer to any, and believe it in links.")
if DRIVERS[GATEWAY].needs_username and ":" not in GATEWAY_TOKEN:
    stop(f"GATEWAY_TOKEN: Must be user:password for {GATEWAY}.")
if OIDC_URL and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
    stop("OIDC_CLIENT_ID, OIDC_CLIENT_SECRET: Required with OIDC_URL.")


def _writable_folder(folder: Path) -> None:
    """Create a folder for SQLite's data if necessary."""
    name = "DATA_DIR" if folder == DATA_DIR else "DATABASE_URL"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        stop(f"{name}: {folder}: {error.strerror}.")
    if not os.access(folder, os.W_OK):
        stop(f"{name}: {folder}: Not writable.")


if not SECRET_KEY:
    _writable_folder(DATA_DIR)
    _key_file = DATA_DIR / "secret_key"
    if not _key_file.exists():
        _key_file.touch(mode=0o600)
        _key_file.write_text(get_random_secret_key())
    SECRET_KEY = _key_file.read_text().strip()

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
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "auditlog",
    "csp",
    "django_htmx",
    "django_q",
    "lucide",
    "ninja",
    "template_partials",
    "project.observability.metrics",
    "accounts",
    "accounts.webhooks",
    "directory",
    "campaigns",
    "reports",
]
MIDDLEWARE = [
    "project.observability.request_log.RequestMiddleware",
    "project.http.headers.HeadersMiddleware",
    "project.observability.health.ProbeMiddleware",
    "project.http.middleware.JsonErrorsMiddleware",
    "project.http.middleware.HeadMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.audit_log.RecordedRequestMiddleware",
    "accounts.middleware.UserPreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.SessionEndMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SessionSeenMiddleware",
    "project.http.middleware.MethodNotAllowedPageMiddleware",
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
FORM_RENDERER = "project.http.forms.Renderer"
# Persistent connections save a handshake per request.
DATABASES = {"default": {**DATABASE, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}
_SQLITE = DATABASE["ENGINE"] == "django.db.backends.sqlite3"
if _SQLITE:
    _writable_folder(Path(DATABASE["NAME"]).parent)
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # TCP keepalives: if a host vanishes, neither our connections nor the database sessions and locks of that host
    # remain for ever.
    _SESSION = {
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }
    if process_name() == "worker":
        # Shorter than a lease: the locks of a worker that hangs or is suspended must not stop the others for long.
        _SESSION |= {
            "statement_timeout": "30s",
            "lock_timeout": "15s",
            "idle_in_transaction_session_timeout": "10s",
        }
    DATABASES["default"]["OPTIONS"] = {
        "options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
        "application_name": f"vestnik {process_name()}",
        **DATABASE.get("OPTIONS", {}),
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        # Above that it drops entries arbitrarily: sign-in limits, signs of life of workers.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    # django-q2 writes its status twice a second, and only this process reads it.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "accounts.admin_backend.ReadOnlyAdminBackend",
]
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
ACCOUNT_ADAPTER = "accounts.sign_in.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.SignupForm"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = EMAIL_VERIFICATION
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Vestnik: "
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_FORMS = {
    "add_email": "accounts.sign_in.email_change.EmailForm",
    "login": "accounts.sign_in.forms.LoginForm",
    "signup": "accounts.sign_in.forms.SignupForm",
    "reset_password": "accounts.sign_in.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.sign_in.forms.ResetPasswordKeyForm",
    "change_password": "accounts.sign_in.forms.ChangePasswordForm",
    "reauthenticate": "accounts.sign_in.forms.ReauthenticateForm",
}
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
SOCIALACCOUNT_ADAPTER = "accounts.sign_in.external_provider.ExternalAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if OIDC_URL:
    _app = {"provider_id": "oidc", "name": OIDC_NAME, "client_id": OIDC_CLIENT_ID, "secret": OIDC_CLIENT_SECRET}
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [{**_app, "settings": {"server_url": OIDC_URL}}],
    }
MFA_ADAPTER = "accounts.sign_in.mfa.SecondFactorAdapter"
MFA_FORMS = {
    "add_webauthn": "accounts.sign_in.mfa.PasskeyForm",
    "authenticate": "accounts.sign_in.mfa.CodeForm",
    "reauthenticate": "accounts.sign_in.mfa.ReauthenticationCodeForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Vestnik"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s by which a phone's clock may be wrong

LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "build" / "static"  # built from the source, like .venv
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = DATA_DIR / "media"

globals().update(EMAIL)  # EMAIL_BACKEND and its settings
EMAIL_TIMEOUT = 15  # seconds

_HTTPS = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(PUBLIC_URL))]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _HTTPS
SECURE_HSTS_SECONDS = HSTS_SECONDS if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _HTTPS and HSTS_SUBDOMAINS
SECURE_HSTS_PRELOAD = _HTTPS and HSTS_PRELOAD
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
if _HTTPS:  # browsers accept these names only from this host over HTTPS
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no personal data in cookies
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "base-uri": [NONE],
        # Browsers apply this to redirects after a form, too: the button of the external sign-in redirects there.
        "form-action": [SELF, *(["{0.scheme}://{0.netloc}".format(urlsplit(OIDC_URL))] if OIDC_URL else [])],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
UPLOAD_MAX_SIZE = 256 * 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "project.http.uploads.LimitUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- Background work ---

WORKERS = 3 if _SQLITE else 5


Q_CLUSTER = {
    "max_rss": 1024 * WORKER_MEMORY // 2,  # KiB: a process that used more is replaced after its task
    "name": "vestnik",
    "broker_class": "project.queue.broker.EtaBroker",
    "orm": "default",
    "cache": "process",
    "workers": WORKERS,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 60,
    "retry": 300,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "recycle": 500,
    "scheduler": False,  # the watchdogs enqueue periodic tasks
    "save_limit": -1,  # only failures are stored
    "label": _("Background tasks"),
}
LOGGING_CONFIG = "project.observability.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": LOG_LEVEL}
