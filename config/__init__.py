"""Settings, URLs, the Celery app and what surrounds the two Django apps."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
