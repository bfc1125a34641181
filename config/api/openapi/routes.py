"""Lists what the URL conf really routes, so that the document can be held against it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.urls import URLPattern, URLResolver, get_resolver

from subscriptions.api.base import ApiView, MerchantView, ProviderView

PREFIXES = ("/api/", "/paisr/", "/.well-known/")

Audience = Literal["merchant", "provider", "public"]

_CONVERTER = re.compile(r"<(?:[^>:]+:)?([^>]+)>")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `path` is written as OpenAPI writes it."""

    method: str
    path: str
    audience: Audience

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes() -> dict[str, Route]:
    """Every operation below PREFIXES, by `METHOD /path`."""
    found = (route for path, pattern in _patterns(get_resolver(), "/") for route in _of(path, pattern))
    return {str(route): route for route in found if route.path.startswith(PREFIXES)}


def _patterns(resolver: URLResolver, above: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = above + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, path)
        else:
            yield path, entry


def _of(path: str, pattern: URLPattern) -> Iterator[Route]:
    shown = _CONVERTER.sub(r"{\1}", path)
    view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
    if view is None or not issubclass(view, ApiView):
        # Plain views are public and only to be read.
        yield Route("GET", shown, "public")
        return
    audience: Audience = "public"
    if issubclass(view, MerchantView):
        audience = "merchant"
    elif issubclass(view, ProviderView):
        audience = "provider"
    for method in view.http_method_names:
        if method != "head" and hasattr(view, method):
            yield Route(method.upper(), shown, audience)
