"""The operator console: Django's admin under our name, with a dashboard, a search and pages of its own."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver


class Console(AdminSite):
    """The one admin site of this project; see config.apps. Its pages register with it, so they are imported late."""

    site_header = "Signet"
    site_title = "Signet"
    index_title = "Overview"
    site_url = None
    index_template = "deliveries/admin/dashboard.html"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        from deliveries.admin import pages

        return [*pages.routes(self), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from deliveries.admin import dashboard

        return super().index(request, dashboard.shown_to(request) | (extra_context or {}))
