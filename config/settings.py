"""Django's settings, all from the environment. `docs/settings.md` lists every variable."""

from pathlib import Path

from config import environment
from config.logging import FORMATS, logging_config

BASE_DIR = Path(__file__).resolve().parent.parent

env = environment.Env()
DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = environment.secret_key(env, debug=DEBUG)
ENCRYPTION_KEYS = environment.encryption_keys(env, debug=DEBUG)
ALLOWED_HOSTS = environment.allowed_hosts(env)
PORT = env.whole("PORT", default=8000, most=65_535)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "subscriptions",
    "deliveries",
    "config.apps.ConfigConfig",
    # After the apps whose templates stand in for its own.
    "config.apps.ConsoleConfig",
]

MIDDLEWARE = [
    "config.security_headers.SecurityHeadersMiddleware",
    "config.api.request_id.RequestIdMiddleware",
    # Before anything that judges the Host header or redirects: probes come by address and by plain HTTP.
    "config.health.HealthMiddleware",
    "config.observability.metrics_page.MetricsMiddleware",
    "config.observability.request_log.RequestLogMiddleware",
    "config.api.problems.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.login_throttle.LoginThrottleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": environment.database(env)}
REDIS_URL = environment.redis_url(env)

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
# Served straight from the apps' folders: there is no build step and nothing to collect before a start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DEFAULT_EXCEPTION_REPORTER = "config.error_reports.Reporter"
LOG_FORMAT = env.choice("LOG_FORMAT", default="line" if DEBUG else "json", choices=FORMATS)
LOGGING = logging_config(
    env.choice("LOG_LEVEL", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")), LOG_FORMAT
)

# --- Security -------------------------------------------------------------------------------------------------------

# True where a proxy ends TLS and sets X-Forwarded-Proto on every request; anybody could forge it otherwise.
BEHIND_TLS_PROXY = env.boolean("BEHIND_TLS_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
SECURE_SSL_REDIRECT = BEHIND_TLS_PROXY
SECURE_HSTS_SECONDS = 0 if DEBUG else env.whole("HSTS_SECONDS", default=31_536_000, least=0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_REFERRER_POLICY = "same-origin"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 10}),
        ("CommonPasswordValidator", {}),
    )
]
SESSION_ENGINE = "config.sessions"
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
# Scripts take the CSRF token from the form. Browsers hold names with this prefix to https, this host and every path.
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "sessionid" if DEBUG else "__Host-sessionid"
CSRF_COOKIE_NAME = "csrftoken" if DEBUG else "__Host-csrftoken"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "config.api.problems.csrf_failure"
CSRF_TRUSTED_ORIGINS = environment.trusted_origins(env)
SILENCED_SYSTEM_CHECKS = [
    "security.W008",  # Redirecting to https is decided by BEHIND_TLS_PROXY: without a proxy there is no https to go to.
    "security.W021",  # To enter the browsers' preload lists is the domain owner's decision.
]

# --- Deliveries -----------------------------------------------------------------------------------------------------

HTTP_CLIENT = env.choice("HTTP_CLIENT", default="curl", choices=("curl", "requests"))
RETRY_SCHEDULE = environment.retry_schedule(env)
DELIVERY_TIMEOUT = env.number(
    "DELIVERY_TIMEOUT",
    default=10,
    least=environment.DELIVERY_TIMEOUT_MIN_S,
    most=environment.DELIVERY_TIMEOUT_MAX_S,
)
ALLOWED_TARGET_NETWORKS = environment.target_networks(env)
ALLOW_HTTP_TARGETS = env.boolean("ALLOW_HTTP_TARGETS", default=False)
PAYLOAD_MAX_BYTES = env.whole("PAYLOAD_MAX_BYTES", default=262_144)
# A batch in all. Keeps what one request can make the web process hold within bounds.
BATCH_MAX_BYTES = env.whole("BATCH_MAX_BYTES", default=8 * 1024 * 1024)
# Django refuses larger bodies before a view sees them, so it must let a batch, or one event with its envelope, pass.
DATA_UPLOAD_MAX_MEMORY_SIZE = max(BATCH_MAX_BYTES, PAYLOAD_MAX_BYTES) + 64 * 1024
RETENTION_DAYS = env.whole("RETENTION_DAYS", default=90, most=3650)
# An endpoint that takes nothing for so long is switched off; 0: never.
DISABLE_AFTER_DAYS = env.whole("DISABLE_AFTER_DAYS", default=5, least=0, most=365)
# Requests that one drain keeps in flight; each is a socket, and the drain takes no more than the process may open.
DRAIN_CAPACITY = env.whole("DRAIN_CAPACITY", default=2000, most=100_000)

