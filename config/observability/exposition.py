"""What /metrics answers: the numbers of this host's processes and, from the web, of the platform as Postgres has it."""

import os

from django.conf import settings
from django.utils.crypto import constant_time_compare
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from config.observability.platform import PlatformCollector
from deliveries import metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(*, with_platform: bool) -> bytes:
    """The text that Prometheus reads. The platform's numbers are the same wherever they are asked for, so only the web
    gives them."""
    text = generate_latest(_processes())
    if with_platform:
        platform = CollectorRegistry()
        platform.register(PlatformCollector())
        text += generate_latest(platform)
    return text


def _processes() -> CollectorRegistry:
    """All processes that share our directory; without one, this process alone."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return metrics.REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library types little
    return registry


def is_right_token(authorization: str) -> bool:
    """Whether the header carries METRICS_TOKEN."""
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and constant_time_compare(token.strip(), settings.METRICS_TOKEN)
