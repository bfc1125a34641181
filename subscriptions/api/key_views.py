"""The provider's public keys: for merchants with a key of theirs, and for every receiver without one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.ids import InvalidId, Prefix, parse
from dispatcher.profiles.key_pairs import public_jwk
from subscriptions.api.base import MerchantView
from subscriptions.models import ProviderKey
from subscriptions.selectors import provider_keys
from subscriptions.selectors.provider_keys import Status

MAX_AGE_S = 300
# Far below the lead of a rotation, and short enough for a withdrawn key to be forgotten soon.

PEM = "application/x-pem-file"
# Not a certificate's own type: browsers would offer to install it.

PARTS: Mapping[str, Callable[[ProviderKey], str]] = MappingProxyType(
    {"pem": lambda row: row.public_pem, "crt": lambda row: row.certificate_pem}
)
# By the ending of the file's name.


class KeysView(MerchantView):
    """/keys"""

    def get(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature
        return Response(_published(self.now))


@csrf_exempt
@require_safe
def key_set(request: HttpRequest) -> HttpResponseBase:
    """/.well-known/webhook-keys"""
    return _cacheable(request, JSONRenderer().render(_published(timezone.now())), "application/json")


@csrf_exempt
@require_safe
def key_file(request: HttpRequest, name: str, part: str) -> HttpResponseBase:
    """/.well-known/webhook-keys/{id}.pem and .crt, or with a family's name for the id: that of its current key."""
    row = _find(name, now=timezone.now())
    if row is None or part not in PARTS:
        raise Http404
    return _cacheable(request, PARTS[part](row).encode(), PEM, file_name=f"{name}.{part}")


def _find(name: str, *, now: datetime) -> ProviderKey | None:
    if name in ProviderKey.Family.values:
        return provider_keys.find_current(name, now=now)
    try:
        return provider_keys.find_published(parse(Prefix.PROVIDER_KEY, name), now=now)
    except InvalidId:
        return None


def _published(now: datetime) -> dict[str, Any]:
    """A page as all lists have it, of all there are: a key set is of use only whole. `keys` makes it a JWK Set."""
    shown = [_shown(row) for row in provider_keys.published(now=now)]
    return {"data": shown, "next_cursor": None, "keys": [one["jwk"] for one in shown]}


def _shown(row: ProviderKey) -> dict[str, Any]:
    status = row.status  # type: ignore[attr-defined] # annotated by `published`
    return {
        "id": row.public_id,
        "algorithm": row.family,
        # One that has ended is published for those who verify late: to them it is a previous one.
        "status": Status.PREVIOUS if status == Status.ENDED else status,
        "signs_from": row.signs_from,
        "signs_until": row.signs_until,
        "public_key_pem": row.public_pem,
        "certificate_pem": row.certificate_pem,
        "jwk": public_jwk(row.public_pem, row.certificate_pem, key_id=row.public_id),
    }


def _cacheable(request: HttpRequest, body: bytes, content_type: str, *, file_name: str = "") -> HttpResponseBase:
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
    if file_name:
        headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response = HttpResponse(body, content_type=content_type, headers=headers)
    return get_conditional_response(request, etag=etag, response=response) or response
