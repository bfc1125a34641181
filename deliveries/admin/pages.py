"""The console's pages that are of no single model, and their addresses."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from deliveries.admin import queue_page, retention_page, search


def routes(site: AdminSite) -> list[URLPattern]:
    """Each asks for its own permission; that somebody is of the staff, the site has seen to."""
    pages = {"search": search.page, "queue": queue_page.page, "retention": retention_page.page}
    return [path(f"{name}/", site.admin_view(view), name=name) for name, view in pages.items()]