# --- Watching -------------------------------------------------------------------------------------------------------

METRICS_TOKEN = environment.metrics_token(env, debug=DEBUG)
# Where a worker or beat answers /metrics and its probes; 0: nowhere.
METRICS_PORT = env.whole("METRICS_PORT", default=0, least=0, most=65_535)
METRICS_HOST = env.text("METRICS_HOST", default="127.0.0.1")
# Something is due for so long, and no drain took a turn: deliveries stall. The lease of a dead worker ends after 30 s.
STALL_AFTER_S = env.whole("STALL_AFTER_S", default=60, least=15, most=3600)
TRACES = environment.traces(env)
# Whether receivers learn the trace that an attempt belongs to.
TRACEPARENT_TO_RECEIVERS = env.boolean("TRACEPARENT_TO_RECEIVERS", default=False)

# --- E-mail and SMS -------------------------------------------------------------------------------------------------

PUBLIC_URL = environment.public_url(env, debug=DEBUG, port=PORT)
_EMAIL = environment.email(env, debug=DEBUG)
HAS_EMAIL = bool(_EMAIL)
EMAIL_BACKEND = _EMAIL.get("EMAIL_BACKEND", "django.core.mail.backends.dummy.EmailBackend")
EMAIL_FILE_PATH = _EMAIL.get("EMAIL_FILE_PATH")
EMAIL_HOST = _EMAIL.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = _EMAIL.get("EMAIL_PORT") or (465 if _EMAIL.get("EMAIL_USE_SSL") else 25)
EMAIL_HOST_USER = _EMAIL.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _EMAIL.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = bool(_EMAIL.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_EMAIL.get("EMAIL_USE_SSL"))
EMAIL_TIMEOUT = DELIVERY_TIMEOUT
DEFAULT_FROM_EMAIL = environment.from_email(env, debug=DEBUG, has_email=HAS_EMAIL)
SMS_BACKEND = environment.sms_backend(env, debug=DEBUG)
SMS_FROM = env.text("SMS_FROM")
SMS_MAX_SEGMENTS = env.whole("SMS_MAX_SEGMENTS", default=3, most=10)
SMS_GATEWAY_URL = environment.gateway_url(env, "SMS_GATEWAY_URL")
SMS_GATEWAY_TOKEN = env.text("SMS_GATEWAY_TOKEN")
TWILIO_ACCOUNT_SID = env.text("TWILIO_ACCOUNT_SID")
TWILIO_AUTH_TOKEN = env.text("TWILIO_AUTH_TOKEN")
TWILIO_API_URL = environment.gateway_url(env, "TWILIO_API_URL", default="https://api.twilio.com")

# --- Celery ---------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = environment.broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "deliveries"
CELERY_TASK_ROUTES = {"deliveries.drain": {"queue": "drain"}}
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Tasks a worker runs on one database connection; by default Celery connects anew for each.
CELERY_DB_REUSE_MAX = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A frozen Redis must block nobody: every socket operation ends soon, and a doorbell is never rung twice by the client.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 1.0,
    "visibility_timeout": 3600,
}
CELERY_TASK_PUBLISH_RETRY = False
TICK_LIFE_S = 3600
# Ticks that nobody takes while the workers are away are forgotten after this. Judged by the worker's clock against
# beat's: with a few seconds, a worker whose clock is ahead by as much would drop every tick, and no retry would leave.
CELERY_BEAT_SCHEDULE = {
    "drain": {"task": "deliveries.drain", "schedule": 1.0, "options": {"queue": "drain", "expires": TICK_LIFE_S}},
    "replays": {"task": "deliveries.replays", "schedule": 1.0, "options": {"expires": TICK_LIFE_S}},
    "operations": {"task": "deliveries.operations", "schedule": 1.0, "options": {"expires": TICK_LIFE_S}},
    "expunges": {"task": "deliveries.expunges", "schedule": 2.0, "options": {"expires": TICK_LIFE_S}},
    "exports": {"task": "deliveries.exports", "schedule": 2.0, "options": {"expires": TICK_LIFE_S}},
    # Rarer is cheaper, for what came in between is added to each hourly count at once; readers see no difference.
    "roll_up": {"task": "deliveries.roll_up", "schedule": 5.0, "options": {"expires": TICK_LIFE_S}},
    "sweep": {"task": "deliveries.sweep", "schedule": 5.0, "options": {"expires": TICK_LIFE_S}},
}

# --- API ------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["subscriptions.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "config.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
