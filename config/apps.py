from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Known to Django for its management commands; it has no models."""

    name = "config"
    verbose_name = "Signet"
