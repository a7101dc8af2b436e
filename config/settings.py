"""All settings of the server; nothing else reads the environment."""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config import embedded

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(str(BASE_DIR / ".env"))

DATA_DIR = embedded.data_dir()
EMEND_URL: str = env.str("EMEND_URL", default="http://127.0.0.1:8000")
DEBUG: bool = env.bool("DEBUG", default=False)

# --- Services: a URL from the environment, else the embedded ones ---------------------------
DATABASE_URL: str = env.str("DATABASE_URL", default="")
REDIS_URL: str = env.str("REDIS_URL", default="") or embedded.redis_url() or ""
STORAGE_URL: str = env.str("STORAGE_URL", default="") or str(DATA_DIR / "storage")

SECRET_KEY: str = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    if DATABASE_URL:
        # Several machines may share that database: a key that each made up would not fit.
        raise ImproperlyConfigured("Set SECRET_KEY: DATABASE_URL is set, so none is generated.")
    SECRET_KEY = embedded.secret("secret_key")
# Erased people are recognised, and receipts signed, by keys that follow from this one.
ERASURE_KEY: str = env.str("ERASURE_KEY", default="") or SECRET_KEY
# Beside the data folder, so that it outlives it: what a restore brings back is erased again.
ERASURE_LOG_URL: str = env.str("ERASURE_LOG_URL", default="") or str(
    DATA_DIR.with_name(f"{DATA_DIR.name}-erasures")
)

DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL or embedded.database_url())}
DATABASES["default"] |= {
    "ENGINE": "django.db.backends.postgresql",
    # `dbshell` looks for a socket's folder here only.
    "HOST": DATABASES["default"].get("OPTIONS", {}).pop("host", DATABASES["default"]["HOST"]),
    "CONN_MAX_AGE": 600,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": DATABASES["default"].get("OPTIONS", {})
    | {
        "application_name": "emend",
        "connect_timeout": 5,
        # Statements of config/database.py are prepared, and planned once for all parameters.
        "prepare_threshold": 0,
        "options": "-c plan_cache_mode=force_generic_plan",
    },
}

# --- Celery: PostgreSQL owns what is to be done, Celery how it is run ------------------------
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 5,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 2000
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 25
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# --- Kafka: events of products (`consume_kafka`); nothing of it is needed where they use HTTP ---
KAFKA_BOOTSTRAP_SERVERS: str = env.str("KAFKA_BOOTSTRAP_SERVERS", default="")
KAFKA_TOPIC: str = env.str("KAFKA_TOPIC", default="emend")
KAFKA_GROUP: str = env.str("KAFKA_GROUP", default="emend")
KAFKA_PROJECT: str = env.str("KAFKA_PROJECT", default="default")
KAFKA_OPTIONS: dict[str, object] = env.json("KAFKA_OPTIONS", default={})

# --- Django ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django_otp.plugins.otp_totp",  # before privacy, which takes their lists out of the admin
    "django_otp.plugins.otp_static",
    "config",
    "privacy",
    "feedback",
    "training",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "simple_history",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.security.content_security_policy",
    "config.security.cross_origin",
    "config.security.length_required",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]
# What requests to the API pass (config/wsgi.py).
API_MIDDLEWARE = [
    name
    for name in MIDDLEWARE
    if name
    in {
        "django.middleware.security.SecurityMiddleware",
        "config.security.content_security_policy",
        "config.security.cross_origin",
        "config.security.length_required",
        "django.middleware.common.CommonMiddleware",
    }
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SIMPLE_HISTORY_HISTORY_ID_USE_UUID = False
SESSION_ENGINE = "django.contrib.sessions.backends.db"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en-gb"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATICFILES_DIRS = [("", BASE_DIR / "config" / "static")]
WHITENOISE_USE_FINDERS = True
# The strict parser limits bodies before they are read; forms (the admin) keep Django's own limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# --- Security: EMEND_URL decides -----------------------------------------------------------------
_url = urlsplit(EMEND_URL)
IS_HTTPS = _url.scheme == "https"  # then staff need a second factor, too
OTP_TOTP_ISSUER = f"Emend ({_url.hostname})"
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[]) or [
    _url.hostname or "localhost",
    "localhost",
    "127.0.0.1",
    "[::1]",
]
CSRF_TRUSTED_ORIGINS = [EMEND_URL]
CSRF_FAILURE_VIEW = "privacy.page.unchecked"
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# /healthz and /readyz are asked by load balancers over plain http.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]

# --- API ------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["privacy.access.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["privacy.access.ManageScope"],
    "DEFAULT_PARSER_CLASSES": ["config.api.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.api.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.api.JSONOnly",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "privacy.access.problem_response",
    # `?format=` names a file format of an export, not one of DRF's renderers.
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Emend",
    "DESCRIPTION": "Turns the corrections people make to a model's output into a better model.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
}

# How many processes serve the web: where Redis is away each has its part of every limit.
WEB_PROCESSES: int = env.int("WEB_PROCESSES", default=2)
# How many proxies in front write X-Forwarded-For; none: it is not believed.
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", default=0)

# A function that finds names and addresses in a text, by its dotted path; empty: none.
REDACTION_DETECTOR: str = env.str("REDACTION_DETECTOR", default="")

# Under this much free disk capture answers 503: PostgreSQL must never meet a full disk.
MINIMUM_FREE_DISK_BYTES: int = env.int("MINIMUM_FREE_DISK_BYTES", default=256 * 1024 * 1024)
# Once this file exists `/readyz` answers 503, so that traffic goes elsewhere before the end.
STOPPING_FILE: str = env.str("STOPPING_FILE", default="")

# --- Logs: a constant event name plus ids, never content ------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"content_free": {"()": "config.logs.ContentFree"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "config.logs.JSONLines"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["content_free"],
            "formatter": "json" if IS_HTTPS else "line",
        }
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"level": "INFO", "handlers": [], "propagate": True},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
