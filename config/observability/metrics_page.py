"""/metrics of the web process, for whoever knows METRICS_TOKEN. Without the setting there is no such page, except in
development."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from config.observability.exposition import CONTENT_TYPE, exposition, is_right_token

PATH = "/metrics"


class MetricsMiddleware:
    """Prometheus comes by address and by plain HTTP, so it is answered before the Host header is judged."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_there = bool(settings.METRICS_TOKEN) or settings.DEBUG
        if request.path != PATH or not is_there or request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        if settings.METRICS_TOKEN and not is_right_token(request.headers.get("Authorization", "")):
            challenge = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
            return HttpResponse(
                "The metrics need METRICS_TOKEN.\n", status=401, content_type="text/plain", headers=challenge
            )
        return HttpResponse(
            exposition(with_platform=True), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"}
        )
