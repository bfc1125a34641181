"""The WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Web connections to Postgres carry the short timeouts of config.environment.WEB_LIMITS.
os.environ.setdefault("SIGNET_ROLE", "web")

application = get_wsgi_application()
