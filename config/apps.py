from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConfigConfig(AppConfig):
    """Known to Django for its management commands; it has no models."""

    name = "config"
    verbose_name = "Signet"

    def ready(self) -> None:
        """Workers and beat begin their heartbeat when Celery says so."""
        from config.observability import pulse  # noqa: F401 - connects to Celery's signals


class ConsoleConfig(AdminConfig):
    """Django's admin, whose site is ours. Listed after the apps whose templates stand in for its own."""

    default_site = "config.admin.Console"
