"""The OpenAPI document and the page to browse it: both public, both without anything from elsewhere."""

import json
from functools import lru_cache
from hashlib import sha256

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config.api.openapi.document import document
from config.security_headers import PAGE

MAX_AGE_S = 300
# A new release is seen within minutes; until then a reader's browser asks nobody.
PAGE_WITH_ICONS = PAGE.replace("img-src 'self'", "img-src 'self' data:")
# The vendored style sheet holds its icons as data URLs.


@csrf_exempt
@require_safe
def schema(request: HttpRequest) -> HttpResponseBase:
    """/api/schema/"""
    body, etag = _rendered()
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
    response = HttpResponse(body, content_type="application/json", headers=headers)
    return get_conditional_response(request, etag=etag, response=response) or response


@csrf_exempt
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """/api/docs/"""
    response = render(request, "config/docs.html")
    response.headers["Content-Security-Policy"] = PAGE_WITH_ICONS
    return response


@lru_cache(maxsize=1)
def _rendered() -> tuple[bytes, str]:
    body = json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()
    return body, f'"{sha256(body).hexdigest()[:32]}"'
